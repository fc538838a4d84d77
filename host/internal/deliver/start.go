package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// begin returns the cursor of a destination that has none.
func begin(ctx context.Context, j Journal, from config.From) (cursor, error) {
	x := j.Extent()
	c := cursor{Time: time.Now(), Position: event.At(x.Last+1, 0), Offset: x.End}
	if x.First > x.Last {
		return c, nil
	}
	seq := x.Last + 1
	var err error
	switch {
	case from.Oldest:
		seq = x.First
	case !from.IsZero():
		if seq, err = firstSince(ctx, j, x, from.Time); err != nil {
			return c, fmt.Errorf("find where to begin in the journal: %w", err)
		}
	}
	f, err := j.Next(ctx, min(seq, x.Last))
	if err != nil {
		return c, fmt.Errorf("read where to begin in the journal: %w", err)
	}
	c.Position, c.Offset = event.At(f.Seq(), 0), f.Offset()
	if seq > x.Last {
		c.Position, c.Offset = event.At(f.Seq()+1, 0), f.Offset()+uint64(f.Size())
	}
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
			low = f.Seq() + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// locate checks a saved cursor against the journal, which may not be the one
// that it was saved for, or may have lost its end in a power cut.
func (l *Loop) locate(ctx context.Context, c cursor) (cursor, error) {
	seq, last := c.Position.Frame(), l.Journal.Extent().Last
	switch {
	case seq > last+1:
		l.notice(destination.Notice{
			Code: "journal_behind",
			Text: fmt.Sprintf("the journal ends at frame %d, before the cursor at %s: delivery goes on at the journal's end", last, c.Position),
		})
		end, err := begin(ctx, l.Journal, config.From{})
		c.Position, c.Offset = end.Position, end.Offset
		return c, err
	case seq > last:
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
		oldest, err := begin(ctx, l.Journal, config.From{Oldest: true})
		c.Position, c.Offset = oldest.Position, oldest.Offset
		return c, err
	}
	return c, nil
}
