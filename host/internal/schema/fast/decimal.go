package fast

import (
	"math/big"
	"math/bits"
)

// decimal is a number, exactly: digits * 10^exponent.
type decimal struct {
	digits   uint64
	exponent int
	negative bool // never of 0
}

var powers = func() (p [20]uint64) { // of 10 that a uint64 holds
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// decimalOf writes a number of a schema; false: its digits are too many.
func decimalOf(r *big.Rat) (decimal, bool) {
	ten := big.NewInt(10)
	digits, exponent := new(big.Int).Abs(r.Num()), 0
	rest := new(big.Int).Set(r.Denom())
	for rest.IsInt64() && rest.Int64() != 1 || !rest.IsInt64() {
		if exponent < -400 {
			return decimal{}, false
		}
		digits.Mul(digits, ten)
		g := new(big.Int).GCD(nil, nil, digits, rest)
		digits.Div(digits, g)
		rest.Div(rest, g)
		exponent--
	}
	for digits.Sign() != 0 {
		q, m := new(big.Int).QuoRem(digits, ten, new(big.Int))
		if m.Sign() != 0 {
			break
		}
		digits = q
		exponent++
	}
	if !digits.IsUint64() || exponent > 400 {
		return decimal{}, false
	}
	if digits.Sign() == 0 {
		exponent = 0
	}
	return decimal{digits.Uint64(), exponent, r.Sign() < 0}, true
}

// whole tells whether d is an integer.
func (d decimal) whole() bool {
	if d.exponent >= 0 || d.digits == 0 {
		return true
	}
	return -d.exponent < len(powers) && d.digits%powers[-d.exponent] == 0
}

// compare is negative where d is less than e, and 0 where they are equal.
func (d decimal) compare(e decimal) int {
	switch {
	case d.negative && !e.negative:
		return -1
	case e.negative && !d.negative:
		return 1
	case d.negative:
		return e.compareSize(d)
	}
	return d.compareSize(e)
}

// compareSize compares without the signs.
func (d decimal) compareSize(e decimal) int {
	switch {
	case d.digits == 0 || e.digits == 0:
		return order(d.digits != 0, e.digits != 0)
	case d.exponent < e.exponent:
		return -e.compareSize(d)
	case d.exponent-e.exponent >= len(powers):
		return 1
	}
	hi, lo := bits.Mul64(d.digits, powers[d.exponent-e.exponent])
	if hi > 0 || lo > e.digits {
		return 1
	}
	return order(lo == e.digits, true)
}

// order is 0 where a and b are alike.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// divides tells whether d is a divisor of e; known is false where that takes
// more digits than there are.
func (d decimal) divides(e decimal) (does, known bool) {
	least := min(d.exponent, e.exponent)
	a, ok := d.shifted(d.exponent - least)
	b, also := e.shifted(e.exponent - least)
	if !ok || !also || a == 0 {
		return false, false
	}
	return b%a == 0, true
}

func (d decimal) shifted(by int) (uint64, bool) {
	if d.digits == 0 {
		return 0, true
	}
	if by >= len(powers) {
		return 0, false
	}
	hi, lo := bits.Mul64(d.digits, powers[by])
	return lo, hi == 0
}
