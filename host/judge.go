package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// judged is a batch after the gate.
type judged struct {
	*scratch
	refusals   []event.Refusal
	violations []*wire.Violation // of refused and of dropped events
	dropped    []uint32
}

func (j *judged) verdict() *wire.Stored {
	return &wire.Stored{Violations: j.violations, Dropped: j.dropped}
}

// add takes what the gate said of the event with this index.
func (j *judged) add(index int, r gate.Result) {
	if r.Refusal == nil {
		j.accepted = append(j.accepted, r.Envelope)
		return
	}
	if r.Action == gate.Dropped {
		j.dropped = append(j.dropped, uint32(index))
	} else {
		j.refusals = append(j.refusals, *r.Refusal)
	}
	for _, v := range r.Refusal.Violations {
		j.violations = append(j.violations, &wire.Violation{
			Index: uint32(index), Code: v.Code, Path: v.Path, Keyword: v.Keyword, Message: v.Message,
			Schema: v.Schema, MessageId: r.Refusal.MessageID,
		})
	}
}

// scratch is what the judging of a batch needs until the batch is settled, and
// that of another can use again then.
type scratch struct {
	inputs   []gate.Input
	results  []gate.Result
	accepted []event.Envelope
	texts    []byte // of the accepted events
}

// maxScratch bounds, in bytes, the texts that are kept for the next batch.
const maxScratch = 4 << 20

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives back what the batch needed. Nothing of the accepted events may
// be used afterwards.
func (s *scratch) release() {
	if cap(s.texts) > maxScratch {
		s.texts = nil
	}
	wire.Poison(s.texts)
	clear(s.inputs)
	clear(s.results)
	clear(s.accepted)
	scratches.Put(s)
}

// spliced is about how many bytes the gate adds to an event.
const spliced = 256

// judge puts every claim of a batch through the gate.
func (l *lane) judge(b *batch) judged {
	now := time.Now()
	s := scratches.Get().(*scratch)
	s.inputs = inputsOf(s.inputs, b.Batch)
	s.results = slices.Grow(s.results[:0], len(s.inputs))[:len(s.inputs)]
	s.accepted = slices.Grow(s.accepted[:0], len(s.inputs))
	room := 0
	for i := range s.inputs {
		room += len(s.inputs[i].Claim) + spliced
	}
	s.texts = slices.Grow(s.texts[:0], room)
	for i := range s.inputs {
		s.results[i], s.texts = l.gate.JudgeInto(s.texts, s.inputs[i], now)
	}
	for _, g := range b.Groups {
		l.together(s.inputs, s.results, g, now)
	}
	j := judged{scratch: s}
	for i, r := range s.results {
		j.add(i, r)
	}
	return j
}

// together refuses the rest of a group of which an event is not accepted.
func (l *lane) together(inputs []gate.Input, results []gate.Result, g *wire.Group, now time.Time) {
	first, end := int(g.First), int(g.First)+int(g.Count)
	bad := -1
	for i := first; i < end && bad < 0; i++ {
		if results[i].Refusal != nil {
			bad = i
		}
	}
	if bad < 0 {
		return
	}
	why := results[bad].Refusal.Violations[0]
	for i := first; i < end; i++ {
		if results[i].Action == gate.Quarantined {
			continue
		}
		inputs[i].Own = append(inputs[i].Own, event.Violation{
			Code:    why.Code,
			Message: fmt.Sprintf("refused with event %d of its group: %s", bad-first, why.Message),
		})
		results[i] = l.gate.Judge(inputs[i], now)
	}
}

// inputsOf makes what the gate is asked, in the memory of an earlier batch.
func inputsOf(inputs []gate.Input, m *wire.Batch) []gate.Input {
	inputs = slices.Grow(inputs[:0], len(m.Events))[:len(m.Events)]
	for i, claim := range m.Events {
		inputs[i] = gate.Input{Claim: claim}
	}
	for n, g := range m.Groups {
		for i := g.First; i < g.First+g.Count; i++ {
			inputs[i].Group = uint32(n + 1)
		}
		inputs[g.First].Attachment = g.Attachment
	}
	for _, v := range m.Violations {
		inputs[v.Index].Own = append(inputs[v.Index].Own, event.Violation{
			Code: v.Code, Path: v.Path, Keyword: v.Keyword, Message: v.Message, Schema: v.Schema,
		})
	}
	return inputs
}

// laneCounts count the events of one source since the host's start.
type laneCounts struct {
	accepted, duplicates, refused, dropped, notStored atomic.Uint64
}

func (c *laneCounts) count(j judged, duplicates int) {
	c.accepted.Add(uint64(len(j.accepted) - duplicates))
	c.duplicates.Add(uint64(duplicates))
	c.refused.Add(uint64(len(j.refusals)))
	c.dropped.Add(uint64(len(j.dropped)))
}

// reasonOf says in the protocol's words why a batch was not stored.
func reasonOf(err error) *wire.NotStored {
	var full *quarantine.FullError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return notStored(wire.JournalBehind, time.Second)
	case errors.As(err, &full):
		return notStored(wire.QuarantineFull, time.Minute)
	case errors.Is(err, journal.ErrDiskFull):
		return notStored(wire.DiskFull, 10*time.Second)
	default:
		return notStored(wire.Closed, 2*time.Second)
	}
}

func notStored(reason string, retry time.Duration) *wire.NotStored {
	seconds := max(1, math.Ceil(retry.Seconds()))
	return &wire.NotStored{Reason: reason, RetryAfterSeconds: uint32(min(seconds, 3600))}
}
