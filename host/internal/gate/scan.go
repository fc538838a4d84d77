package gate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// scanner reads one JSON text in one pass. It is used again for the next one
// and then allocates nothing, as long as nothing is wrong.
type scanner struct {
	bounds
	found
	path  []step // of the value at pos
	names nameSet
	reading
}

// reading is what the scanner knows of the text.
type reading struct {
	pos     int
	top     memberID // the event's own member that is being read
	objects uint32   // begun so far: each has its own names
	values  int      // begun so far
	paths   int      // bytes of their paths together
	crowded bool     // too many of either

	fault      string // why the text is not JSON; empty: it is
	deep       bool   // stopped at the depth bound
	violations []event.Violation
	more       int // violations that were not kept
}

// step is one token of the path: the index of an item, or -1 and where a name
// is.
type step struct {
	index      int
	start, end int
	escaped    bool
	length     int // bytes of the path up to here
}

// scan reads raw and tells what kind of value it is. Where fault or deep is set
// afterwards, the scan stopped and what was found is incomplete.
func (s *scanner) scan(raw []byte, b bounds) kind {
	s.bounds, s.found, s.reading = b, found{raw: raw}, reading{}
	s.names.reset(raw)
	if len(s.path) < b.maxDepth+1 {
		s.path = make([]step, b.maxDepth+1)
	}
	if bytes.HasPrefix(raw, []byte("\ufeff")) {
		s.fail("a byte order mark")
		return absent
	}
	s.skipSpace()
	s.begin = s.pos
	k, ok := s.readValue(0)
	if !ok {
		return absent
	}
	s.end = s.pos
	s.skipSpace()
	if s.pos < len(raw) {
		s.fail("there is more after the value")
		return absent
	}
	return k
}

// fail ends the scan at the current byte.
func (s *scanner) fail(reason string) bool {
	if s.fault == "" && !s.deep {
		s.fault = fmt.Sprintf("%s at byte %d", reason, s.pos)
	}
	return false
}

// unexpected ends the scan at a byte that cannot stand where it is.
func (s *scanner) unexpected(where string) bool {
	if s.pos >= len(s.raw) {
		return s.fail("the text ends " + where)
	}
	return s.fail(fmt.Sprintf("unexpected %q %s", rune(s.raw[s.pos]), where))
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.raw) {
		switch s.raw[s.pos] {
		case '\n', '\r':
			s.lines = true
		case ' ', '\t':
		default:
			return
		}
		s.pos++
	}
}

// readValue reads the value that begins at pos, in depth objects and arrays.
func (s *scanner) readValue(depth int) (kind, bool) {
	if s.pos >= len(s.raw) {
		return absent, s.unexpected("before a value")
	}
	s.countValue(depth)
	switch c := s.raw[s.pos]; c {
	case '"':
		start := s.pos + 1
		_, ok := s.readString()
		if ok && s.pos-1-start > s.maxString {
			s.violate(depth, event.CodeStringLength, "string of %d bytes; at most %d are allowed", s.pos-1-start, s.maxString)
		}
		return text, ok
	case '{':
		return object, s.readObject(depth + 1)
	case '[':
		return array, s.readArray(depth + 1)
	case 't':
		return boolean, s.readWord("true")
	case 'f':
		return boolean, s.readWord("false")
	case 'n':
		return null, s.readWord("null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return number, s.readNumber(depth)
		}
		return absent, s.unexpected("where a value should begin")
	}
}

func (s *scanner) readWord(w string) bool {
	for i := range len(w) {
		if s.pos >= len(s.raw) || s.raw[s.pos] != w[i] {
			return s.unexpected("within " + w)
		}
		s.pos++
	}
	return true
}

// enter tells whether an object or array may be nested as deeply as depth.
func (s *scanner) enter(depth int) bool {
	if depth <= s.maxDepth {
		return true
	}
	s.violate(depth-1, event.CodeTooDeep, "nested more than %d levels deep", s.maxDepth)
	s.deep = true
	return false
}

func (s *scanner) readArray(depth int) bool {
	if !s.enter(depth) {
		return false
	}
	s.pos++
	s.skipSpace()
	if s.pos < len(s.raw) && s.raw[s.pos] == ']' {
		s.pos++
		return true
	}
	for i := 0; ; i++ {
		s.path[depth] = step{index: i, length: s.path[depth-1].length + len("/0")}
		if _, ok := s.readValue(depth); !ok {
			return false
		}
		s.skipSpace()
		if s.pos >= len(s.raw) {
			return s.unexpected("within an array")
		}
		switch s.raw[s.pos] {
		case ',':
			s.pos++
			s.skipSpace()
		case ']':
			s.pos++
			return true
		default:
			return s.unexpected("after an item")
		}
	}
}

func (s *scanner) readObject(depth int) bool {
	if !s.enter(depth) {
		return false
	}
	s.objects++
	id := s.objects
	s.pos++
	s.skipSpace()
	if s.pos < len(s.raw) && s.raw[s.pos] == '}' {
		s.pos++
		return true
	}
	for {
		at, ok := s.readName(depth, id)
		if !ok {
			return false
		}
		start := s.pos
		k, ok := s.readValue(depth)
		if !ok {
			return false
		}
		if at != none {
			s.note(at, k, start)
		}
		s.skipSpace()
		if s.pos >= len(s.raw) {
			return s.unexpected("within an object")
		}
		switch s.raw[s.pos] {
		case ',':
			s.pos++
			s.skipSpace()
		case '}':
			s.pos++
			return true
		default:
			return s.unexpected("after a member")
		}
	}
}

// readName reads a member's name and the colon, up to its value, and tells
// whether the member is one of those of interest.
func (s *scanner) readName(depth int, id uint32) (memberID, bool) {
	if s.pos >= len(s.raw) || s.raw[s.pos] != '"' {
		return none, s.unexpected("where a member's name should begin")
	}
	start := s.pos + 1
	escaped, ok := s.readString()
	if !ok {
		return none, false
	}
	end := s.pos - 1
	s.path[depth] = step{
		start: start, end: end, escaped: escaped, index: -1, length: s.path[depth-1].length + len("/") + end - start,
	}
	name := s.raw[start:end]
	if escaped {
		name = s.names.unescape(name)
	}
	if end-start > s.maxString {
		s.violate(depth-1, event.CodeStringLength, "name of %d bytes; at most %d are allowed", end-start, s.maxString)
	} else if !s.anyNames && !s.names.add(id, name, escaped, start) {
		s.violate(depth, event.CodeDuplicateKey, "member %.100q is there twice", name)
	}
	at := none
	switch depth {
	case 1:
		at = topMembers[string(name)]
		s.top = at
	case 2:
		at = nestedMembers[s.top][string(name)]
	}
	s.skipSpace()
	if s.pos >= len(s.raw) || s.raw[s.pos] != ':' {
		return none, s.unexpected("where a colon should follow a name")
	}
	s.pos++
	s.skipSpace()
	return at, true
}

// note keeps where a member's value is, which began at start and ends at pos.
func (s *scanner) note(at memberID, k kind, start int) {
	m := member{Start: start, End: s.pos, Kind: k}
	if k == text {
		m.Start, m.End = start+1, s.pos-1
		m.Escaped = bytes.IndexByte(s.raw[m.Start:m.End], '\\') >= 0
	}
	s.members[at] = m
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

// readString reads the string that begins at pos, up to after its closing quote.
func (s *scanner) readString() (escaped, ok bool) {
	raw, i := s.raw, s.pos+1
	for {
		// Eight bytes at a time, up to the first that is a quote, a backslash,
		// a control character or not ASCII.
		for i+8 <= len(raw) {
			w := binary.LittleEndian.Uint64(raw[i:])
			quote := w ^ ('"' * low)
			slash := w ^ ('\\' * low)
			stop := ((quote-low)&^quote | (slash-low)&^slash | (w - 0x20*low) | w) & high
			if stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(raw) {
			s.pos = len(raw)
			return escaped, s.unexpected("within a string")
		}
		switch c := raw[i]; {
		case c == '"':
			s.pos = i + 1
			return escaped, true
		case c == '\\':
			escaped = true
			n := fast.EscapeLen(raw[i:])
			if n == 0 {
				s.pos = i
				return escaped, s.fail("an escape that JSON does not know")
			}
			i += n
		case c < 0x20:
			s.pos = i
			return escaped, s.fail(fmt.Sprintf("control character %#02x within a string", c))
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && n == 1 {
				s.pos = i
				return escaped, s.fail("a string that is not UTF-8")
			}
			i += n
		}
	}
}

// readNumber reads the number that begins at pos.
func (s *scanner) readNumber(depth int) bool {
	start := s.pos
	if s.raw[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.raw) && s.raw[s.pos] == '0' {
		s.pos++
	} else if !s.skipDigits() {
		return s.unexpected("within a number")
	}
	if s.pos < len(s.raw) && s.raw[s.pos] == '.' {
		s.pos++
		if !s.skipDigits() {
			return s.unexpected("within a number")
		}
	}
	exponent := 0
	if s.pos < len(s.raw) && s.raw[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.raw) && (s.raw[s.pos] == '+' || s.raw[s.pos] == '-') {
			s.pos++
		}
		first := s.pos
		if !s.skipDigits() {
			return s.unexpected("within a number")
		}
		for _, c := range s.raw[first:s.pos] {
			exponent = min(exponent*10+int(c-'0'), s.maxExponent+1)
		}
	}
	if n := s.pos - start; n > s.maxNumber {
		s.violate(depth, event.CodeNumber, "number of %d characters; at most %d are allowed", n, s.maxNumber)
	} else if exponent > s.maxExponent {
		s.violate(depth, event.CodeNumber, "exponent of a number is beyond %d", s.maxExponent)
	}
	return true
}

func (s *scanner) skipDigits() bool {
	first := s.pos
	for s.pos < len(s.raw) && '0' <= s.raw[s.pos] && s.raw[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > first
}
