package quarantine

import (
	"context"
	"slices"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// maxClosed is how many entries one record closes.
const maxClosed = maxAppend / 16

// setState closes the entries among ids that are open.
func (s *shelf) setState(ctx context.Context, ids []event.Position, by closing) (int, error) {
	if err := s.take(ctx); err != nil {
		return 0, err
	}
	defer s.release()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id event.Position) bool {
		c := s.book.find(id)
		return c == nil || c.closing(id) != nil
	})
	by.at = s.nextTime()
	var records [][]byte
	for part := range slices.Chunk(ids, maxClosed) {
		records = append(records, by.encode(part))
	}
	before := s.book.open()
	err := s.write(ctx, records)
	changed := max(0, before-s.book.open())
	s.freed(changed)
	s.save(false)
	return changed, err
}

// freed notes that entries have made room.
func (s *shelf) freed(entries int) {
	if entries > 0 {
		s.mu.Lock()
		s.full = false
		s.mu.Unlock()
	}
}

// tidy lets go of what the log no longer holds and forgets the entries that are
// older than max_age.
func (s *shelf) tidy(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	if err := s.ready(ctx); err != nil || len(s.book.chunks) == 0 {
		return err
	}
	if err := s.trim(ctx); err != nil || s.limits.maxAge == 0 {
		return err
	}
	var last event.Position
	limit := time.Now().Add(-s.limits.maxAge).UnixNano()
	for _, c := range s.book.chunks {
		if c.newest > limit {
			break
		}
		last = c.ids.hi
	}
	if last == 0 {
		return nil
	}
	if err := s.write(ctx, [][]byte{encodeForget(last, expired)}); err != nil {
		return err
	}
	s.freed(1)
	s.save(false)
	return nil
}
