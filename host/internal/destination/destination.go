// Package destination is what the delivery loops know of a place where events
// go: one method, a few optional ones, and words for how a send can fail.
//
// Each kind of destination has a folder of its own below this one. None knows
// of journals, cursors or other destinations.
package destination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Event is one accepted event on its way to a destination.
type Event struct {
	Position  event.Position
	Source    event.SourceID
	Type      event.Type
	MessageID string
	// JSON is one object on one line, without a newline. It belongs to the
	// sender until Send returns and must not be kept or changed.
	JSON []byte
	// Attachment is what the source keeps beside a group, on its first event.
	Attachment []byte
}

// Destination takes events.
type Destination interface {
	// Send hands over a batch in journal order, never empty. Nil means that the
	// destination has all of it (with a Flusher: once Flush has returned). Any
	// other error is an *Error, or is treated as Unavailable.
	//
	// One Send runs at a time. After an error or a restart the same events may
	// come again, in other batches, with the same message ids.
	Send(ctx context.Context, batch []Event) error
}

// Flusher is a Destination that has not taken events for good until it is told
// to. The cursor moves only after Flush.
type Flusher interface {
	Destination
	// Flush makes all that Send took durable and returns the destination's own
	// mark, which is kept beside the cursor (at most 4 KiB).
	Flush(ctx context.Context) (mark []byte, err error)
	// Resume is called once before the first Send with the mark of the last
	// Flush, or nil. It brings the destination back to that mark and returns
	// what an operator should know of it; empty: nothing.
	Resume(ctx context.Context, mark []byte) (report string, err error)
}

// Batcher is a Destination with bounds of its own on a batch. A single event
// larger than bytes is sent alone.
type Batcher interface {
	Destination
	Batch() (events, bytes int)
}

// Closer is a Destination that holds something to give back.
type Closer interface {
	Destination
	Close() error
}

// Kind says what a failed send means for what happens next.
type Kind int

const (
	// Unavailable is no verdict on the events: no answer, 429, 503, 401. It is
	// tried again without limit.
	Unavailable Kind = iota
	// Failed may be the batch's own fault (an answer of 500): tried again, then
	// in halves, down to the event that cannot be sent.
	Failed
	// Refused is the destination's last word on these events. A batch is
	// halved down to the refused event, which goes to the quarantine.
	Refused
)

// Error is how a send failed.
type Error struct {
	Kind Kind
	// Code is stable, for operators: timeout, refused_connection, http_503, …
	Code string
	// Hint is what an operator can do; empty: nothing but wait.
	Hint string
	// RetryAfter is what the destination asked for; 0: nothing.
	RetryAfter time.Duration
	// Attention marks a failure that no waiting mends, such as a wrong key.
	Attention bool
	Err       error
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return fmt.Sprintf("%s: %v (%s)", e.Code, e.Err, e.Hint)
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error; one of another type is Unavailable.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Unavailable, Code: "error", Err: err}
}
