package sdk

import (
	"context"
	"time"
)

// Poll makes a Source from a function that is called every interval, at once
// the first time. The function reads what is new since p.Checkpoint and calls
// p.Emit, with the checkpoint after which it goes on. An error is shown to the
// operator; the function is called again after a pause.
func Poll(interval time.Duration, poll func(ctx context.Context, p *Poller) error) Source {
	return &pollSource{interval: interval, poll: poll}
}

// Poller is what a Poll function has to work with.
type Poller struct {
	*Stream
	checkpoint []byte
}

// Checkpoint returns the checkpoint of the last Emit, or the durable one after
// a restart; nil: from the beginning.
func (p *Poller) Checkpoint() []byte { return p.checkpoint }

// Emit stores events and then the checkpoint after them, in as many batches as
// the host's bounds ask for. It waits while the host cannot store. The verdict
// counts events across all the batches.
func (p *Poller) Emit(ctx context.Context, next []byte, events ...Event) (Verdict, error) {
	var all Verdict
	done := 0
	for {
		n := fits(events[done:], p.Limits())
		b := Batch{Events: events[done : done+n]}
		last := done+n == len(events)
		if last {
			b.Checkpoint = next
		}
		v, err := p.Store(ctx, b)
		if err != nil {
			return all, err
		}
		for _, w := range v.Violations {
			w.Index += done
			all.Violations = append(all.Violations, w)
		}
		done += n
		if last {
			p.checkpoint = next
			return all, nil
		}
	}
}

// fits returns how many of the events go into one batch: at least one, so that
// the host refuses an oversize event rather than that it blocks the others.
func fits(events []Event, l Limits) int {
	size := 0
	for i, e := range events {
		size += len(e)
		if i > 0 && (l.BatchBytes > 0 && size > l.BatchBytes || l.BatchEvents > 0 && i >= l.BatchEvents) {
			return i
		}
	}
	return len(events)
}

type pollSource struct {
	interval time.Duration
	poll     func(ctx context.Context, p *Poller) error
}

func (s *pollSource) Run(ctx context.Context, stream *Stream) error {
	ctx, stop := untilDraining(ctx, stream)
	defer stop()
	p := &Poller{Stream: stream, checkpoint: stream.Checkpoint()}
	for {
		if err := s.poll(ctx, p); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !s.pause(ctx, stream) {
			return nil
		}
	}
}

// untilDraining returns a context that ends when the stream has to finish.
func untilDraining(ctx context.Context, s *Stream) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.Draining():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// pause waits for the interval and shows meanwhile that the loop turns.
func (s *pollSource) pause(ctx context.Context, stream *Stream) bool {
	next := time.NewTimer(s.interval)
	defer next.Stop()
	alive := time.NewTicker(stream.maxSilence / 3)
	defer alive.Stop()
	stream.Alive()
	for {
		select {
		case <-next.C:
			return ctx.Err() == nil
		case <-alive.C:
			stream.Alive()
		case <-ctx.Done():
			return false
		}
	}
}
