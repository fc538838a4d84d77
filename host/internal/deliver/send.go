package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	// patience is how many failures of a batch are taken for a passing trouble.
	patience = 3
	// After these, so many of its events are sent alone to see whether any
	// passes, and others after sampleEvery failures more.
	samples     = 3
	sampleEvery = 10
)

// hand is how the batch in hand is coming on.
type hand struct {
	events          int // of the batch and of those read ahead
	passed, refused int
	suspects        []suspect
	// ahead and aheadBytes count the suspects that are not of the batch.
	ahead, aheadBytes int
	// sampled counts the events of the batch that were sent as samples.
	sampled int
}

// tally counts what was taken, and the frames that the journal no longer had.
type tally struct {
	events, bytes, gapFrames uint64
}

func (t *tally) add(events []destination.Event) {
	for i := range events {
		t.bytes += uint64(len(events[i].JSON))
	}
	t.events += uint64(len(events))
}

// deliver resolves a batch: when it returns nil, the destination or the
// quarantine has each of its events.
func (l *Loop) deliver(ctx context.Context, events []destination.Event) error {
	l.hand = hand{events: len(events)}
	l.status.pending(l.read.oldest)
	if err := l.send(ctx, events, true); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	l.done, l.doneOffset = l.read.pos, l.read.offset
	switch {
	case l.hand.passed > 0:
		l.refusals = 0
	case l.hand.refused > 0:
		l.refusals++
	}
	l.hand = hand{}
	return nil
}

// send resolves events, or leaves them as suspects. Whole is a batch that has not
// been taken apart.
func (l *Loop) send(ctx context.Context, events []destination.Event, whole bool) error {
	for failures := 0; ; {
		rest, e, err := l.attempt(ctx, events)
		if err != nil || e == nil {
			return err
		}
		events = rest
		if e.Kind == destination.Refused {
			if len(events) == 1 {
				return l.refuse(ctx, events[0], e)
			}
			return l.halve(ctx, events)
		}
		if err := l.retryLater(ctx, e); err != nil {
			return err
		}
		if e.Kind != destination.Failed {
			continue
		}
		failures++
		switch {
		case len(events) == 1:
			l.suspect(events)
			return nil
		case whole && (failures < patience || (failures-patience)%sampleEvery != 0):
			continue
		case whole:
			rest, alive, err := l.sample(ctx, events)
			if err != nil {
				return err
			}
			if events = rest; !alive {
				continue
			}
		}
		return l.halve(ctx, events)
	}
}

func (l *Loop) halve(ctx context.Context, events []destination.Event) error {
	middle := len(events) / 2
	if middle > 0 {
		if err := l.send(ctx, events[:middle], false); err != nil {
			return err
		}
	}
	return l.send(ctx, events[middle:], false)
}

// attempt sends events once. It returns those that are to be sent again or
// refused, and why; or err when work is to end.
func (l *Loop) attempt(ctx context.Context, events []destination.Event) (rest []destination.Event, e *destination.Error, err error) {
	longer, cancel := outlive(ctx)
	defer cancel()
	began := time.Now()
	err = l.Target.Send(longer, events)
	l.attempts.add(attemptOf(events, began, err))
	var partial destination.Partial
	switch {
	case err == nil:
		l.passed(events)
		return nil, nil, nil
	case errors.As(err, &partial) && (len(events) > 1 || partial[0] == nil):
		return l.sort(ctx, events, partial)
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case partial != nil:
		return events, partial[0], nil
	}
	return events, destination.AsError(err), nil
}

// sort resolves a partial failure by each event's own verdict. Those without one
// are returned.
func (l *Loop) sort(ctx context.Context, events []destination.Event, p destination.Partial) (rest []destination.Event, why *destination.Error, err error) {
	var refused []int
	for i := range events {
		e, failed := p[i]
		switch {
		case !failed:
			l.passed(events[i : i+1])
		case e.Kind == destination.Refused:
			refused = append(refused, i)
		case e.Kind == destination.Failed:
			l.suspect(events[i : i+1])
		default:
			rest, why = append(rest, events[i]), e
		}
	}
	for _, i := range refused {
		if err := l.refuse(ctx, events[i], p[i]); err != nil {
			return nil, nil, err
		}
	}
	return rest, why, nil
}

// passed notes that the destination took events.
func (l *Loop) passed(events []destination.Event) {
	l.sent.add(events)
	l.hand.passed += len(events)
	l.recovered()
}

// recovered ends a row of failures.
func (l *Loop) recovered() {
	l.streak = 0
	l.status.run()
	if l.warned != "" {
		l.Log.Info("delivery goes on", "after", l.warned)
		l.warned = ""
	}
}

// refuse puts an event into the quarantine, until that works.
func (l *Loop) refuse(ctx context.Context, ev destination.Event, why *destination.Error) error {
	refusal := refusalOf(l.Name, ev, why)
	for {
		longer, cancel := outlive(ctx)
		err := l.Quarantine.Refuse(longer, []event.Refusal{refusal})
		cancel()
		if err == nil {
			if l.hand.refused++; l.hand.refused == 1 {
				l.Log.Warn("the destination refused an event, which is now in the quarantine; others of the batch may follow",
					"code", why.Code, "source", string(ev.Source), "message_id", ev.MessageID, "position", ev.Position.String(), "reason", why.Err)
			}
			l.status.quarantined()
			return nil
		}
		e := &destination.Error{
			Code: "quarantine", Err: err,
			Hint: "replay or drop quarantined events, or raise quarantine.max_bytes",
		}
		if err := l.hold(ctx, QuarantineFull, e); err != nil {
			return err
		}
	}
}

func refusalOf(name event.DestinationID, ev destination.Event, why *destination.Error) event.Refusal {
	sum := sha256.Sum256(ev.JSON)
	return event.Refusal{
		Source: ev.Source, MessageID: ev.MessageID, ReceivedAt: ev.ReceivedAt, Destination: name,
		Claim: bytes.Clone(ev.JSON), Size: len(ev.JSON), Hash: hex.EncodeToString(sum[:]), Attachment: bytes.Clone(ev.Attachment),
		Violations: []event.Violation{{Code: event.CodeDestination, Message: why.Error()}},
	}
}
