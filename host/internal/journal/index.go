package journal

import (
	"context"
	"fmt"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// catchUp makes the index agree with the journal: what it knows beyond the
// journal's end is forgotten, and what the journal holds after the frame known,
// the last that was added to it, is added; 0: none was since it was opened.
func (j *Journal) catchUp(ctx context.Context, s *session, known uint64) error {
	last := s.main.last
	if err := j.index.Forget(event.At(last+1, 0) - 1); err != nil {
		return err
	}
	seq := known + 1
	if known == 0 || last < known {
		seq = max(j.index.Covered().Frame(), 1)
	}
	for seq <= last {
		frame, next, err := j.view.read(ctx, s.store, seq)
		if err == nil && frame != nil {
			next = frame.seq + 1
			err = j.remember(ctx, frame)
		}
		if err != nil {
			return fmt.Errorf("rebuild the dedup index: %w", err)
		}
		seq = next
	}
	return nil
}

func (j *Journal) remember(ctx context.Context, f *Frame) error {
	if err := j.index.Reserve(ctx, f.Len()); err != nil {
		return err
	}
	for i := range f.Len() {
		e := f.Event(i)
		j.index.Add(dedup.KeyOf(e.Source, e.MessageID()), e.Position, e.ReceivedAt)
	}
	return nil
}
