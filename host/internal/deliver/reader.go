package deliver

import (
	"bytes"
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// maxScan is how many frames are looked through for one batch, so that a
// cursor moves while it passes over a long run of events of other destinations.
const maxScan = 256

// reader forms batches from the frames of a journal.
type reader struct {
	journal   Journal
	wants     func(event.SourceID) bool
	takes     func(destination.Event) bool // of a Selector; nil: all
	maxEvents int
	maxBytes  int

	// pos is the next event to read, offset the journal's bytes before its frame.
	pos    event.Position
	offset uint64
	frame  Frame // that of pos; nil: not fetched
	// onGap hears that the journal no longer has the frames before f.
	onGap func(f Frame)

	// Events are copied here, so that a batch of few events from many frames
	// does not hold those frames. Both are used again by the next batch.
	arena  []byte
	events []destination.Event
	// oldest is when the first frame of the batch was written.
	oldest time.Time
}

const (
	defaultBatchEvents = 1000
	defaultBatchBytes  = 1 << 20
)

func newReader(o Options, onGap func(Frame)) *reader {
	r := &reader{
		journal: o.Journal, wants: o.Wants, onGap: onGap,
		maxEvents: defaultBatchEvents, maxBytes: defaultBatchBytes,
	}
	if b, ok := o.Target.(destination.Batcher); ok {
		r.maxEvents, r.maxBytes = b.Batch()
	}
	return r
}

// seek makes pos the next event to read and forgets the batch.
func (r *reader) seek(pos event.Position, offset uint64) {
	r.pos, r.offset, r.frame = pos, offset, nil
	r.clear()
}

func (r *reader) clear() {
	clear(r.events)
	r.events, r.arena, r.oldest = r.events[:0], r.arena[:0], time.Time{}
	if cap(r.arena) > 2*r.maxBytes {
		r.arena = nil // it grew for one large event
	}
}

// batch drops the last batch and forms the next from what is there. While there
// is nothing it waits for the journal, until the deadline (zero: for ever). It
// may return no events: at the deadline, or having passed over frames of which
// it wants none.
func (r *reader) batch(ctx context.Context, deadline time.Time) ([]destination.Event, error) {
	r.clear()
	if r.idle() {
		if err := r.wait(ctx, deadline); err != nil || r.frame == nil {
			return nil, err
		}
	}
	for range maxScan {
		f, err := r.peek(ctx)
		if err != nil && len(r.events) == 0 {
			return nil, err
		}
		if f == nil {
			break // what there is goes first; the error comes again
		}
		if full := r.take(r.add); full {
			break
		}
	}
	return r.events, nil
}

// wait fetches the next frame; at the deadline there is none, and no error.
func (r *reader) wait(ctx context.Context, deadline time.Time) error {
	if deadline.IsZero() {
		return r.fetch(ctx)
	}
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err := r.fetch(limited)
	if err != nil && limited.Err() != nil {
		return ctx.Err()
	}
	return err
}

// one returns a copy of the next wanted event, if one is there already. It is
// not part of the batch.
func (r *reader) one(ctx context.Context) (events []destination.Event, err error) {
	take := func(e destination.Event) bool {
		if len(events) > 0 {
			return false
		}
		e.JSON, e.Attachment = bytes.Clone(e.JSON), bytes.Clone(e.Attachment)
		events = []destination.Event{e}
		return true
	}
	for range maxScan {
		if f, err := r.peek(ctx); err != nil || f == nil {
			return events, err
		}
		if full := r.take(take); full || len(events) > 0 {
			break
		}
	}
	return events, nil
}

// peek returns the frame of pos; nil: it is not written yet.
func (r *reader) peek(ctx context.Context) (Frame, error) {
	if r.idle() {
		return nil, nil
	}
	if r.frame == nil {
		if err := r.fetch(ctx); err != nil {
			return nil, err
		}
	}
	return r.frame, nil
}

// pass moves on to the next frame and counts the wanted events of this one.
func (r *reader) pass() (events uint64) {
	r.take(func(destination.Event) bool {
		events++
		return true
	})
	return events
}

// idle tells whether batch would wait.
func (r *reader) idle() bool { return r.frame == nil && !r.ready() }

// ready tells whether a frame can be had without waiting.
func (r *reader) ready() bool { return r.journal.Extent().Last >= r.pos.Frame() }

// fetch gets the frame of pos, or the next that is left.
func (r *reader) fetch(ctx context.Context) error {
	f, err := r.journal.Next(ctx, r.pos.Frame())
	if err != nil {
		return err
	}
	if f.Seq() > r.pos.Frame() {
		r.onGap(f)
		r.pos = event.At(f.Seq(), 0)
	}
	r.frame, r.offset = f, f.Offset()
	return nil
}

// take gives the wanted events of the frame to add, until add is full or the
// frame is through.
func (r *reader) take(add func(destination.Event) bool) (full bool) {
	f, wants := r.frame, r.memo()
	for i := r.pos.Index(); i < f.Len(); i++ {
		if !wants(f.Source(i)) {
			continue
		}
		e := f.Event(i)
		if r.takes != nil && !r.takes(e) {
			continue
		}
		if !add(e) {
			r.pos = event.At(f.Seq(), i)
			return true
		}
	}
	r.pos, r.offset, r.frame = event.At(f.Seq()+1, 0), f.Offset()+uint64(f.Size()), nil
	return false
}

// memo is wants, asked once for each run of events of one source.
func (r *reader) memo() func(event.SourceID) bool {
	var last event.SourceID
	known, wanted := false, false
	return func(s event.SourceID) bool {
		if !known || s != last {
			last, known, wanted = s, true, r.wants(s)
		}
		return wanted
	}
}

// add copies an event into the batch, unless that would exceed a bound. A first
// event is taken whatever its size.
func (r *reader) add(e destination.Event) bool {
	size := len(e.JSON) + len(e.Attachment)
	switch {
	case len(r.events) == 0:
		r.oldest = r.frame.Time()
	case len(r.events) >= r.maxEvents || size > r.maxBytes-len(r.arena):
		return false
	}
	r.arena = append(append(r.arena, e.JSON...), e.Attachment...)
	copied := r.arena[len(r.arena)-size:]
	e.JSON = copied[:len(e.JSON):len(e.JSON)]
	if e.Attachment != nil {
		e.Attachment = copied[len(e.JSON):size:size]
	}
	r.events = append(r.events, e)
	return true
}
