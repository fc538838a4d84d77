package client

import (
	"fmt"
	"strings"
	"time"
)

// ParseTime reads a date and time as REST writes it (2024-09-24T03:26:07.000+0000)
// or Bulk does (2024-09-24T03:26:07.000Z).
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999Z0700", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date and time", clip(s))
}

// Literal writes a time as SOQL reads it.
func Literal(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Quote writes a string as a literal of SOQL.
func Quote(s string) string {
	return "'" + quoter.Replace(s) + "'"
}

var quoter = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, "\b", `\b`)

// ValidID reports whether s has the form of a record's id.
func ValidID(s string) bool {
	if len(s) != 15 && len(s) != 18 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// ValidName reports whether s can be the name of an object or a field.
func ValidName(s string) bool {
	if s == "" || len(s) > 80 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// clip bounds what an error quotes of an answer.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
