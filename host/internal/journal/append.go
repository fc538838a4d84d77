package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// MaxEvent is the largest event that the journal takes, in bytes.
const MaxEvent = 8 << 20

// Batch is what a source hands over at once.
type Batch struct {
	// Events belong to the journal until their ticket is done.
	Events []event.Envelope
}

// Ticket tells when a batch is durable.
type Ticket struct {
	done       chan struct{}
	err        error
	duplicates int
}

// Wait returns when the batch is durable, with nil; when it is not and will not
// be, with the reason; or when ctx ends, which says nothing about the batch.
func (t *Ticket) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Done is closed when Wait would not wait.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// Duplicates is how many of the batch's events the journal already had, once
// Wait has returned nil.
func (t *Ticket) Duplicates() int { return t.duplicates }

func (t *Ticket) finish(err error) {
	t.err = err
	close(t.done)
}

// pending is a batch on its way.
type pending struct {
	ticket *Ticket
	events []event.Envelope
	units  []int // per event, where the unit that it begins ends; nil: each is alone
	size   int
	next   int // first event that is in no frame yet
}

// eventOverhead is what an event costs in the queue beside its bytes.
const eventOverhead = 256

// Append queues a batch, which is durable once its ticket says so. It waits
// while the queue is full, until ctx ends. Events that the journal already has
// are dropped; where one is still on its way, the ticket waits for it.
//
// The error is ErrTooLarge for an event over MaxEvent or a group over 16 MiB,
// and ErrClosed or ErrDiskFull, with the cause, while nothing can be stored.
func (j *Journal) Append(ctx context.Context, b Batch) (*Ticket, error) {
	p := &pending{ticket: &Ticket{done: make(chan struct{})}, events: b.Events}
	if len(b.Events) == 0 {
		p.ticket.finish(nil)
		return p.ticket, nil
	}
	grouped := false
	for i := range b.Events {
		env := &b.Events[i]
		if err := checkEvent(env); err != nil {
			return nil, fmt.Errorf("append event %d: %w", i, err)
		}
		grouped = grouped || env.Group != 0
		p.size += eventSize(env)
	}
	if grouped {
		p.units = units(b.Events)
		if err := checkUnits(b.Events, p.units); err != nil {
			return nil, err
		}
	}
	if err := j.queue.put(ctx, p, p.size); err != nil {
		return nil, err
	}
	return p.ticket, nil
}

func checkEvent(env *event.Envelope) error {
	if _, ok := typeCode(env.Type); !ok {
		return fmt.Errorf("unknown type %q", env.Type)
	}
	if len(env.JSON) > MaxEvent || eventSize(env) > maxUnit {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, eventSize(env))
	}
	if len(env.JSON) == 0 || bytes.IndexByte(env.JSON, '\n') >= 0 {
		return errors.New("an event is one line, not empty")
	}
	if len(env.Source) > maxSourceName {
		return fmt.Errorf("a source's name of %d bytes", len(env.Source))
	}
	return nil
}

// eventSize is what an event takes in the queue, and never less than in a frame.
func eventSize(env *event.Envelope) int {
	return len(env.JSON) + len(env.MessageID) + len(env.Attachment) + len(env.Source) + eventOverhead
}

// units returns for each event that begins a unit where that ends: the events
// that are in one frame or in none. A group's events need not be neighbours.
func units(events []event.Envelope) []int {
	last := make(map[uint32]int)
	for i := range events {
		if g := events[i].Group; g != 0 {
			last[g] = i
		}
	}
	ends := make([]int, len(events))
	for i := 0; i < len(events); {
		end := i + 1
		for k := i; k < end; k++ {
			if g := events[k].Group; g != 0 && last[g] >= end {
				end = last[g] + 1
			}
		}
		ends[i] = end
		i = end
	}
	return ends
}

func checkUnits(events []event.Envelope, ends []int) error {
	for i := 0; i < len(ends); i = ends[i] {
		size := 0
		for k := i; k < ends[i]; k++ {
			size += eventSize(&events[k])
		}
		if size > maxUnit || ends[i]-i > event.MaxFrameEvents {
			return fmt.Errorf("append group %d: %w: %d bytes in %d events", events[i].Group, ErrTooLarge, size, ends[i]-i)
		}
	}
	return nil
}
