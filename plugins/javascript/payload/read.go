package payload

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// span is a range of bytes.
type span struct{ start, end int }

// reader reads one JSON text and says where in it things stand.
type reader struct {
	raw  []byte
	src  bytes.Buffer
	dec  *jsontext.Decoder
	text []byte // of the name that was asked for last
}

func newReader(raw []byte) *reader {
	r := &reader{dec: new(jsontext.Decoder)}
	r.reset(raw)
	return r
}

// reset begins another text. A member named twice and broken UTF-8 are let
// through: they are one event's fault, for which the host refuses that event,
// and must not fail the whole batch.
func (r *reader) reset(raw []byte) {
	r.raw = raw
	r.src = *bytes.NewBuffer(raw)
	r.dec.Reset(&r.src, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (r *reader) at(s span) []byte { return r.raw[s.start:s.end] }

// value reads the next value.
func (r *reader) value() (span, error) {
	v, err := r.dec.ReadValue()
	end := int(r.dec.InputOffset())
	return span{end - len(v), end}, err
}

// object reads the next value, which is an object. It calls member with each
// name, and member reads the value.
func (r *reader) object(member func(name span) error) (span, error) {
	_, err := r.dec.ReadToken()
	start := int(r.dec.InputOffset()) - 1
	for err == nil && r.dec.PeekKind() == '"' {
		var name span
		if name, err = r.value(); err == nil {
			err = member(name)
		}
	}
	if err == nil {
		_, err = r.dec.ReadToken()
	}
	return span{start, int(r.dec.InputOffset())}, err
}

// name returns what a member's name says, valid until the next call.
func (r *reader) name(s span) []byte {
	r.text = unquote(r.text, r.at(s))
	return r.text
}

// members calls f with each member of an object that is known to be JSON.
func (r *reader) members(object []byte, f func(name []byte, member, value span)) {
	r.reset(object)
	_, _ = r.object(func(name span) error {
		v, err := r.value()
		f(r.name(name), span{name.start, v.end}, v)
		return err
	})
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
