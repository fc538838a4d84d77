package deliver

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Journal is the durable log as a loop sees it.
type Journal interface {
	// Next returns the first whole frame whose number is at least seq. It waits
	// for one until ctx ends.
	Next(ctx context.Context, seq uint64) (Frame, error)
	// Extent tells what the journal holds. It is cheap.
	Extent() Extent
}

// Extent is what a journal holds at one moment.
type Extent struct {
	// First and Last are the numbers of the oldest and the newest frame, from 1.
	// Of an empty journal First is Last+1.
	First, Last uint64
	// End is the number of bytes in all frames ever written, as Frame.Offset
	// counts them.
	End uint64
}

// Frame is a run of events that were written together. It does not change.
type Frame interface {
	Seq() uint64
	// Offset is the number of bytes in all frames before this one, Size the
	// frame's own.
	Offset() uint64
	Size() int
	// Time is when the frame was written.
	Time() time.Time
	// Len is the number of events.
	Len() int
	// Source is the source of the event with index i, Event all of it. What it
	// points to stays as it is while the frame is held.
	Source(i int) event.SourceID
	Event(i int) destination.Event
}

// Quarantine keeps what a destination refused for good.
type Quarantine interface {
	// Refuse returns when the refusals are durable. On any error, such as
	// that there is no room, the loop waits and asks again.
	Refuse(ctx context.Context, refusals []event.Refusal) error
}
