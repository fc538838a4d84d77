package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Start is where a destination without a cursor begins. The zero Start is the
// journal's end: only what comes from now on.
type Start struct {
	// Oldest begins with all that the journal still holds.
	Oldest bool
	// Since begins with the first frame written at or after this time; zero:
	// not asked for.
	Since time.Time
}

// ParseStart reads what stands under from: in the config: nothing, "oldest" or
// a time as in RFC 3339.
func ParseStart(s string) (Start, error) {
	switch s {
	case "":
		return Start{}, nil
	case "oldest":
		return Start{Oldest: true}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Start{}, fmt.Errorf("%q is neither oldest nor a time such as 2026-11-24T07:00:00Z", s)
	}
	return Start{Since: t}, nil
}

// cursor returns where to begin in a journal.
func (s Start) cursor(ctx context.Context, j Journal) (cursor, error) {
	x := j.Extent()
	c := cursor{Time: time.Now(), Position: event.At(x.Last+1, 0), Offset: x.End}
	from := x.Last + 1
	switch {
	case s.Oldest:
		from = x.First
	case !s.Since.IsZero():
		var err error
		if from, err = firstSince(ctx, j, x, s.Since); err != nil {
			return c, fmt.Errorf("find where to begin in the journal: %w", err)
		}
	}
	if from > x.Last {
		return c, nil
	}
	f, err := j.Next(ctx, from)
	if err != nil {
		return c, fmt.Errorf("read where to begin in the journal: %w", err)
	}
	c.Position, c.Offset = event.At(f.Seq(), 0), f.Offset()
	return c, nil
}

// firstSince returns the number of the first frame that is no older than t, or
// one after the last.
func firstSince(ctx context.Context, j Journal, x Extent, t time.Time) (uint64, error) {
	low, high := x.First, x.Last+1
	for low < high {
		middle := low + (high-low)/2
		f, err := j.Next(ctx, middle)
		if err != nil {
			return 0, err
		}
		if f.Time().Before(t) {
			low = max(f.Seq(), middle) + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// locate checks a saved cursor against the journal, which may not be the one
// that it was saved for, or may have lost its end in a power cut.
func (l *Loop) locate(ctx context.Context, c cursor) (cursor, error) {
	x := l.Journal.Extent()
	seq := c.Position.Frame()
	switch {
	case seq > x.Last+1:
		l.notice(destination.Notice{
			Code: "journal_behind",
			Text: fmt.Sprintf("the journal ends at frame %d, before the cursor at %s: delivery goes on at the journal's end", x.Last, c.Position),
		})
		c.Position, c.Offset = event.At(x.Last+1, 0), x.End
		return c, nil
	case seq > x.Last:
		return c, nil
	}
	f, err := l.Journal.Next(ctx, seq)
	if err != nil {
		return c, fmt.Errorf("read the journal at the cursor %s: %w", c.Position, err)
	}
	l.status.pending(f.Time())
	if f.Seq() == seq && f.Offset() != c.Offset {
		l.notice(destination.Notice{
			Code: "journal_replaced",
			Text: fmt.Sprintf("frame %d of the journal is not the one that the cursor was saved for: delivery begins again at the oldest frame", seq),
		})
		oldest, err := Start{Oldest: true}.cursor(ctx, l.Journal)
		c.Position, c.Offset = oldest.Position, oldest.Offset
		return c, err
	}
	return c, nil
}
