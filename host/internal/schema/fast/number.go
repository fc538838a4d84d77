package fast

// numberCheck is one thing that a schema says of a number.
type numberCheck struct {
	bit   uint64
	op    numberOp
	limit decimal
	oneOf []decimal
}

type numberOp uint8

const (
	atLeast numberOp = iota
	moreThan
	atMost
	lessThan
	multipleOf
	numberIn
)

// fails judges d; known is false where the check cannot.
func (c *numberCheck) fails(d decimal) (fails, known bool) {
	switch c.op {
	case atLeast:
		return d.compare(c.limit) < 0, true
	case moreThan:
		return d.compare(c.limit) <= 0, true
	case atMost:
		return d.compare(c.limit) > 0, true
	case lessThan:
		return d.compare(c.limit) >= 0, true
	case multipleOf:
		does, known := c.limit.divides(d)
		return !does, known
	case numberIn:
		for _, e := range c.oneOf {
			if d.compare(e) == 0 {
				return false, true
			}
		}
	}
	return true, true
}

// exactDigits is how many digits a decimal holds whatever they are.
const exactDigits = 19

// number judges the number that begins at i.
func (m *Machine) number(n *node, i int) (end int, failed uint64) {
	raw, start := m.raw, i
	var d decimal
	if raw[i] == '-' {
		d.negative = true
		i++
	}
	first := i
	for ; i < len(raw) && isDigit(raw[i]); i++ {
		d.digits = d.digits*10 + uint64(raw[i]-'0')
	}
	digits := i - first
	if digits == 0 || digits > 1 && raw[first] == '0' {
		return unsure, 0
	}
	plain := true
	if i < len(raw) && raw[i] == '.' {
		plain = false
		i++
		point := i
		for ; i < len(raw) && isDigit(raw[i]); i++ {
			d.digits = d.digits*10 + uint64(raw[i]-'0')
		}
		if i == point {
			return unsure, 0
		}
		d.exponent = point - i
		digits += i - point
	}
	if i < len(raw) && raw[i]|0x20 == 'e' {
		plain = false
		e, end := m.exponent(i + 1)
		if end == unsure {
			return unsure, 0
		}
		d.exponent += e
		i = end
	}
	if i-start > m.limits.Number {
		return unsure, 0
	}
	if d.digits == 0 {
		d.negative, d.exponent = false, 0
	}
	s := integer
	if !plain && (n.fails[integer] != n.fails[fraction] || n.unknown>>integer&1 != n.unknown>>fraction&1) {
		if digits > exactDigits {
			return unsure, 0
		}
		if !d.whole() {
			s = fraction
		}
	}
	if n.unknown>>s&1 != 0 {
		return unsure, 0
	}
	failed = n.fails[s]
	if len(n.numbers) > 0 {
		if digits > exactDigits {
			return unsure, 0
		}
		for k := range n.numbers {
			fails, known := n.numbers[k].fails(d)
			if !known {
				return unsure, 0
			}
			if fails {
				failed |= n.numbers[k].bit
			}
		}
	}
	return i, n.settle(failed)
}

// exponent reads what follows the e of a number.
func (m *Machine) exponent(i int) (e, end int) {
	raw := m.raw
	negative := false
	if i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
		negative = raw[i] == '-'
		i++
	}
	first := i
	for ; i < len(raw) && isDigit(raw[i]); i++ {
		if e = e*10 + int(raw[i]-'0'); e > m.limits.Exponent {
			return 0, unsure
		}
	}
	if i == first {
		return 0, unsure
	}
	if negative {
		e = -e
	}
	return e, i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
