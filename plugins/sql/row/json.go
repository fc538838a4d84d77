package row

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// AppendText appends a text as a JSON string. Bytes that are no UTF-8 become
// U+FFFD.
func AppendText(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, text[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, text[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, text[from:]...), '"')
}

// AppendNumber appends a number as it is written, digit by digit, and as a string
// what JSON has no number for: NaN, Infinity.
func AppendNumber(dst, text []byte) []byte {
	if isNumber(text) {
		return append(dst, text...)
	}
	return AppendText(dst, text)
}

// isNumber reports whether a text is a number of JSON.
func isNumber(b []byte) bool {
	digits := func() bool {
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		b = b[n:]
		return n > 0
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && b[1] >= '0' && b[1] <= '9' || !digits() {
		return false
	}
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; !digits() {
			return false
		}
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			b = b[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(b) == 0
}

// AppendJSON appends a JSON document on one line, otherwise as it is; and as a
// string what is none.
func AppendJSON(dst, document []byte) []byte {
	out := bytes.NewBuffer(dst)
	if json.Compact(out, document) != nil {
		return AppendText(dst, document)
	}
	return out.Bytes()
}

// appendHeld appends the JSON document that a string holds.
func appendHeld(dst, value []byte) ([]byte, error) {
	if value[0] != '"' {
		return append(dst, value...), nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return dst, err
	}
	out := bytes.NewBuffer(dst)
	if err := json.Compact(out, []byte(text)); err != nil {
		return dst, errors.New("the text is not JSON")
	}
	return out.Bytes(), nil
}

var errNoText = errors.New("is neither text nor a number")

// appendID appends a value as a string: ids are strings in the common spec.
func appendID(dst, value []byte) ([]byte, error) {
	switch c := value[0]; {
	case c == '"':
		return append(dst, value...), nil
	case c == '-' || c >= '0' && c <= '9':
		return append(append(append(dst, '"'), value...), '"'), nil
	}
	return dst, errNoText
}

var errNoTime = errors.New("is no time; select one, such as datetime(seconds, 'unixepoch') of SQLite")

// appendTimestamp appends a time in RFC 3339. One without a zone is taken as UTC,
// a date as its first instant.
func appendTimestamp(dst, value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return dst, errNoTime
	}
	t := value[1 : len(value)-1]
	const date = "0000-00-00"
	if !like(t, date) {
		return dst, errNoTime
	}
	dst = append(append(dst, '"'), t[:len(date)]...)
	clock, zone := t[len(date):], []byte("Z")
	if len(clock) == 0 {
		return append(dst, `T00:00:00Z"`...), nil
	}
	if clock[0] != 'T' && clock[0] != ' ' || !like(clock[1:], "00:00:00") {
		return dst, errNoTime
	}
	clock = clock[1:]
	n := len("00:00:00")
	if n < len(clock) && clock[n] == '.' {
		for n++; n < len(clock) && clock[n] >= '0' && clock[n] <= '9'; n++ {
		}
	}
	if n < len(clock) {
		zone = bytes.TrimPrefix(clock[n:], []byte(" "))
		offset := len(zone) == len("+00:00") && (zone[0] == '+' || zone[0] == '-') && like(zone[1:], "00:00")
		if string(zone) != "Z" && !offset {
			return dst, errNoTime
		}
	}
	dst = append(append(dst, 'T'), clock[:n]...)
	return append(append(dst, zone...), '"'), nil
}

// like reports whether text begins as form does, any digit for a 0.
func like(text []byte, form string) bool {
	if len(text) < len(form) {
		return false
	}
	for i := range form {
		digit := text[i] >= '0' && text[i] <= '9'
		if form[i] == '0' != digit || form[i] != '0' && text[i] != form[i] {
			return false
		}
	}
	return true
}
