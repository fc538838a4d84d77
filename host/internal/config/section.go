package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Section is a part of the config that its owner decodes: a plugin's or a
// source's config, a destination's own keys. It keeps its place in the file,
// so that what the owner finds is reported at the right line.
//
// The zero Section is an absent one. A Section may be used by several
// goroutines.
type Section struct {
	doc *document
	at  value
}

// IsZero reports whether the section is absent or empty.
func (s Section) IsZero() bool { return s.at.isNull() || len(s.at.node.Content) == 0 }

// String names the section by its key path, and shows nothing of what it holds.
func (s Section) String() string { return "section " + s.at.path }

// Format writes String for every verb.
func (s Section) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// Without returns the section without one of its keys.
func (s Section) Without(key string) Section {
	if s.IsZero() {
		return s
	}
	left := &yaml.Node{Kind: yaml.MappingNode, Tag: tagMap, Line: s.at.node.Line, Column: s.at.node.Column}
	for m := range s.at.members() {
		if m.key.Value != key {
			left.Content = append(left.Content, m.key, m.node)
		}
	}
	return Section{doc: s.doc, at: value{node: left, key: s.at.key, path: s.at.path, also: s.at.also}}
}

// Decode sets *v, a struct, from the section, as strictly as the rest of the
// config: unknown keys, wrong types and values, all at once, as [Problems].
// Keys are the fields with a yaml tag. If v has a Default method it is called
// first; a Validate method is called last, and its problems, whose paths are
// relative to v, get their place in the file. On an error *v is set as far as
// it could be.
//
// Decode knows strings, booleans, numbers, structs, maps, slices, pointers, the
// types of this package, and encoding.TextUnmarshaler. A string type with a
// method Values() []string takes only those.
func (s Section) Decode(v any) error {
	d := newDecoder(s.doc)
	d.run(s.at, v)
	d.validate(s.at, v)
	return Join(d.problems)
}

// Problem fills the place of a JSON Pointer into the section into p: file, line
// and key path. Where the pointer's target is absent it is the nearest place
// above.
func (s Section) Problem(pointer string, p Problem) Problem {
	v := s.at.point(pointer)
	p.Path = v.path
	if s.doc == nil {
		return p
	}
	return s.doc.at(v, p)
}

// JSON returns the section as one JSON object, in the order of the file, with
// its references resolved: secrets are in it. Numbers keep their digits.
func (s Section) JSON() ([]byte, error) {
	if s.at.isNull() {
		return []byte("{}"), nil
	}
	w := jsonWriter{d: newDecoder(s.doc)}
	w.value(s.at)
	if err := Join(w.d.problems); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

type jsonWriter struct {
	d   *decoder
	out bytes.Buffer
}

func (w *jsonWriter) value(v value) {
	switch v.node.Kind {
	case yaml.MappingNode:
		w.all(v, '{', '}')
	case yaml.SequenceNode:
		w.all(v, '[', ']')
	default:
		w.scalar(v)
	}
}

func (w *jsonWriter) all(v value, open, end byte) {
	w.out.WriteByte(open)
	first := true
	for m := range v.members() {
		if !first {
			w.out.WriteByte(',')
		}
		first = false
		if m.key != nil {
			w.text(m.key.Value)
			w.out.WriteByte(':')
		}
		w.value(m)
	}
	w.out.WriteByte(end)
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (w *jsonWriter) scalar(v value) {
	if w.d.isUnset(v) {
		return
	}
	text := w.d.doc.textOf(v.node)
	switch v.node.Tag {
	case tagNull:
		w.out.WriteString("null")
	case tagBool:
		w.out.WriteString(strings.ToLower(text))
	case tagInt, tagFloat:
		digits := strings.ReplaceAll(text, "_", "")
		if !jsonNumber.MatchString(digits) {
			w.d.fail(v, Problem{Code: CodeWrongValue, What: fmt.Sprintf("%s is not a decimal number", text), Hint: "write its digits, or put it in quotes if it is text"})
		}
		w.out.WriteString(digits)
	default:
		w.text(text)
	}
}

func (w *jsonWriter) text(s string) {
	enc := json.NewEncoder(&w.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)               // a string into memory cannot fail
	w.out.Truncate(w.out.Len() - 1) // the newline that Encode adds
}
