package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ParseYAML returns the root of the one document of a file, as the library has
// it. The problem has a place but no file.
func ParseYAML(data []byte) (*yaml.Node, *Problem) {
	if p := notUTF8(data); p != nil {
		return nil, p
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := decodeNode(dec)
	switch {
	case errors.Is(err, io.EOF), err == nil && (value{node: doc.Content[0]}).isNull():
		return nil, &Problem{Code: CodeFile, What: "the file is empty"}
	case err != nil:
		return nil, yamlProblem(data, err)
	}
	more, err := decodeNode(dec)
	switch {
	case err == nil:
		return nil, &Problem{Code: CodeYAML, Line: more.Line, Column: more.Column,
			What: "a second document begins here", Hint: "a file is one document: remove the --- line"}
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(data, err)
	}
	return doc.Content[0], nil
}

// notUTF8 finds the first byte that is no UTF-8, in a file that does not say by a
// byte order mark that it is UTF-16.
func notUTF8(data []byte) *Problem {
	if utf8.Valid(data) || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	before := data[:at]
	return &Problem{Code: CodeYAML, Line: 1 + bytes.Count(before, []byte("\n")), Column: at - bytes.LastIndexByte(before, '\n'),
		What: fmt.Sprintf("not UTF-8 text: a byte 0x%02X", data[at]), Hint: "save the file as UTF-8"}
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

var yamlPrefix = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

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
	p := &Problem{Code: CodeYAML, What: "not YAML: " + text}
	switch {
	case strings.Contains(text, "unexpected end of stream"):
		p.Line = max(1, opened(data)-1)
		p.Hint = "a quote that opens in this line is not closed"
		return p
	case strings.Contains(text, "did not find expected ',' or"):
		p.Line = max(1, opened(data))
		p.Hint = "a bracket that opens in this line is not closed, or a comma is missing in it"
		return p
	case strings.Contains(text, "cannot start any token"):
		p.Hint = "indent with spaces, not tabs, and quote a value that begins with @, ` or %"
	case strings.Contains(text, "mapping values are not allowed"):
		p.Hint = `look for a missing line break or indent, and quote a value that holds ": "`
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "did not find expected '-' indicator"):
		p.Hint = "look at the indent of this line and of the one before, and for a quote that is not closed before it"
	case strings.Contains(text, "unknown anchor"):
		p.Hint = "quote a value that begins with *"
	default:
		p.Hint = "look at the indent, the quotes and the brackets of this line and of the one before"
	}
	p.Line = 1 + sort.Search(len(lines)-1, func(i int) bool { return fails(i + 1) })
	return p
}

// opened is the number in the library's error about what was not closed. It is
// that of the line in which it opens, unless this is the first line: so another
// is put before it. Its scanner counts from 1, its parser from 0.
func opened(data []byte) int {
	shifted := append([]byte("\n"), bytes.TrimPrefix(data, []byte("\ufeff"))...)
	dec := yaml.NewDecoder(bytes.NewReader(shifted))
	for {
		if _, err := decodeNode(dec); err != nil {
			line, _ := strconv.Atoi(yamlPrefix.FindStringSubmatch(err.Error())[1]) // empty: 0
			return line
		}
	}
}
