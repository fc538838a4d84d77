package gate

import (
	"time"

	"github.com/wellhead-io/wellhead/host/internal/schema"
)

// plausibleSkew is by how much a client's clock may differ from the host's
// without proof: a wrong time zone explains up to a day.
const plausibleSkew = 24 * time.Hour

// correct moves a client's timestamp to the host's clock: the time from
// timestamp to sentAt is right even where the clock that gave both is wrong.
//
// It assumes that one clock gave both. A sentAt that was never set (year 1, or
// 1970) beside a timestamp from elsewhere would move the event by centuries. So
// a skew of more than a day is believed only where the timestamp shows it too:
// where correcting brings the event closer to its receipt, and not past it.
// Else sentAt is absurd, and ok is false; so it is where the event would move out
// of the years that can be written.
func correct(timestamp, sentAt, receivedAt time.Time) (corrected time.Time, ok bool) {
	skew := receivedAt.Sub(sentAt)
	corrected = timestamp.Add(skew)
	if !writable(corrected) {
		return timestamp, false
	}
	if skew.Abs() <= plausibleSkew {
		return corrected, true
	}
	if corrected.After(receivedAt.Add(plausibleSkew)) {
		return timestamp, false
	}
	return corrected, receivedAt.Sub(corrected).Abs() < receivedAt.Sub(timestamp).Abs()
}

// writable tells whether RFC 3339 has the year of t.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return 0 <= year && year <= 9999
}

// appendTime appends t as RFC 3339, in quotes, with milliseconds, or with
// nanoseconds where t has them. The year is one of four digits.
func appendTime(to []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	fraction, digits := t.Nanosecond(), 9
	if fraction%int(time.Millisecond) == 0 {
		fraction, digits = fraction/int(time.Millisecond), 3
	}
	const zeros = `"0000-00-00T00:00:00.000000000`
	at := len(to)
	to = append(to, zeros[:len(zeros)-9+digits]...)
	b := to[at:]
	put2(b, 1, year/100)
	put2(b, 3, year%100)
	put2(b, 6, int(month))
	put2(b, 9, day)
	put2(b, 12, hour)
	put2(b, 15, minute)
	put2(b, 18, second)
	for i := len(b) - 1; fraction > 0; i-- {
		b[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	return append(to, `Z"`...)
}

// put2 writes two digits at i.
func put2(b []byte, i, n int) { b[i], b[i+1] = byte('0'+n/10), byte('0'+n%10) }

// isRFC3339 tells whether a timestamp that package schema reads is written as
// destinations expect it.
func isRFC3339(s []byte) bool {
	const minutes, leap, dot = len("2006-01-02T15:04"), len("2006-01-02T15:04:"), len("2006-01-02T15:04:05")
	n := len(s)
	if n <= dot || s[10] != 'T' || s[minutes] != ':' || s[leap] == '6' || s[dot] == ',' {
		return false
	}
	colon := len(":00")
	sign := len("+00:00")
	return s[n-1] == 'Z' || n >= dot+sign && s[n-colon] == ':' && (s[n-sign] == '+' || s[n-sign] == '-')
}

// setTimes sets the event's own times: what the client called timestamp becomes
// originalTimestamp, and timestamp what is right by the host's clock. It tells
// whether sentAt was absurd.
func (e *edits) setTimes(sentAt string, receivedAt time.Time) (absurd bool) {
	f := e.found
	e.setReceived(memberReceivedAt, receivedAt)
	var sent time.Time
	var known bool
	if f.given(memberSentAt) {
		sent, known = schema.ParseTimestamp(f.value(memberSentAt))
	} else if sentAt != "" {
		sent, known = schema.ParseTimestamp(sentAt)
		e.setText(memberSentAt, sentAt)
	}
	if !f.given(memberTimestamp) {
		e.setReceived(memberTimestamp, receivedAt)
		return false
	}
	own := f.value(memberTimestamp)
	e.setRaw(memberOriginalTimestamp, memberTimestamp)
	timestamp, ok := schema.ParseTimestamp(own)
	if !ok {
		return false
	}
	if known {
		corrected, ok := correct(timestamp, sent, receivedAt)
		if ok {
			e.setTime(memberTimestamp, corrected)
			return false
		}
		absurd = true
	}
	if !isRFC3339(own) && writable(timestamp) {
		e.setTime(memberTimestamp, timestamp)
	}
	return absurd
}
