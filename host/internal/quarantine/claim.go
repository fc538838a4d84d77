package quarantine

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxName is the length to which the names that entries are grouped by are cut.
const maxName = 120

// eventName tells what a claim calls itself: a track call's event name, any
// other call's type. The claim may be anything, also cut off in the middle.
func eventName(claim []byte) string {
	var kind, name string
	scan := scanner{b: claim}
	for key, value := range scan.members() {
		switch string(key) {
		case "type":
			kind = text(value)
		case "event":
			name = text(value)
		}
	}
	if kind == "track" && name != "" {
		return name
	}
	return kind
}

// text reads a JSON string that names something; of any other value it is empty.
func text(value []byte) string {
	if len(value) > 1<<10 || len(value) == 0 || value[0] != '"' {
		return ""
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return cut(s)
}

// cut makes a name valid UTF-8 of at most maxName bytes.
func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "")
}

// reasonPath is a violation's path as entries are grouped by it: /products/*/price
// for every index, so that one mistake in a list is one group.
func reasonPath(path string) string {
	if len(path) > 4*maxName {
		path = path[:4*maxName]
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if p != "" && strings.Trim(p, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return cut(strings.Join(parts, "/"))
}

// scanner finds the members of a JSON object without looking into their values
// and without recursion. It stops where the bytes stop making sense.
type scanner struct {
	b []byte
	i int
}

// members yields each member's name, as written between its quotes, and value.
func (s *scanner) members() func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		if !s.accept('{') {
			return
		}
		for {
			s.space()
			name := s.value()
			if len(name) < 2 || name[0] != '"' || !s.accept(':') {
				return
			}
			s.space()
			value := s.value()
			if len(value) == 0 || !yield(name[1:len(name)-1], value) || !s.accept(',') {
				return
			}
		}
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) accept(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value passes one value and returns it; empty where it does not end.
func (s *scanner) value() []byte {
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if !s.str() {
				return nil
			}
			if depth == 0 {
				return s.b[start:s.i]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return s.b[start:s.i]
			}
			if depth == 0 {
				s.i++
				return s.b[start:s.i]
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return s.b[start:s.i]
			}
		}
		s.i++
	}
	return nil
}

// str passes a string, from its opening quote on.
func (s *scanner) str() bool {
	quote := -1
	for i := s.i + 1; ; {
		if quote < i {
			n := bytes.IndexByte(s.b[i:], '"')
			if n < 0 {
				return false
			}
			quote = i + n
		}
		escape := bytes.IndexByte(s.b[i:quote], '\\')
		if escape < 0 {
			s.i = quote + 1
			return true
		}
		i += escape + 2
	}
}
