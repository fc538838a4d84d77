package schema

import "time"

// TimestampFormat is the name of the format that ParseTimestamp reads.
const TimestampFormat = "timestamp"

// ParseTimestamp reads a date and a time of day as the clients of the common
// spec write them: RFC 3339, and also a space or t for the T, no seconds, a
// comma before the fraction, and an offset such as +0100 or +01, or none at
// all, which means UTC. The result is in UTC. Digits beyond nanoseconds count
// for nothing; a leap second is the first of the next minute.
func ParseTimestamp[T ~string | ~[]byte](s T) (time.Time, bool) {
	if u, ok := readUsual(s); ok {
		return u.time(), true
	}
	const shortest = len("2006-01-02T15:04")
	if len(s) < shortest || s[4] != '-' || s[7] != '-' || s[13] != ':' {
		return time.Time{}, false
	}
	if sep := s[10]; sep != 'T' && sep != 't' && sep != ' ' {
		return time.Time{}, false
	}
	century, year := digits2(s, 0), digits2(s, 2)
	month, day := digits2(s, 5), digits2(s, 8)
	hour, minute := digits2(s, 11), digits2(s, 14)
	if century < 0 || year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return time.Time{}, false
	}
	year += 100 * century
	second, nanos, end, ok := seconds(s, shortest)
	if !ok {
		return time.Time{}, false
	}
	offset, ok := zone(s, end)
	if !ok {
		return time.Time{}, false
	}
	if day > DaysIn(month, year) {
		return time.Time{}, false
	}
	at := int64(daysSince1970(year, month, day))*24*60*60 + int64(hour*60*60+minute*60+second) - int64(offset/time.Second)
	// An offset at either end of time leaves the years that RFC 3339 can write.
	return time.Unix(at, int64(nanos)).UTC(), firstSecond <= at && at <= lastSecond
}

// IsTimestamp tells whether ParseTimestamp reads s.
func IsTimestamp[T ~string | ~[]byte](s T) bool {
	if _, ok := readUsual(s); ok {
		return true
	}
	_, ok := ParseTimestamp(s)
	return ok
}

// firstSecond and lastSecond are those of the years 0 to 9999, as Unix time.
const (
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

// DaysIn is how many days a month has, from 1, of the Gregorian calendar.
func DaysIn(month, year int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days in the Gregorian calendar, from the year 0 on.
func daysSince1970(year, month, day int) int {
	// Years begin in March, so that a leap day is a year's last; and 400 of them
	// earlier, so that none is negative.
	const march1OfYear0, of400Years = -719468, 146097
	y, m := uint32(year+400), uint32(month+9)
	if m >= 12 {
		m -= 12
	} else {
		y--
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*m+2)/5 + uint32(day-1)
	return int(days) + march1OfYear0 - of400Years
}

// seconds reads :SS and a fraction at i, and tells where they end.
func seconds[T ~string | ~[]byte](s T, i int) (second, nanos, end int, ok bool) {
	if i == len(s) || s[i] != ':' {
		return 0, 0, i, true
	}
	second = digits2(s, i+1)
	if second < 0 || second > 60 {
		return 0, 0, 0, false
	}
	i += len(":05")
	if i == len(s) || s[i] != '.' && s[i] != ',' {
		return second, 0, i, true
	}
	i++
	first, unit := i, int(time.Second)
	for ; i < len(s) && isDigit(s[i]); i++ {
		unit /= 10
		nanos += int(s[i]-'0') * unit
	}
	return second, nanos, i, i > first
}

// zone reads the offset that ends the timestamp.
func zone[T ~string | ~[]byte](s T, i int) (time.Duration, bool) {
	rest := len(s) - i
	if rest == 0 || rest == 1 && (s[i] == 'Z' || s[i] == 'z') {
		return 0, true
	}
	if rest < len("+01") || s[i] != '+' && s[i] != '-' {
		return 0, false
	}
	hours, minutes := digits2(s, i+1), 0
	switch {
	case rest == len("+0100"):
		minutes = digits2(s, i+3)
	case rest == len("+01:00") && s[i+3] == ':':
		minutes = digits2(s, i+4)
	case rest != len("+01"):
		return 0, false
	}
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[i] == '-' {
		offset = -offset
	}
	return offset, true
}

// digits2 reads two digits at i; -1: there are none.
func digits2[T ~string | ~[]byte](s T, i int) int {
	if i+2 > len(s) || !isDigit(s[i]) || !isDigit(s[i+1]) {
		return -1
	}
	return int(s[i]-'0')*10 + int(s[i+1]-'0')
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isTimestamp is ParseTimestamp as the library wants a format: what is not a
// string has no format.
func isTimestamp(v any) bool {
	s, ok := v.(string)
	if !ok {
		return true
	}
	return IsTimestamp(s)
}
