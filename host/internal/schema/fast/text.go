package fast

import (
	"encoding/binary"
	"math/bits"
	"regexp"
	"unicode/utf8"
)

// textCheck is one thing that a schema says of a string.
type textCheck struct {
	bit      uint64
	min, max int // of its length in code points; max < 0: no bound
	oneOf    []string
	among    map[string]struct{} // instead of oneOf, for many
	pattern  *regexp.Regexp
	// surely tells what surely has a format; what else has it, only v5 knows.
	surely func([]byte) bool
}

// manyTexts is from how many on strings are looked up in a map.
const manyTexts = 9

// fails judges a string of length code points; known is false where the check
// cannot.
func (c *textCheck) fails(s []byte, length int) (fails, known bool) {
	switch {
	case c.oneOf != nil:
		for _, t := range c.oneOf {
			if t == string(s) {
				return false, true
			}
		}
		return true, true
	case c.among != nil:
		_, in := c.among[string(s)]
		return !in, true
	case c.pattern != nil:
		return !c.pattern.Match(s), true
	case c.surely != nil:
		return false, c.surely(s)
	}
	return length < c.min || c.max >= 0 && length > c.max, true
}

// text judges the string that begins at i.
func (m *Machine) text(n *node, i int) (end int, failed uint64) {
	end, escaped, wide := endOfText(m.raw, i+1)
	if end == unsure || end-i-1 > m.limits.String || n.unknown>>text&1 != 0 {
		return unsure, 0
	}
	m.escaped = escaped
	failed = n.fails[text]
	if len(n.texts) > 0 {
		s := m.raw[i+1 : end]
		if escaped {
			m.scratch = AppendUnescaped(m.scratch[:0], s)
			s, wide = m.scratch, true
		}
		more, known := n.textFails(s, wide)
		if !known {
			return unsure, 0
		}
		failed |= more
	}
	return end + 1, n.settle(failed)
}

func (n *node) textFails(s []byte, wide bool) (failed uint64, known bool) {
	length := len(s)
	if wide {
		length = utf8.RuneCount(s)
	}
	for k := range n.texts {
		fails, known := n.texts[k].fails(s, length)
		if !known {
			return 0, false
		}
		if fails {
			failed |= n.texts[k].bit
		}
	}
	return failed, true
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

// special marks, by its high bit, the first of eight bytes that is a quote, a
// backslash, a control character or not ASCII. It may mark others after that.
func special(w uint64) uint64 {
	quote := w ^ ('"' * low)
	slash := w ^ ('\\' * low)
	return ((quote-low)&^quote | (slash-low)&^slash | (w - 0x20*low) | w) & high
}

// endOfText finds the quote that ends the string whose text begins at i; unsure:
// it is no valid string. It tells whether the string has escapes, and whether it
// is wide: has bytes that are not ASCII.
func endOfText(raw []byte, i int) (end int, escaped, wide bool) {
	for {
		// Eight bytes at a time, up to the first that is a quote, a backslash,
		// a control character or not ASCII.
		for i+8 <= len(raw) {
			if stop := special(binary.LittleEndian.Uint64(raw[i:])); stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(raw) {
			return unsure, false, false
		}
		switch c := raw[i]; {
		case c == '"':
			return i, escaped, wide
		case c == '\\':
			escaped = true
			n := EscapeLen(raw[i:])
			if n == 0 {
				return unsure, false, false
			}
			i += n
		case c < 0x20:
			return unsure, false, false
		case c < utf8.RuneSelf:
			i++
		default:
			wide = true
			r, n := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && n == 1 {
				return unsure, false, false
			}
			i += n
		}
	}
}
