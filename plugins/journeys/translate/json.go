package translate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// value is a JSON value that is known to be well-formed, without space around
// it. A value that is not there has no bytes.
type value []byte

// check says what is wrong with a text that is not one JSON value, and returns
// the value. A member named twice and broken UTF-8 are let through: they are
// one event's fault, which the host judges.
func check(raw []byte) (value, error) {
	lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	if jsontext.Value(raw).IsValid(lenient...) {
		return bytes.TrimSpace(raw), nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw), lenient...)
	_, err := d.ReadValue()
	if err == nil {
		if _, err = d.ReadToken(); err == nil {
			err = errors.New("there is more after its end")
		}
	}
	at := d.InputOffset()
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntax):
		at, err = syntax.ByteOffset, syntax.Err
	case errors.Is(err, io.EOF):
		err = errors.New("it is empty")
	}
	return nil, fmt.Errorf("%w (at byte %d)", err, at)
}

// is reports whether the value is there and of the kind that begins with this
// byte: one of { [ " t f n, or 0 for a number.
func (v value) is(kind byte) bool {
	if len(v) == 0 {
		return false
	}
	if first := v[0]; first == '-' || '0' <= first && first <= '9' {
		return kind == '0'
	}
	return v[0] == kind
}

// none reports whether the value is null or not there.
func (v value) none() bool { return len(v) == 0 || v[0] == 'n' }

// bytes returns what a string says. They may be those of the value itself.
func (v value) bytes() []byte {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	out, _ := jsontext.AppendUnquote(nil, v)
	return out
}

// text is bytes as a string.
func (v value) text() string { return string(v.bytes()) }

// longer reports whether a string says more than max bytes.
func (v value) longer(max int) bool {
	return len(v)-len(`""`) > max && len(v.bytes()) > max
}

// member is a member of an object where it stands.
type member struct {
	name  []byte // what its name says
	value value
	whole []byte // the name, the value and what is between them
}

func (m member) named(name string) bool { return string(m.name) == name }

// members returns the members of an object, one after another.
func (v value) members() iter.Seq[member] {
	return func(yield func(member) bool) {
		for i := space(v, 1); v[i] != '}'; {
			nameEnd := skip(v, i)
			start := space(v, space(v, nameEnd)+1) // the colon lies between
			end := skip(v, start)
			if !yield(member{name: v[i:nameEnd].bytes(), value: v[start:end], whole: v[i:end]}) {
				return
			}
			if i = space(v, end); v[i] == ',' {
				i = space(v, i+1)
			}
		}
	}
}

// get returns the last member of this name of an object, or nothing.
func (v value) get(name string) value {
	var found value
	if v.is('{') {
		for m := range v.members() {
			if m.named(name) {
				found = m.value
			}
		}
	}
	return found
}

// elements returns the elements of an array, one after another.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		for i := space(v, 1); v[i] != ']'; {
			end := skip(v, i)
			if !yield(v[i:end]) {
				return
			}
			if i = space(v, end); v[i] == ',' {
				i = space(v, i+1)
			}
		}
	}
}

// space returns where the next byte is that is no space.
func space(raw []byte, i int) int {
	for raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r' {
		i++
	}
	return i
}

// skip returns where the value ends that begins at i.
func skip(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		for depth := 0; ; {
			switch raw[i] {
			case '"':
				i = skipString(raw, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(raw) {
		switch raw[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

func skipString(raw []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(raw[i:], '"')
		escapes := 0
		for raw[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// quote returns a text as a JSON string.
func quote(text string) value {
	out, _ := jsontext.AppendQuote(make([]byte, 0, len(text)+2), text)
	return out
}
