package schema_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/schema"
)

func TestParseTimestamp(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-24T12:00:00Z":                noon,
		"2026-11-24t12:00:00z":                noon,
		"2026-11-24T12:00:00.000Z":            noon,                             // browsers
		"2026-11-24T12:00:00.359459259Z":      noon.Add(359459259),              // Go
		"2026-11-24T12:00:00.123000+00:00":    noon.Add(123 * time.Millisecond), // Python
		"2026-11-24T12:00:00.6230000Z":        noon.Add(623 * time.Millisecond), // .NET
		"2026-11-24T12:00:00.1234567899999Z":  noon.Add(123456789),
		"2026-11-24T12:00:00,5Z":              noon.Add(500 * time.Millisecond),
		"2026-11-24T13:00:00+01:00":           noon,
		"2026-11-24T06:30:00-0530":            noon, // Java
		"2026-11-24T12:00:00.000+0000":        noon, // Salesforce
		"2026-11-24T13:00:00+01":              noon, // PostgreSQL
		"2026-11-24 12:00:00":                 noon,
		"2026-11-24T12:00:00":                 noon, // Python's utcnow
		"2026-11-24T12:00":                    noon,
		"2026-11-24T12:00Z":                   noon,
		"2026-12-31T23:59:60Z":                time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		"2024-02-29T00:00:00Z":                time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0001-01-01T00:00:00Z":                time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999999999+00:00": time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		got, ok := schema.ParseTimestamp(text)
		if !ok || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "yesterday", "1764000000", "2026-11-24", "12:00:00Z", "24.11.2026 12:00", "2026-11-24T", "2026-11-24T12", "2026-11-24T12:",
		"2026-13-24T12:00:00Z", "2026-00-24T12:00:00Z", "2026-02-30T12:00:00Z", "2026-11-32T12:00:00Z", "2026-11-00T12:00:00Z", "2025-02-29T12:00:00Z",
		"2026-11-24T24:00:00Z", "2026-11-24T12:60:00Z", "2026-11-24T12:00:61Z", "2026-11-24T12:00:00.Z", "2026-11-24T12:00:0Z",
		"2026-11-24T12:00:00+24:00", "2026-11-24T12:00:00+01:60", "2026-11-24T12:00:00+1:00", "2026-11-24T12:00:00+01:0", "2026-11-24T12:00:00 +0100",
		"2026-11-24T12:00:00ZZ", "2026-11-24T12:00:00X", "2026-11-24T12:00:00Z ", " 2026-11-24T12:00:00Z", "+2026-11-24T12:00:00Z",
		"2026-11-24X12:00:00Z", "2026/11/24T12:00:00Z", "2026-1-24T12:00:00Z", "２026-11-24T12:00:00Z",
		"0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
		"Tue, 24 Nov 2026 12:00:00 GMT", "2026-11-24T12:00:00 Europe/Berlin",
	} {
		if got, ok := schema.ParseTimestamp(text); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// TestParseTimestampOfEveryYear holds the calendar against the standard
// library's.
func TestParseTimestampOfEveryYear(t *testing.T) {
	for year := range 10_000 {
		for _, day := range []string{"01-01", "01-31", "02-01", "02-28", "02-29", "02-30", "03-01", "04-30", "04-31", "06-30", "06-31", "08-31", "11-31", "12-31"} {
			text := fmt.Sprintf("%04d-%sT23:59:59.999Z", year, day)
			want, err := time.Parse(time.RFC3339, text)
			if got, ok := schema.ParseTimestamp(text); ok != (err == nil) || ok && got != want.UTC() {
				t.Fatalf("%s: %v, %v; want %v, %v", text, got, ok, want, err)
			}
		}
	}
}

// TestParseTimestampOfTheUsualForm holds that every byte of it is looked at.
func TestParseTimestampOfTheUsualForm(t *testing.T) {
	const usual = "2026-11-24T12:34:56.789Z"
	for i := range len(usual) {
		for c := range 256 {
			text := []byte(usual)
			text[i] = byte(c)
			want, err := time.Parse(time.RFC3339, string(text))
			got, ok := schema.ParseTimestamp(text)
			if !rfc3339.Match(text) {
				err = errors.New("not RFC 3339")
			}
			if err == nil && (!ok || !got.Equal(want)) {
				t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
			}
			digits := i == len(usual)-1 && '0' <= c && c <= '9' // more of them, and no zone
			if err != nil && ok && !digits && !slices.Contains([]byte("tz ,6"), text[i]) {
				t.Errorf("%q was read as %v", text, got)
			}
		}
	}
}

// rfc3339 is the form alone. The standard library is laxer in it.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// FuzzParseTimestamp holds that everything of RFC 3339 is read, as the standard
// library reads it.
func FuzzParseTimestamp(f *testing.F) {
	f.Add("2026-11-24T12:00:00.359459259Z")
	f.Add("2026-11-24T12:00:00+01:00")
	f.Add("0000-02-29T23:59:59-23:59")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := schema.ParseTimestamp(text)
		if again, okAgain := schema.ParseTimestamp([]byte(text)); again != got || ok != okAgain {
			t.Fatalf("%q: as bytes %v, %v; as text %v, %v", text, again, okAgain, got, ok)
		}
		var want time.Time
		if !rfc3339.MatchString(text) || want.UnmarshalText([]byte(text)) != nil {
			return
		}
		if year := want.UTC().Year(); year < 0 || year > 9999 {
			return
		}
		if !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	})
}

func BenchmarkParseTimestamp(b *testing.B) {
	text := []byte("2026-11-24T05:39:42.123Z")
	for b.Loop() {
		schema.ParseTimestamp(text)
	}
}
