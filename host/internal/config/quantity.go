package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// notA is what the parsers of this file return: the text, what it should have
// been, and how to mend it.
func notA(text, want, hint string) Problem {
	return Problem{Code: CodeWrongValue, What: fmt.Sprintf("%q is not %s", text, want), Hint: hint}
}

// Duration is a span of time, never negative: "500ms", "10s", "24h", "7d", "1d12h".
// A day is 24 hours.
type Duration time.Duration

const (
	day         = 24 * time.Hour
	maxDuration = Duration(36500 * day)
)

// ParseDuration reads a Duration of at most 36500 days.
func ParseDuration(s string) (Duration, error) {
	bad := func(hint string) (Duration, error) { return 0, notA(s, "a duration", hint) }
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return bad("a unit is missing: ms, s, m, h or d, such as " + s + "s")
	}
	var days, rest Duration
	if n, tail, ok := strings.Cut(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count > uint64(maxDuration/Duration(day)) {
			return bad("write it such as 500ms, 10s, 24h or 7d, 36500d at most")
		}
		days, s = Duration(count)*Duration(day), tail
	}
	if s != "" || days == 0 {
		d, err := time.ParseDuration(s)
		if err != nil || strings.ContainsAny(s, "+-") || Duration(d) > maxDuration-days {
			return bad("write it such as 500ms, 10s, 24h or 7d, 36500d at most")
		}
		rest = Duration(d)
	}
	return days + rest, nil
}

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is what ParseDuration reads back as the same Duration: whole days from
// two days on, else as short as time.Duration has it.
func (d Duration) String() string {
	std := time.Duration(d)
	if std >= 2*day {
		days := strconv.FormatInt(int64(std/day), 10) + "d"
		if std%day == 0 {
			return days
		}
		return days + Duration(std%day).String()
	}
	s := std.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

func (Duration) want() string { return "a duration such as 500ms, 10s, 24h or 7d" }

// Size is a number of bytes, never negative: "1000", "32KiB" (of 1024 bytes),
// "50GB" (of 1000³).
type Size int64

// Units of Size.
const (
	KB  Size = 1000
	MB       = 1000 * KB
	GB       = 1000 * MB
	TB       = 1000 * GB
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// From the largest, as String tries them.
var sizeUnits = []struct {
	name  string
	bytes Size
}{{"TiB", TiB}, {"TB", TB}, {"GiB", GiB}, {"GB", GB}, {"MiB", MiB}, {"MB", MB}, {"KiB", KiB}, {"KB", KB}, {"", 1}}

var sizeForm = regexp.MustCompile(`^([0-9]+)([A-Za-z]*)$`)

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	const general = "write a whole number with KB, MB, GB, TB (of 1000) or KiB, MiB, GiB, TiB (of 1024), or none for bytes"
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, notA(s, "a size", general)
	}
	number, unit := m[1], m[2]
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n > math.MaxInt64/int64(u.bytes) {
			return 0, notA(s, "a size", "it is too large")
		}
		return Size(n) * u.bytes, nil
	}
	switch letter := strings.ToUpper(unit[:1]); {
	case strings.ContainsAny(letter, "KMGT"):
		return 0, notA(s, "a size", fmt.Sprintf("write %s%sB (of 1000) or %s%siB (of 1024)", number, letter, number, letter))
	case letter == "B":
		return 0, notA(s, "a size", "write "+number+" for bytes")
	}
	return 0, notA(s, "a size", general)
}

// String is what ParseSize reads back as the same Size, in the largest unit
// that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSize.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}

func (Size) want() string { return "a size such as 1000, 32KiB or 50GB" }

// Rate is a count in a time: "1000/s", "5/m", "100/h", "1/d". The zero Rate is
// no limit.
type Rate struct {
	Count int64
	Per   Duration
}

const maxRateCount = 1_000_000_000

var rateUnits = []struct {
	name string
	per  Duration
}{{"s", Duration(time.Second)}, {"m", Duration(time.Minute)}, {"h", Duration(time.Hour)}, {"d", Duration(day)}}

// ParseRate reads a Rate; its count is 1 to a billion.
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(s, "/")
	count, err := strconv.ParseInt(number, 10, 64)
	if err != nil || count < 1 || count > maxRateCount {
		return Rate{}, notA(s, "a rate", "write a whole number from 1 per s, m, h or d, such as 1000/s or 5/m")
	}
	for _, u := range rateUnits {
		if u.name == unit {
			return Rate{Count: count, Per: u.per}, nil
		}
	}
	return Rate{}, notA(s, "a rate", fmt.Sprintf("write %d/s, %d/m, %d/h or %d/d", count, count, count, count))
}

// PerSecond returns the rate as a number per second; 0 is no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.Count) / time.Duration(r.Per).Seconds()
}

// IsZero reports whether there is no limit.
func (r Rate) IsZero() bool { return r == Rate{} }

// String is what ParseRate reads back as the same Rate; empty where there is
// no limit.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if u.per == r.Per {
			return strconv.FormatInt(r.Count, 10) + "/" + u.name
		}
	}
	if r.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d/%v", r.Count, r.Per)
}

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRate.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}

func (Rate) want() string { return "a rate such as 1000/s or 5/m" }
