package schema

import "time"

// usual is a time in the form that most clients write, 2006-01-02T15:04:05.000Z.
type usual struct {
	year, month, day, hour, minute, second, milli int
}

// readUsual reads that form, eight bytes at a time; what it does not read may
// still be a timestamp.
func readUsual[T ~string | ~[]byte](s T) (u usual, ok bool) {
	if len(s) != len("2006-01-02T15:04:05.000Z") {
		return usual{}, false
	}
	date, clock, rest := word(s, 0)^word("0000-00-", 0), word(s, 8)^word("00T00:00", 0), word(s, 16)^word(":00.000Z", 0)
	// What is left of a digit is its value, and nothing of what stands between
	// digits. Added to as much as is free below 0x80, what is more has the high bit.
	const digit, none = 0x7f - 9, 0x7f
	wrong := (date + word8(digit, digit, digit, digit, none, digit, digit, none)) | date
	wrong |= (clock + word8(digit, digit, none, digit, digit, none, digit, digit)) | clock
	wrong |= (rest + word8(none, digit, digit, none, digit, digit, digit, none)) | rest
	if wrong&0x8080808080808080 != 0 {
		return usual{}, false
	}
	u = usual{
		pair(date, 0)*100 + pair(date, 2), pair(date, 5), pair(clock, 0),
		pair(clock, 3), pair(clock, 6), pair(rest, 1), pair(rest, 4)*10 + int(rest>>48&0xff),
	}
	ok = 1 <= u.month && u.month <= 12 && 1 <= u.day && u.day <= DaysIn(u.month, u.year) &&
		u.hour <= 23 && u.minute <= 59 && u.second <= 59
	return u, ok
}

func (u usual) time() time.Time {
	at := int64(daysSince1970(u.year, u.month, u.day))*24*60*60 + int64(u.hour*60*60+u.minute*60+u.second)
	return time.Unix(at, int64(u.milli)*int64(time.Millisecond)).UTC()
}

// word reads eight bytes, the first as the lowest.
func word[T ~string | ~[]byte](s T, i int) uint64 {
	return word8(s[i], s[i+1], s[i+2], s[i+3], s[i+4], s[i+5], s[i+6], s[i+7])
}

func word8(a, b, c, d, e, f, g, h byte) uint64 {
	return uint64(a) | uint64(b)<<8 | uint64(c)<<16 | uint64(d)<<24 | uint64(e)<<32 | uint64(f)<<40 | uint64(g)<<48 | uint64(h)<<56
}

// pair makes a number of the two digits at i.
func pair(w uint64, i int) int {
	w >>= 8 * i
	return int(w&0xff)*10 + int(w>>8&0xff)
}
