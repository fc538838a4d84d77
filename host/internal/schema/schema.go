// Package schema owns the JSON Schema library: no other room of the host knows
// which one it is. It compiles schemas from files, from a folder that they
// cannot leave, and from the set that Wellhead publishes; it never reads the
// network. It checks decoded documents and tells everything that is wrong with
// them.
//
// Schemas are of draft 2020-12 unless their $schema says draft 7. Formats are
// asserted in both, as is the format "timestamp" that ParseTimestamp reads.
//
// It knows nothing of events: what a violation means is the caller's to say.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/schemas"
)

// Schema is a compiled JSON Schema. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	names    map[string]string // what messages call the schema at a URL
}

// Compile compiles raw, the schema that messages call name. refs holds the
// files that a $ref may name; with it, name is the path in refs of the file
// that raw comes from, followed by # and a JSON Pointer where raw is only a
// part of it. Without refs a schema can refer to itself and to the published
// schemas alone. The error is an Error that tells all problems.
func Compile(name string, raw []byte, refs fs.FS) (*Schema, error) {
	return compile(folderURL(name), name, raw, refs)
}

// Published compiles one of the schemas that Wellhead publishes, by file name.
func Published(name string) (*Schema, error) {
	raw, err := schemas.FS.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("published schema %s: %w", name, err)
	}
	return compile(publishedURL+name, name, raw, nil)
}

func compile(url, name string, raw []byte, refs fs.FS) (s *Schema, err error) {
	l := &loader{refs: refs, names: map[string]string{url: name}}
	defer func() {
		// The library asserts types that it has not checked for keywords of
		// drafts that it does not apply.
		if r := recover(); r != nil {
			s, err = nil, Error{{File: name, Message: fmt.Sprintf("the schema cannot be compiled: %v", r)}}
		}
	}()
	if !l.add(url, name, raw) {
		return nil, l.everything(slices.Clone(l.problems))
	}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	c.Formats[TimestampFormat] = isTimestamp
	c.LoadURL = l.load
	if err := c.AddResource(url, bytes.NewReader(raw)); err != nil {
		return nil, Error{{File: name, Message: err.Error()}}
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, l.everything(slices.Clone(l.explain(err)))
	}
	return &Schema{compiled: compiled, names: l.names}, nil
}

// Check tells everything that is wrong with doc, in a fixed order; nothing: it
// is good. Paths point into doc. doc is what Decode makes. It costs time and
// memory in proportion to the document's size, and more for numbers with a huge
// exponent: bound them before.
func (s *Schema) Check(doc any) []event.Violation {
	err := s.compiled.Validate(doc)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []event.Violation{{Code: event.CodeSchema, Message: clip(err.Error()), Schema: s.name()}}
	}
	return s.violations(invalid)
}

// CheckJSON is Check for a document that is not decoded yet. The error tells
// that raw is not JSON.
func (s *Schema) CheckJSON(raw []byte) ([]event.Violation, error) {
	doc, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	return s.Check(doc), nil
}

func (s *Schema) name() string {
	name, _ := s.locate(s.compiled.Location)
	return name
}

// Decode decodes one JSON value as Check wants it: numbers keep their digits.
func Decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc any
	err := d.Decode(&doc)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return doc, nil
		}
		err = errors.New("there is more after the value")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := raw[:min(int(syntax.Offset), len(raw))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the value ends too early")
	}
	return nil, err
}

// Compiled is the library's own form of the schema, for package fast.
func (s *Schema) Compiled() *jsonschema.Schema { return s.compiled }
