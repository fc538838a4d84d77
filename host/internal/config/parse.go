package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML returns the root of the one document of a file, as the library has it.
func parseYAML(data []byte) (*yaml.Node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := decodeNode(dec)
	switch {
	case errors.Is(err, io.EOF), err == nil && (value{node: doc.Content[0]}).isNull():
		return nil, &Problem{Code: CodeFile, What: "the file is empty", Hint: "it wants plugins:, sources: and destinations:"}
	case err != nil:
		return nil, yamlProblem(data, err)
	}
	more, err := decodeNode(dec)
	switch {
	case err == nil:
		return nil, &Problem{Code: CodeYAML, Line: more.Line, Column: more.Column,
			What: "a second document begins here", Hint: "a config is one document: remove the --- line"}
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(data, err)
	}
	return doc.Content[0], nil
}

// decodeNode returns the next document; io.EOF after the last one.
func decodeNode(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	// The library panics on some malformed input.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	doc = new(yaml.Node)
	err = dec.Decode(doc)
	return doc, err
}

var yamlPrefix = regexp.MustCompile(`^(yaml: )?(line \d+: )?`)

// yamlProblem tells a syntax error. The line that the library names is often
// where the surrounding block begins, so the line is sought again: the first
// one without which the error is not there.
func yamlProblem(data []byte, err error) *Problem {
	message := func(err error) string { return yamlPrefix.ReplaceAllString(err.Error(), "") }
	lines := bytes.SplitAfter(data, []byte("\n"))
	fails := func(n int) bool {
		dec := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:n], nil)))
		for {
			if _, e := decodeNode(dec); e != nil {
				return message(e) == message(err)
			}
		}
	}
	text := message(err)
	p := &Problem{Code: CodeYAML, What: "not YAML: " + text, Line: 1 + sort.Search(len(lines)-1, func(i int) bool { return fails(i + 1) })}
	switch {
	case strings.Contains(text, "cannot start any token"):
		p.Hint = "indent with spaces, not tabs, and quote a value that begins with @, ` or %"
	case strings.Contains(text, "mapping values are not allowed"):
		p.Hint = `look for a missing line break or indent, and quote a value that holds ": "`
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "did not find expected '-' indicator"):
		p.Hint = "look at the indent of this line and of the one before"
	case strings.Contains(text, "unknown anchor"):
		p.Hint = "quote a value that begins with *"
	}
	return p
}
