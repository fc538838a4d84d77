package deliver

import (
	"context"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

const (
	// poisonous is how often a single event may fail while others pass.
	poisonous = 10
	// maxAhead and maxAheadBytes bound what was read ahead, to show whether others
	// pass, and is held since it failed too.
	maxAhead      = 100
	maxAheadBytes = 1 << 20
)

// suspect is a single event that failed and is tried again beside others.
type suspect struct {
	events []destination.Event // one
	// fails counts its failures, each but the first with something passed since
	// the one before; seen is what had passed at the last.
	fails, seen int
}

// suspect sets events aside.
func (l *Loop) suspect(events []destination.Event) {
	l.hand.suspects = append(l.hand.suspects, suspect{events: events, fails: 1, seen: l.hand.passed})
}

// settle tries the suspects in turn until each has passed or is in the
// quarantine.
func (l *Loop) settle(ctx context.Context) error {
	for len(l.hand.suspects) > 0 {
		before := l.hand.passed
		if err := l.probe(ctx); err != nil {
			return err
		}
		suspects := l.hand.suspects
		l.hand.suspects = nil
		for _, s := range suspects {
			if l.hand.passed > before {
				l.streak = 0 // it is up: only these fail
			}
			if err := l.retrySuspect(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// probe looks ahead when nothing else can show whether others than the suspects
// pass.
func (l *Loop) probe(ctx context.Context) error {
	for _, s := range l.hand.suspects {
		if s.seen == l.hand.passed {
			return l.lookAhead(ctx)
		}
	}
	return nil
}

// lookAhead sends the next event of the journal, if there is one, alone. It is
// then in hand as those of the batch are.
func (l *Loop) lookAhead(ctx context.Context) error {
	if l.hand.ahead >= maxAhead || l.hand.aheadBytes > maxAheadBytes {
		return nil
	}
	next, err := l.read.one(ctx)
	if err != nil {
		return l.hold(ctx, Retrying, journalError(err))
	}
	if len(next) == 0 {
		return nil
	}
	l.hand.events++
	n := len(l.hand.suspects)
	if err := l.send(ctx, next, false); err != nil {
		return err
	}
	if len(l.hand.suspects) > n {
		l.hand.ahead++
		l.hand.aheadBytes += len(next[0].JSON) + len(next[0].Attachment)
	}
	return nil
}

// sample tells, of a batch that keeps failing, whether anything passes: it sends
// the first of its events alone (the next time those after them), and then one
// from ahead. If nothing passes the destination is down, and the batch stays
// together. It returns the events that are left.
func (l *Loop) sample(ctx context.Context, events []destination.Event) (rest []destination.Event, alive bool, err error) {
	passed, refused := l.hand.passed, l.hand.refused
	moved := func() bool { return l.hand.passed > passed || l.hand.refused > refused }
	for range min(samples, len(events)) {
		i := l.hand.sampled % len(events)
		l.hand.sampled++
		_, e, err := l.attempt(ctx, events[i:i+1])
		switch {
		case err != nil:
		case e == nil:
		case e.Kind == destination.Refused:
			err = l.refuse(ctx, events[i], e)
		default:
			err = l.retryLater(ctx, e)
		}
		if err != nil {
			return nil, false, err
		}
		if moved() {
			return slices.Delete(slices.Clone(events), i, i+1), true, nil
		}
	}
	err = l.lookAhead(ctx)
	return events, moved(), err
}

// retrySuspect sends one suspect once more; unless that resolves it, it is a
// suspect again.
func (l *Loop) retrySuspect(ctx context.Context, s suspect) error {
	_, e, err := l.attempt(ctx, s.events)
	switch {
	case err != nil || e == nil:
		return err
	case e.Kind == destination.Refused:
		return l.refuse(ctx, s.events[0], e)
	case e.Kind == destination.Failed && l.hand.passed > s.seen:
		s.fails, s.seen = s.fails+1, l.hand.passed
	}
	if s.fails >= poisonous {
		return l.refuse(ctx, s.events[0], e)
	}
	l.hand.suspects = append(l.hand.suspects, s)
	return l.retryLater(ctx, e)
}
