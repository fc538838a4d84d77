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
	scan    *scanner
	list    []edit
	scratch []byte // the texts of the edits
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

// reset makes e the edits of the text that s has scanned.
func (e *edits) reset(s *scanner) {
	e.scan = s
	e.list, e.scratch = e.list[:0], e.scratch[:0]
}

// set gives a member the value that write appends: in place where the client
// sent the member, and else at the end of the event.
func (e *edits) set(id memberID, write func(to []byte) []byte) {
	from := len(e.scratch)
	start, end := e.scan.end-1, e.scan.end-1
	if m := e.scan.members[id]; m.Kind != absent {
		start, end = whole(m)
	} else {
		e.scratch = append(e.scratch, names[id]...)
	}
	e.scratch = write(e.scratch)
	e.list = append(e.list, edit{start: start, end: end, from: from, to: len(e.scratch)})
}

func (e *edits) setTime(id memberID, t time.Time) {
	e.set(id, func(to []byte) []byte { return appendTime(to, t) })
}

func (e *edits) setText(id memberID, s string) {
	e.set(id, func(to []byte) []byte { return append(to, asJSON(s)...) })
}

// setRaw gives a member the value that the client gave another one.
func (e *edits) setRaw(id, other memberID) {
	start, end := whole(e.scan.members[other])
	e.set(id, func(to []byte) []byte { return append(to, e.scan.raw[start:end]...) })
}

// setViolations sets context.violations to a JSON array.
func (e *edits) setViolations(list []byte) {
	context := e.scan.members[memberContext]
	if context.Kind != object {
		e.set(memberContext, func(to []byte) []byte {
			to = append(to, `{"violations":`...)
			return append(append(to, list...), '}')
		})
		return
	}
	start, end := context.End-1, context.End-1
	from := len(e.scratch)
	if own := e.scan.members[memberContextViolations]; own.Kind != absent {
		start, end = whole(own)
	} else {
		if inner := e.scan.raw[context.Start+1 : context.End-1]; len(bytes.TrimSpace(inner)) > 0 {
			e.scratch = append(e.scratch, ',')
		}
		e.scratch = append(e.scratch, `"violations":`...)
	}
	e.scratch = append(e.scratch, list...)
	e.list = append(e.list, edit{start: start, end: end, from: from, to: len(e.scratch)})
}

// apply makes the edited event, on one line.
func (e *edits) apply() []byte {
	slices.SortStableFunc(e.list, func(a, b edit) int { return a.start - b.start })
	raw := e.scan.raw
	out := make([]byte, 0, e.scan.end-e.scan.begin+len(e.scratch))
	at := e.scan.begin
	for _, edit := range e.list {
		out = append(out, raw[at:edit.start]...)
		out = append(out, e.scratch[edit.from:edit.to]...)
		at = edit.end
	}
	out = append(out, raw[at:e.scan.end]...)
	if e.scan.lines {
		// A string cannot hold a line break, so these are between tokens.
		for i, c := range out {
			if c == '\n' || c == '\r' {
				out[i] = ' '
			}
		}
	}
	return out
}

// whole gives a member's value with the quotes of a string.
func whole(m member) (start, end int) {
	if m.Kind == text {
		return m.Start - 1, m.End + 1
	}
	return m.Start, m.End
}

// asJSON writes a string, or violations. That cannot fail.
func asJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
