package fast

import (
	"bytes"

	"github.com/wellhead-io/wellhead/host/internal/schema"
)

// formats tell what surely has a format, for those that events use. Each takes
// less than v5 does.
var formats = map[string]func([]byte) bool{
	"date-time":            isDateTime,
	"date":                 isDate,
	"email":                isEmail,
	"hostname":             isHostname,
	"ipv4":                 isIPv4,
	"ip-address":           isIPv4,
	"uri":                  isURI,
	"iri":                  isURI,
	"uuid":                 isUUID,
	schema.TimestampFormat: schema.IsTimestamp[[]byte],
}

// isDateTime takes 2006-01-02T15:04:05, a fraction or none, and Z or an offset.
func isDateTime(s []byte) bool {
	const day, second = len("2006-01-02"), len("2006-01-02T15:04:05")
	if len(s) <= second || !isDate(s[:day]) || s[day] != 'T' || s[13] != ':' || s[16] != ':' {
		return false
	}
	if !within(s[11:], 23) || !within(s[14:], 59) || !within(s[17:], 59) {
		return false
	}
	rest := s[second:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if n == 1 {
			return false
		}
		rest = rest[n:]
	}
	switch {
	case len(rest) == 1:
		return rest[0] == 'Z'
	case len(rest) == len("+01:00"):
		return (rest[0] == '+' || rest[0] == '-') && within(rest[1:], 23) && rest[3] == ':' && within(rest[4:], 59)
	}
	return false
}

func isDate(s []byte) bool {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' || !within(s, 99) || !within(s[2:], 99) || !within(s[5:], 12) {
		return false
	}
	month, day := number2(s[5:]), number2(s[8:])
	return within(s[8:], 31) && month > 0 && 0 < day && day <= schema.DaysIn(month, number2(s)*100+number2(s[2:]))
}

// within tells whether s begins with two digits that are at most limit.
func within(s []byte, limit int) bool {
	return isDigit(s[0]) && isDigit(s[1]) && number2(s) <= limit
}

func number2(s []byte) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

// isEmail takes dot-separated words at a host, without quotes and comments.
func isEmail(s []byte) bool {
	at := bytes.IndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 {
		return false
	}
	for i, c := range s[:at] {
		switch {
		case isAlphanumeric(c), c == '_', c == '-', c == '+':
		case c == '.' && i > 0 && i < at-1 && s[i-1] != '.':
		default:
			return false
		}
	}
	return isHostname(s[at+1:])
}

// isHostname takes labels of letters, digits and inner hyphens.
func isHostname(s []byte) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	start := 0
	for i, c := range s {
		switch {
		case isAlphanumeric(c):
		case c == '-' && i > start && i+1 < len(s) && s[i+1] != '.':
		case c == '.' && i > start && i+1 < len(s):
			start = i + 1
		default:
			return false
		}
		if i-start >= 63 {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c)
}

func isIPv4(s []byte) bool {
	for part := range 4 {
		n, i := 0, 0
		for ; i < len(s) && i < 3 && isDigit(s[i]); i++ {
			n = n*10 + int(s[i]-'0')
		}
		if i == 0 || i > 1 && s[0] == '0' || n > 255 {
			return false
		}
		s = s[i:]
		if part == 3 {
			return len(s) == 0
		}
		if len(s) == 0 || s[0] != '.' {
			return false
		}
		s = s[1:]
	}
	return false
}

// isURI takes what is on the web: a scheme, a host by name, a port or none, and
// ASCII.
func isURI(s []byte) bool {
	rest, ok := bytes.CutPrefix(s, []byte("https://"))
	if !ok {
		if rest, ok = bytes.CutPrefix(s, []byte("http://")); !ok {
			return false
		}
	}
	host := 0
	for host < len(rest) && (isAlphanumeric(rest[host]) || rest[host] == '-' || rest[host] == '.') {
		host++
	}
	if host == 0 {
		return false
	}
	rest = rest[host:]
	if len(rest) > 0 && rest[0] == ':' {
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		rest = rest[n:]
	}
	if len(rest) > 0 && rest[0] != '/' && rest[0] != '?' && rest[0] != '#' {
		return false
	}
	for i, c := range rest {
		switch {
		case isAlphanumeric(c), bytes.IndexByte([]byte("-._~/?#&=+,;:@!$'()*"), c) >= 0:
		case c == '%' && i+2 < len(rest) && isHex(rest[i+1]) && isHex(rest[i+2]):
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isUUID(s []byte) bool {
	if len(s) != len("00000000-0000-0000-0000-000000000000") {
		return false
	}
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHex(c) {
				return false
			}
		}
	}
	return true
}
