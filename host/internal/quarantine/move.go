package quarantine

import (
	"context"
	"fmt"
)

// A ring overwrites its oldest frames, so that open entries there are moved to
// its end before. Since it is larger than the limit on open entries by a spare,
// moving them passes over at least that much of what is no longer needed.

// makeRoom moves entries until a write of this cost overwrites no open one, and
// some ahead of time. The caller has the turn.
func (s *shelf) makeRoom(ctx context.Context, cost int64) error {
	// The last third of the spare is for what moves themselves write.
	soft, hard := s.room+s.limits.spare/2, s.room+s.limits.spare/3*2
	most := len(s.book.chunks) + 1 // to come by every open entry
	for moves := 0; ; moves++ {
		used := s.book.needed() + cost
		if used <= soft || moves > 0 && used <= hard {
			return nil
		}
		if moves == most {
			return fmt.Errorf("write to the quarantine of source %q: its log has no room", s.source)
		}
		if err := s.moveFirst(ctx); err != nil {
			return err
		}
	}
}

// moveFirst moves the open entries that are first in the log, a chunk of them
// or several small ones.
func (s *shelf) moveFirst(ctx context.Context) error {
	run := s.firstRun()
	if len(run) == 0 {
		return fmt.Errorf("write to the quarantine of source %q: a record is larger than its log has room for", s.source)
	}
	var records [][]byte
	for _, c := range run {
		v := c.view()
		err := s.scan(ctx, &v, func(r *record) bool {
			if v.closing(r.id) == nil {
				records = append(records, r.encodeMoved(s.movedFlags(r, len(records))))
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	end := move{span{run[0].ids.lo, run[len(run)-1].ids.hi}, len(records)}
	records = append(records, end.encode())
	for len(records) > 0 {
		n := batch(records)
		if err := s.append(ctx, records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

func (s *shelf) movedFlags(r *record, index int) (flags byte) {
	if index == 0 {
		flags |= flagFirst
	}
	if s.book.recent.slots[r.key].id == r.id {
		flags |= flagRecent
	}
	return flags
}

// firstRun returns the chunk whose open entries are first in the log, and those
// that follow it by their ids while all of them make no more than one chunk, in
// bytes and in time.
func (s *shelf) firstRun() []*chunk {
	chunks := s.book.chunks
	from := -1
	for i, c := range chunks {
		if c.open > 0 && (from < 0 || c.at < chunks[from].at) {
			from = i
		}
	}
	if from < 0 {
		return nil
	}
	to, size := from+1, chunks[from].openBytes
	for to < len(chunks) && size+chunks[to].openBytes <= maxChunkBytes &&
		chunks[to].newest-chunks[from].oldest <= s.book.age {
		size += chunks[to].openBytes
		to++
	}
	return chunks[from:to]
}

// batch returns how many of the records make one append.
func batch(records [][]byte) int {
	n, size := 1, len(records[0])
	for n < len(records) && size+len(records[n]) <= maxAppend {
		size += len(records[n])
		n++
	}
	return n
}
