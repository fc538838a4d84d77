package database

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The placeholders of a query. Each is a bound parameter wherever it stands.
const (
	// Cursor is the value of the cursor column from which to read.
	Cursor = "cursor"
	// LastSyncTime is the same where the cursor is a time, and otherwise when the
	// last whole run began by the database's clock, less the overlap.
	LastSyncTime = "last_sync_time"
)

// maxQuery bounds a query, as Segment's reverse ETL does.
const maxQuery = 65535

// Query is a query as the config has it, cut at its placeholders.
type Query struct {
	texts []string // one more than names
	names []string
}

// Uses reports whether the query has this placeholder.
func (q Query) Uses(name string) bool { return slices.Contains(q.names, name) }

// lexis is how a database quotes and comments, beyond what all do.
type lexis struct {
	backslash bool // escapes in strings
	hash      bool // # begins a comment
	backtick  bool // quotes a name
	bracket   bool // [ quotes a name
	dollar    bool // $tag$ quotes a string, and E'' has escapes
}

var reading = []string{"select", "with", "values", "table", "from"}

// parse reads a query: one statement that only reads.
func (l lexis) parse(text string) (Query, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "; \t\r\n")
	if text == "" {
		return Query{}, errors.New("the query is empty")
	}
	if len(text) > maxQuery {
		return Query{}, fmt.Errorf("the query has %d bytes, at most %d are read", len(text), maxQuery)
	}
	var q Query
	first, from := "", 0
	for i := 0; i < len(text); {
		end, quoted, err := l.token(text, i)
		if err != nil {
			return q, err
		}
		token := text[i:end]
		switch {
		case quoted && strings.Contains(token, "{{"):
			return q, fmt.Errorf("%s stands within quotes: write it without, it is a parameter", token)
		case strings.HasPrefix(token, "{{"):
			name := strings.TrimSpace(token[2 : len(token)-2])
			if name != Cursor && name != LastSyncTime {
				return q, fmt.Errorf("there is no placeholder {{%s}}: write {{%s}} or {{%s}}", name, Cursor, LastSyncTime)
			}
			q.texts, q.names = append(q.texts, text[from:i]), append(q.names, name)
			from = end
		case token == ";":
			return q, errors.New("the query has more than one statement")
		case first == "" && isWord(token[0]):
			first = strings.ToLower(token)
		}
		i = end
	}
	if !slices.Contains(reading, first) {
		return q, fmt.Errorf("the query begins with %s: a sync reads, and nothing else", strings.ToUpper(first))
	}
	q.texts = append(q.texts, text[from:])
	return q, nil
}

// token returns the end of what begins at i, and whether it is a string or a
// quoted name. Comments are tokens.
func (l lexis) token(text string, i int) (end int, quoted bool, err error) {
	rest := text[i:]
	until := func(mark string, from int) (int, bool, error) {
		if n := strings.Index(rest[from:], mark); n >= 0 {
			return i + from + n + len(mark), false, nil
		}
		return 0, false, fmt.Errorf("what begins with %s is open at the end", rest[:from])
	}
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "{{"):
		return until("}}", 2)
	case strings.HasPrefix(rest, "--"), l.hash && c == '#':
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return i + n + 1, false, nil
		}
		return len(text), false, nil
	case strings.HasPrefix(rest, "/*"):
		return l.comment(text, i)
	case c == '\'', c == '"', l.backtick && c == '`':
		return l.quote(text, i, c, l.backslash && c != '`')
	case l.bracket && c == '[':
		return l.quote(text, i, ']', false)
	case l.dollar && c == '$' && (i == 0 || !isWord(text[i-1])):
		n := 1
		for n < len(rest) && isWord(rest[n]) && (n != 1 || rest[n] > '9') {
			n++
		}
		if n < len(rest) && rest[n] == '$' {
			end, _, err := until(rest[:n+1], n+1)
			return end, true, err
		}
		return i + 1, false, nil
	case isWord(c):
		n := 1
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
		if l.dollar && (rest[:n] == "e" || rest[:n] == "E") && n < len(rest) && rest[n] == '\'' {
			return l.quote(text, i+n, '\'', true)
		}
		return i + n, false, nil
	}
	return i + 1, false, nil
}

// comment returns the end of a comment, in which PostgreSQL takes others.
func (l lexis) comment(text string, i int) (int, bool, error) {
	depth := 0
	for j := i; j+1 < len(text); j++ {
		switch text[j : j+2] {
		case "/*":
			if depth == 0 || l.dollar {
				depth++
				j++
			}
		case "*/":
			depth--
			j++
			if depth == 0 {
				return j + 1, false, nil
			}
		}
	}
	return 0, false, errors.New("a comment is open at the end")
}

// quote returns the end of what a mark at i quotes; a doubled mark stands for itself.
func (l lexis) quote(text string, i int, mark byte, escapes bool) (int, bool, error) {
	for j := i + 1; j < len(text); j++ {
		switch {
		case escapes && text[j] == '\\':
			j++
		case text[j] == mark && j+1 < len(text) && text[j+1] == mark:
			j++
		case text[j] == mark:
			return j + 1, true, nil
		}
	}
	return 0, false, fmt.Errorf("a %c is open at the end", text[i])
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
