package schema

import (
	"errors"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Error is why a schema cannot be compiled: all that is known to be wrong.
type Error []Problem

// Problem is one thing wrong with a schema.
type Problem struct {
	File    string // as messages call it
	Pointer string // JSON Pointer of the place in it
	Keyword string // empty: none is to blame
	Message string
}

func (e Error) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (p Problem) String() string {
	s := p.File
	if p.Pointer != "" {
		s = joinName(s, p.Pointer)
	}
	return s + ": " + p.Message
}

// unreadableError tells that a referred document could not be had.
type unreadableError struct {
	url string
	err error
}

func (e unreadableError) Error() string { return e.err.Error() }
func (e unreadableError) Unwrap() error { return e.err }

// explain makes an Error of what the library says about documents that are all
// valid by themselves: what remains is a reference that leads nowhere, or in
// circles.
func (l *loader) explain(err error) Error {
	var known Error
	if errors.As(err, &known) {
		return known
	}
	var unreadable unreadableError
	if errors.As(err, &unreadable) {
		return l.blame(unreadable.url, unreadable.err.Error())
	}
	message := err.Error()
	if _, text, ok := strings.Cut(message, " compilation failed: "); ok {
		message = text
	}
	if target, ok := strings.CutSuffix(message, " not found"); ok {
		return l.blame(target, "there is no such place")
	}
	for u, name := range l.names {
		message = strings.ReplaceAll(message, u, name)
	}
	return Error{{File: l.docs[0].name, Message: message}}
}

// blame makes an Error for each $ref that leads to target.
func (l *loader) blame(target, message string) Error {
	var e Error
	for _, d := range l.docs {
		base, err := url.Parse(d.url)
		if err != nil {
			continue
		}
		walk(d.doc, "", base, func(pointer, keyword, ref string, base *url.URL) {
			u, err := base.Parse(ref)
			if err != nil {
				return
			}
			whole := u.String()
			document, _, _ := strings.Cut(whole, "#")
			if whole == target || document == target {
				e = append(e, Problem{File: d.name, Pointer: pointer, Keyword: keyword, Message: keyword + " " + ref + ": " + message})
			}
		})
	}
	if e == nil {
		e = Error{{File: l.docs[0].name, Message: target + ": " + message}}
	}
	return e
}

// walk calls found for each reference in a schema, with the base that it is
// relative to.
func walk(doc any, pointer string, base *url.URL, found func(pointer, keyword, ref string, base *url.URL)) {
	switch doc := doc.(type) {
	case []any:
		for i, item := range doc {
			walk(item, pointer+"/"+strconv.Itoa(i), base, found)
		}
	case map[string]any:
		if id, ok := doc["$id"].(string); ok {
			if u, err := base.Parse(id); err == nil {
				base = u
			}
		}
		names := make([]string, 0, len(doc))
		for name := range doc {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			at := pointer + "/" + escapeToken(name)
			if ref, ok := doc[name].(string); ok && (name == "$ref" || name == "$dynamicRef") {
				found(at, name, ref, base)
			}
			walk(doc[name], at, base, found)
		}
	}
}

// regexReason tells what is wrong with a regular expression where v is about
// one, and else v's own message.
func regexReason(doc any, v event.Violation) string {
	if !strings.HasSuffix(v.Message, "is not valid 'regex'") {
		return v.Message
	}
	text, ok := at(doc, v.Path).(string)
	if !ok { // of patternProperties it is the name
		text = lastToken(v.Path)
	}
	if _, err := regexp.Compile(text); err != nil {
		return err.Error() + "; regular expressions are those of RE2, without look-around and back references"
	}
	return v.Message
}

// at finds the value that a JSON Pointer names; nil: there is none.
func at(doc any, pointer string) any {
	for pointer != "" {
		var token string
		token, pointer, _ = strings.Cut(pointer[1:], "/")
		if pointer != "" {
			pointer = "/" + pointer
		}
		switch d := doc.(type) {
		case map[string]any:
			doc = d[unescapeToken(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(d) {
				return nil
			}
			doc = d[i]
		default:
			return nil
		}
	}
	return doc
}

func lastToken(pointer string) string {
	return unescapeToken(pointer[strings.LastIndexByte(pointer, '/')+1:])
}

func escapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func unescapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

// joinName makes one word of a schema's name and a place in it. A name that is
// a part of a file has its # already.
func joinName(name, pointer string) string {
	if strings.Contains(name, "#") {
		return name + pointer
	}
	return name + "#" + pointer
}
