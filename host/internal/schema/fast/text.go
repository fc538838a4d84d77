package fast

import (
	"encoding/binary"
	"math/bits"
	"regexp"
	"unicode/utf8"
)

// textCheck is one thing that a schema says of a string, but for which strings it
// may be.
type textCheck struct {
	op       textOp
	bit      uint64
	min, max int // of its length in code points; max < 0: no bound
	pattern  *regexp.Regexp
	// surely tells what surely has a format; what else has it, only v5 knows.
	surely func([]byte) bool
}

type textOp uint8

const (
	lengthIs textOp = iota
	matches
	hasFormat
)

// fails judges a string of length code points; known is false where the check
// cannot.
func (c *textCheck) fails(s []byte, length int) (fails, known bool) {
	switch c.op {
	case matches:
		return !c.pattern.Match(s), true
	case hasFormat:
		return false, c.surely(s)
	}
	return length < c.min || c.max >= 0 && length > c.max, true
}

// words are the strings that a node's schemas name, each with what it fails of
// all enum and const together.
type words struct {
	few    []word
	many   map[string]uint64 // instead of few
	others uint64            // what every other string fails
}

type word struct {
	text   string
	failed uint64
}

// manyWords is from how many on strings are looked up in a map.
const manyWords = 9

func (w *words) fails(s []byte) uint64 {
	for i := range w.few {
		if w.few[i].text == string(s) {
			return w.few[i].failed
		}
	}
	if w.many != nil {
		if failed, ok := w.many[string(s)]; ok {
			return failed
		}
	}
	return w.others
}

// text judges the string that begins at i.
func (m *Machine) text(n *node, i int) (end int, failed uint64) {
	end, escaped, wide := endOfText(m.raw, i+1)
	if end == unsure || end-i-1 > m.limits.String || n.unknown>>text&1 != 0 {
		return unsure, 0
	}
	m.escaped = escaped
	failed = n.fails[text]
	if n.readsTexts {
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
	failed = n.words.fails(s)
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
	// A byte below 0x80 less 1 has the high bit where it is 0. One that is not
	// ASCII keeps the high bit in one of the two at least.
	return (((w ^ '"'*low) - low) | ((w ^ '\\'*low) - low) | (w - 0x20*low)) & high
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
