package payload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds how deep objects and arrays may stand in each other. It is the
// library's own bound.
const maxDepth = 10_000

// errSyntax says that a text is not JSON. What is wrong with it, explain finds.
var errSyntax = errors.New("not JSON")

// span is a range of bytes.
type span struct{ start, end int }

// reader reads one JSON text and says where in it things stand. It takes what
// jsontext takes with the options below, and does less: nothing is decoded.
type reader struct {
	raw   []byte
	pos   int
	depth int
	text  []byte // of the name that was asked for last
}

// lenient lets a member named twice and broken UTF-8 through: they are one
// event's fault, for which the host refuses that event, and must not fail the
// whole batch.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// syntaxError says what is wrong with a text, and where.
func syntaxError(raw []byte) (at int64, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), lenient...)
	if err = d.SkipValue(); err == nil {
		_, err = d.ReadToken()
	}
	if err == nil {
		err = errors.New("there is more after its end")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return syntax.ByteOffset, syntax.Err
	}
	return d.InputOffset(), err
}

func (r *reader) at(s span) []byte { return r.raw[s.start:s.end] }

// peek returns the next byte that is no white space; 0: there is none.
func (r *reader) peek() byte {
	if r.pos < len(r.raw) && r.raw[r.pos] > ' ' {
		return r.raw[r.pos]
	}
	return r.skipSpace()
}

func (r *reader) skipSpace() byte {
	for ; r.pos < len(r.raw); r.pos++ {
		switch c := r.raw[r.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// begins reports whether a value may begin with c.
func begins(c byte) bool {
	switch c {
	case '{', '[', '"', '-', 't', 'f', 'n':
		return true
	default:
		return '0' <= c && c <= '9'
	}
}

// value reads the next value.
func (r *reader) value() (span, error) {
	c := r.peek()
	start := r.pos
	var ok bool
	switch {
	case c == '"':
		ok = r.quoted()
	case c == '{', c == '[':
		ok = r.nested(c)
	case c == '-', '0' <= c && c <= '9':
		ok = r.number()
	case c == 't':
		ok = r.literal("true")
	case c == 'f':
		ok = r.literal("false")
	case c == 'n':
		ok = r.literal("null")
	}
	if !ok {
		return span{}, errSyntax
	}
	return span{start, r.pos}, nil
}

// enter reads the { or [ that an object or array begins with.
func (r *reader) enter() error {
	r.peek()
	r.pos++
	if r.depth++; r.depth > maxDepth {
		return errSyntax
	}
	return nil
}

// more reads up to the next member or element, or reads the bracket that ends
// them. First tells that none was read yet.
func (r *reader) more(first bool, bracket byte) (bool, error) {
	switch c := r.peek(); {
	case c == bracket:
		r.pos++
		r.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		r.pos++
		return true, nil
	default:
		return false, errSyntax
	}
}

// member reads the next member's name and colon, or the object's end, where it
// returns false.
func (r *reader) member(first bool) (name span, _ bool, _ error) {
	if ok, err := r.more(first, '}'); !ok {
		return span{}, false, err
	}
	if r.peek() != '"' {
		return span{}, false, errSyntax
	}
	name.start = r.pos
	if !r.quoted() {
		return span{}, false, errSyntax
	}
	name.end = r.pos
	if r.peek() != ':' {
		return span{}, false, errSyntax
	}
	r.pos++
	return name, true, nil
}

// nested reads an object or an array.
func (r *reader) nested(bracket byte) bool {
	if r.enter() != nil {
		return false
	}
	for first := true; ; first = false {
		var ok bool
		var err error
		if bracket == '{' {
			_, ok, err = r.member(first)
		} else {
			ok, err = r.more(first, ']')
		}
		if !ok {
			return err == nil
		}
		if _, err := r.value(); err != nil {
			return false
		}
	}
}

func (r *reader) literal(word string) bool {
	if !bytes.HasPrefix(r.raw[r.pos:], []byte(word)) {
		return false
	}
	r.pos += len(word)
	return true
}

func (r *reader) number() bool {
	if r.raw[r.pos] == '-' {
		r.pos++
	}
	switch {
	case r.next('0'):
	case !r.digits():
		return false
	}
	if r.next('.') && !r.digits() {
		return false
	}
	if r.next('e') || r.next('E') {
		if !r.next('+') {
			r.next('-')
		}
		return r.digits()
	}
	return true
}

// next reads one byte if it is c.
func (r *reader) next(c byte) bool {
	if r.pos == len(r.raw) || r.raw[r.pos] != c {
		return false
	}
	r.pos++
	return true
}

// digits reads one digit or more.
func (r *reader) digits() bool {
	start := r.pos
	for r.pos < len(r.raw) && '0' <= r.raw[r.pos] && r.raw[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start
}

// quoted reads a string, at whose quotation mark the reader stands.
func (r *reader) quoted() bool {
	raw, i := r.raw, r.pos+1
	for {
		i = plain(raw, i)
		if i == len(raw) {
			return false
		}
		switch raw[i] {
		case '"':
			r.pos = i + 1
			return true
		case '\\':
			n := escape(raw[i:])
			if n == 0 {
				return false
			}
			i += n
		default:
			return false // a control character
		}
	}
}

// plain returns how far a string goes on from i as it is: to a quotation mark, a
// backslash, a control character or the end.
func plain(raw []byte, i int) int {
	for i+8 <= len(raw) {
		if special := specials(binary.LittleEndian.Uint64(raw[i:])); special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
		i += 8
	}
	for i < len(raw) && raw[i] != '"' && raw[i] != '\\' && raw[i] >= ' ' {
		i++
	}
	return i
}

// specials looks at eight bytes at once. The lowest bit that it sets is in the
// first byte that is a quotation mark, a backslash or a control character; in
// the bytes behind it bits may be set for nothing.
func specials(word uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	zero := func(w uint64) uint64 { return (w - ones) &^ w }
	control := (word - ' '*ones) &^ word
	return (zero(word^'"'*ones) | zero(word^'\\'*ones) | control) & highs
}

// escape returns the length of an escape; 0: it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		return 6
	default:
		return 0
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// name returns what a member's name says, valid until the next call.
func (r *reader) name(s span) []byte {
	quoted := r.at(s)
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	r.text = unquote(r.text, quoted)
	return r.text
}

// eachMember calls f with each member of an object that is known to be JSON.
func eachMember(object []byte, f func(name []byte, member, value span)) {
	r := reader{raw: object}
	_ = r.enter()
	for first := true; ; first = false {
		name, ok, _ := r.member(first)
		if !ok {
			return
		}
		v, _ := r.value()
		f(r.name(name), span{name.start, v.end}, v)
	}
}

// unquote returns what a JSON string says, in buf where that has room. In
// broken UTF-8 something is replaced, so that it equals no name that counts.
func unquote(buf, quoted []byte) []byte {
	buf, _ = jsontext.AppendUnquote(buf[:0], quoted)
	return buf
}

// str returns what a value says if it is a string, or else nothing.
func str(value []byte) string {
	if len(value) == 0 || value[0] != '"' {
		return ""
	}
	return string(unquote(nil, value))
}

func isNull(value []byte) bool { return string(value) == "null" }
