// Package destination is what the delivery loops know of a place where events
// go: one method, a few optional ones, and words for how a send can fail. It also
// has what the kinds that speak HTTP share.
//
// Each kind of destination has a folder of its own below this one. None knows
// of journals, cursors or other destinations.
package destination

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Event is one accepted event on its way to a destination.
type Event struct {
	Position   event.Position
	Source     event.SourceID
	Type       event.Type
	MessageID  string
	ReceivedAt time.Time
	// JSON is one object on one line, without a newline. It belongs to the
	// sender until Send returns and must not be kept or changed.
	JSON []byte
	// Attachment is what the source keeps beside a group, on its first event.
	// It belongs to the sender as JSON does.
	Attachment []byte
}

// Destination takes events. Its methods are called one at a time, but for Run.
type Destination interface {
	// Send hands over a batch in journal order, never empty. Nil means that the
	// destination has all of it (with a Flusher: once Flush has returned). Any
	// other error is an *Error or a Partial, or is treated as Unavailable.
	//
	// After an error or a restart the same events may come again, in other
	// batches, with the same message ids.
	Send(ctx context.Context, batch []Event) error
}

// Flusher is a Destination that has not taken events for good until it is told
// to. It keeps a mark of its own beside the cursor, so that it can come back to
// exactly what the cursor says.
type Flusher interface {
	Destination
	// Resume comes before the first Send, and again after a failed Flush and
	// after an Error that is Lost. It brings the destination back to the mark
	// that was kept last (nil: none yet): what Send took since then is gone or is
	// going to be, and comes again. Notify tells what an operator should
	// know; the destination may keep it and call it from any later method.
	Resume(ctx context.Context, mark []byte, notify func(Notice)) error
	// Flush makes durable what Send took and returns the new mark, of at most
	// MaxMark bytes. It also comes right after Resume. The mark has been kept,
	// with the cursor that goes with it, before any other method is called.
	Flush(ctx context.Context) (mark []byte, err error)
}

// MaxMark bounds the mark that Flush returns, in bytes.
const MaxMark = 4096

// Batcher is a Destination with bounds of its own on a batch. A single event
// larger than bytes is sent alone.
type Batcher interface {
	Destination
	Batch() (events, bytes int)
}

// Selector is a Destination that takes only some of the events that are routed
// to it. The others are passed over: they are in no batch and are not counted as
// delivered. Takes may be asked about an event more than once; notify is as in
// Flusher.
type Selector interface {
	Destination
	Takes(e Event, notify func(Notice)) bool
}

// Runner is a Destination with work of its own beside the sending, such as the
// removal of old files. Run works until ctx ends; an error ends the loop.
type Runner interface {
	Destination
	Run(ctx context.Context) error
}

// Closer is a Destination that holds something to give back. Close comes last.
type Closer interface {
	Destination
	Close() error
}

// Notice is something that an operator should know although nothing failed.
type Notice struct {
	Code string // stable, such as file_moved
	Text string // what happened, where, and what was done about it
}
