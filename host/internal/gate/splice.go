package gate

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// edits are changes to the members of an event. Everything else stays as the
// client wrote it, byte by byte.
type edits struct {
	found   *found
	list    []edit // by where they are
	open    int    // the one that is being made
	scratch []byte // the texts of the edits

	received     time.Time // that was written last: all events of a batch have one
	receivedText []byte
}

// edit replaces raw[start:end] with scratch[from:to].
type edit struct {
	start, end int
	from, to   int
}

// names are the members that the gate can set, as they are written when the
// client did not send them.
var names = [memberCount]string{
	memberMessageID:         `,"messageId":`,
	memberTimestamp:         `,"timestamp":`,
	memberOriginalTimestamp: `,"originalTimestamp":`,
	memberSentAt:            `,"sentAt":`,
	memberReceivedAt:        `,"receivedAt":`,
	memberSourceID:          `,"sourceId":`,
	memberContext:           `,"context":`,
}

// reset makes e the edits of the text that f was found in.
func (e *edits) reset(f *found) {
	e.found = f
	e.list, e.scratch = e.list[:0], e.scratch[:0]
}

// replace begins an edit of the text from start to end. What is appended to
// scratch until done is what stands there instead.
func (e *edits) replace(start, end int) {
	e.list = append(e.list, edit{})
	at := len(e.list) - 1
	for ; at > 0 && e.list[at-1].start > start; at-- {
		e.list[at] = e.list[at-1]
	}
	e.list[at] = edit{start: start, end: end, from: len(e.scratch)}
	e.open = at
}

func (e *edits) done() { e.list[e.open].to = len(e.scratch) }

// set begins an edit that gives a member a value: in place where the client sent
// the member, and else at the end of the event.
func (e *edits) set(id memberID) {
	if m := e.found.members[id]; m.Kind != absent {
		e.replace(whole(m))
		return
	}
	e.replace(e.found.end-1, e.found.end-1)
	e.scratch = append(e.scratch, names[id]...)
}

func (e *edits) setTime(id memberID, t time.Time) {
	e.set(id)
	e.scratch = appendTime(e.scratch, t)
	e.done()
}

// setReceived is setTime for the time of receipt.
func (e *edits) setReceived(id memberID, t time.Time) {
	if e.receivedText == nil || e.received != t {
		e.received, e.receivedText = t, appendTime(e.receivedText[:0], t)
	}
	e.set(id)
	e.scratch = append(e.scratch, e.receivedText...)
	e.done()
}

func (e *edits) setText(id memberID, s string) {
	e.set(id)
	e.scratch = appendQuoted(e.scratch, s)
	e.done()
}

// setJSON gives a member a value that is JSON already.
func (e *edits) setJSON(id memberID, value string) {
	e.set(id)
	e.scratch = append(e.scratch, value...)
	e.done()
}

// setRaw gives a member the value that the client gave another one.
func (e *edits) setRaw(id, other memberID) {
	start, end := whole(e.found.members[other])
	e.set(id)
	e.scratch = append(e.scratch, e.found.raw[start:end]...)
	e.done()
}

// setViolations sets context.violations to a JSON array.
func (e *edits) setViolations(list []byte) {
	context, own := e.found.members[memberContext], e.found.members[memberContextViolations]
	switch {
	case context.Kind != object:
		e.set(memberContext)
		e.scratch = append(append(append(e.scratch, `{"violations":`...), list...), '}')
	case own.Kind != absent:
		e.replace(whole(own))
		e.scratch = append(e.scratch, list...)
	default:
		e.replace(context.End-1, context.End-1)
		if inner := e.found.raw[context.Start+1 : context.End-1]; len(bytes.TrimSpace(inner)) > 0 {
			e.scratch = append(e.scratch, ',')
		}
		e.scratch = append(append(e.scratch, `"violations":`...), list...)
	}
	e.done()
}

// apply appends the edited event, on one line.
func (e *edits) apply(to []byte) []byte {
	raw, at := e.found.raw, e.found.begin
	to = slices.Grow(to, e.found.end-at+len(e.scratch))
	first := len(to)
	for _, edit := range e.list {
		to = append(to, raw[at:edit.start]...)
		to = append(to, e.scratch[edit.from:edit.to]...)
		at = edit.end
	}
	to = append(to, raw[at:e.found.end]...)
	if e.found.lines {
		// A string cannot hold a line break, so these are between tokens.
		for i, c := range to[first:] {
			if c == '\n' || c == '\r' {
				to[first+i] = ' '
			}
		}
	}
	return to
}

// moved tells where in the edited event the text begins that is at start in
// the client's, and is not edited. It is right after apply.
func (e *edits) moved(start int) int {
	by := -e.found.begin
	for _, edit := range e.list {
		if edit.start < start {
			by += edit.to - edit.from - (edit.end - edit.start)
		}
	}
	return start + by
}

// whole gives a member's value with the quotes of a string.
func whole(m member) (start, end int) {
	if m.Kind == text {
		return m.Start - 1, m.End + 1
	}
	return m.Start, m.End
}

// appendQuoted appends a string as JSON.
func appendQuoted(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(to, asJSON(s)...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

// asJSON writes a string, or violations. That cannot fail.
func asJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
