package soql

import (
	"regexp"
	"strings"
)

type kind int

const (
	end kind = iota
	word
	text
	number
	date
	dateTime
	symbol
)

// token is one lexeme; of a text, text is its content.
type token struct {
	kind kind
	text string
	pos  int
}

// is reports whether the token is this keyword or symbol, in any case.
func (t token) is(s string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, s)
}

var (
	dateTimeForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})`)
	dateForm     = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}`)
	numberForm   = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?`)
	wordForm     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:\d+)?`)
)

// forms are tried in this order: a date begins as a number does.
var forms = []struct {
	kind kind
	form *regexp.Regexp
}{{dateTime, dateTimeForm}, {date, dateForm}, {number, numberForm}, {word, wordForm}}

// lex cuts the statement into tokens, of which the last is end.
func lex(q string) ([]token, error) {
	var out []token
	for pos := 0; ; {
		for pos < len(q) && strings.IndexByte(" \t\r\n", q[pos]) >= 0 {
			pos++
		}
		if pos == len(q) {
			return append(out, token{kind: end, text: "<EOF>", pos: pos}), nil
		}
		t, size, err := next(q, pos)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		pos += size
	}
}

func next(q string, pos int) (token, int, error) {
	rest := q[pos:]
	if rest[0] == '\'' {
		return quoted(q, pos)
	}
	for _, s := range []string{"<=", ">=", "!=", "<>"} {
		if strings.HasPrefix(rest, s) {
			return token{symbol, s, pos}, len(s), nil
		}
	}
	if strings.IndexByte("(),=<>", rest[0]) >= 0 {
		return token{symbol, rest[:1], pos}, 1, nil
	}
	for _, f := range forms {
		if m := f.form.FindString(rest); m != "" {
			return token{f.kind, m, pos}, len(m), nil
		}
	}
	return token{}, 0, unexpected(q, token{text: rest[:1], pos: pos})
}

// escapes are those that the SOQL reference lists, without \_ and \%, which
// LIKE reads.
var escapes = map[byte]string{'n': "\n", 'N': "\n", 'r': "\r", 'R': "\r", 't': "\t", 'T': "\t", 'b': "\b", 'B': "\b", 'f': "\f", 'F': "\f",
	'"': `"`, '\'': "'", '\\': `\`, '_': `\_`, '%': `\%`}

func quoted(q string, pos int) (token, int, error) {
	var b strings.Builder
	for i := pos + 1; i < len(q); i++ {
		switch q[i] {
		case '\'':
			return token{text, b.String(), pos}, i + 1 - pos, nil
		case '\\':
			i++
			if i == len(q) {
				break
			}
			s, ok := escapes[q[i]]
			if !ok {
				return token{}, 0, &Error{"MALFORMED_QUERY", `Invalid string literal '` + q[pos:i+1] + `'. Illegal character sequence '\` + q[i:i+1] + `' in string literal.`, q, pos}
			}
			b.WriteString(s)
		default:
			b.WriteByte(q[i])
		}
	}
	return token{}, 0, &Error{"MALFORMED_QUERY", "Invalid string literal: it has no closing quote", q, pos}
}

func unexpected(q string, t token) *Error {
	return &Error{"MALFORMED_QUERY", "unexpected token: '" + t.text + "'", q, t.pos}
}
