package translate

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// who is whom an event is about, as JSON strings; nil: not named.
type who struct{ user, anonymous value }

// writer writes the events of one call.
type writer struct {
	id        value // of the call, where the client gave it one
	timestamp value // of what happened; nil: the host's time
	events    []sdk.Event
	out       []byte // the event in hand
}

// frame is what an event takes in bytes beyond what the call says.
const frame = 200

// begin begins an event of which what follows takes about size bytes.
func (w *writer) begin(typ string, about who, size int) {
	w.out = make([]byte, 0, frame+len(w.id)+len(about.user)+len(about.anonymous)+size)
	w.out = append(w.out, `{"type":"`...)
	w.out = append(w.out, typ...)
	w.out = append(w.out, '"')
	if w.id != nil {
		w.member("messageId", w.id[:len(w.id)-1])
		w.out = append(w.out, '/')
		w.out = strconv.AppendInt(w.out, int64(len(w.events)+1), 10)
		w.out = append(w.out, '"')
	}
	if about.user != nil {
		w.member("userId", about.user)
	}
	if about.anonymous != nil {
		w.member("anonymousId", about.anonymous)
	}
	if w.timestamp != nil {
		w.member("timestamp", w.timestamp)
	}
}

// track begins a track call up to its properties.
func (w *writer) track(event string, about who, size int) {
	w.begin("track", about, size)
	w.out = append(w.out, `,"event":"`...)
	w.out = append(w.out, event...)
	w.out = append(w.out, `","properties":{`...)
}

// end ends the event with what closes it.
func (w *writer) end(closing string) {
	w.out = append(w.out, closing...)
	w.events = append(w.events, w.out)
	w.out = nil
}

// member writes a member of an object that has others or was begun.
func (w *writer) member(name string, v value) {
	w.comma()
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, `":`...)
	w.out = append(w.out, v...)
}

// object writes a member that is an object; {} where there is none.
func (w *writer) object(name string, v value) {
	if v.none() {
		v = value(`{}`)
	}
	w.member(name, v)
}

// rest writes the members of an object, which may be none, but for those of
// these names.
func (w *writer) rest(v value, but ...string) {
	if !v.is('{') {
		return
	}
	for m := range v.members() {
		if !oneOf(m, but) {
			w.comma()
			w.out = append(w.out, m.whole...)
		}
	}
}

func (w *writer) comma() {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
}

// timestampOf returns a Unix time in seconds, a number or its text, as the
// common spec writes it. What is neither is passed on for the host to judge.
func timestampOf(v value) value {
	if v.none() || string(v) == `""` {
		return nil
	}
	digits := string(v)
	if v.is('"') {
		digits = v.text()
	}
	seconds, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(firstSecond <= seconds && seconds <= lastSecond) {
		return v
	}
	t := time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	out := append(make([]byte, 0, 32), '"')
	return append(t.AppendFormat(out, time.RFC3339Nano), '"')
}

// The years that the common spec can write: 1 to 9999.
const (
	firstSecond = -62_135_596_800
	lastSecond  = 253_402_300_799
)

// messageID returns the client's id of a call as a JSON string; nil: it gave
// none that is a ULID. Any other may well be something else's, such as an order's,
// and a second event of it must not be taken for the first one again.
func messageID(v value) (value, *Error) {
	if v.none() || v.is('0') {
		return nil, nil
	}
	if !v.is('"') {
		return nil, invalid("id", "id must be a string value")
	}
	if !ulid(v.text()) {
		return nil, nil
	}
	return v, nil
}

// ulid reports whether s is 26 digits of Crockford's base 32, of 128 bits.
// Source: github.com/ulid/spec.
func ulid(s string) bool {
	if len(s) != 26 || s[0] > '7' {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'z' || strings.IndexByte("ilou", c) >= 0) {
			return false
		}
	}
	return true
}
