package fast

import (
	"unicode/utf16"
	"unicode/utf8"
)

// EscapeLen tells how many bytes the escape is long that b begins with; 0: it
// is none.
func EscapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex4(b[2:]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits; -1: b does not begin with them.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// AppendUnescaped appends the text of a string whose escapes are valid. Half a
// surrogate pair becomes U+FFFD, as encoding/json has it.
func AppendUnescaped(to, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			to = append(to, s[i])
			i++
			continue
		}
		switch c := s[i+1]; c {
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			r := hex4(s[i+2:])
			if utf16.IsSurrogate(r) {
				r, i = joinSurrogates(r, s, i)
			}
			to = utf8.AppendRune(to, r)
			i += len(`\u0000`)
			continue
		default: // " \ /
			to = append(to, c)
		}
		i += 2
	}
	return to
}

// Halved tells whether a string whose escapes are valid has half a surrogate
// pair: text in which different strings have become alike.
func Halved(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] == 'u' {
			r := hex4(s[i+2:])
			if utf16.IsSurrogate(r) {
				if r, i = joinSurrogates(r, s, i); r == utf8.RuneError {
					return true
				}
			}
			i += len(`\u000`)
			continue
		}
		i++
	}
	return false
}

// joinSurrogates makes one character of the surrogate r at i and the one that
// follows, and tells where the last escape of it begins.
func joinSurrogates(r rune, s []byte, i int) (rune, int) {
	next := s[i+len(`\u0000`):]
	if len(next) >= len(`\u0000`) && next[0] == '\\' && next[1] == 'u' {
		if joined := utf16.DecodeRune(r, hex4(next[2:])); joined != utf8.RuneError {
			return joined, i + len(`\u0000`)
		}
	}
	return utf8.RuneError, i
}
