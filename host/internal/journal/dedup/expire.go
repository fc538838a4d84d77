package dedup

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// due reports whether the open table has had its ids or its time.
func (x *Index) due(now int64) bool {
	n := len(x.open.entries)
	return n >= x.tableIDs || n > 0 && now-x.open.from >= x.tableSpan
}

// freeze makes the open table the frozen one, where that place is free.
func (x *Index) freeze() {
	if x.frozen == nil {
		x.frozen, x.open, x.spare = x.open, x.spare, nil
		if x.open == nil {
			x.open = newTable()
		}
		notify(x.wake)
	}
	x.expire()
}

// expire drops the slices that are too old, and those that are too many once the
// open table is full.
func (x *Index) expire() {
	ids := int64(max(x.tableIDs, len(x.open.entries)))
	if x.frozen != nil {
		ids += int64(len(x.frozen.entries))
	}
	for _, s := range x.slices {
		ids += int64(s.ids)
	}
	for len(x.slices) > 0 {
		s := x.slices[0]
		if x.clock.now-s.to <= x.window && ids <= x.o.MaxIDs {
			return
		}
		ids -= int64(s.ids)
		x.setSlices(x.slices[1:])
		if len(x.slices) == 0 {
			x.marker = s
			return
		}
		s.expired = true
		x.dead = append(x.dead, s)
		notify(x.wake)
	}
}

// Forget drops what the index holds of events after a position: the journal
// ends there, and will give later positions to other events. Where there was
// anything, Covered falls back, and the journal is to be read from it. Once
// Forget has returned nil, that is durable; after an error it is to be called
// again before anything is added.
func (x *Index) Forget(after event.Position) error {
	x.names.Lock()
	defer x.names.Unlock()
	x.cut(after)
	if err := x.unlink(); err != nil {
		return fmt.Errorf("dedup index: forget after %s: %w", after, err)
	}
	return nil
}

// cut is what Forget does in memory.
func (x *Index) cut(after event.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if after >= x.last {
		return
	}
	n := len(x.slices)
	for n > 0 && x.slices[n-1].upTo > after {
		n--
	}
	x.dead = append(x.dead, x.slices[n:]...)
	x.setSlices(slices.Clone(x.slices[:n]))
	if x.marker != nil && x.marker.upTo > after {
		x.dead = append(x.dead, x.marker)
		x.marker = nil
	}
	x.frozen = nil // not for reuse: Run may be reading it
	x.open.reset()
	x.last = x.covered()
	notify(x.wake)
	notify(x.room)
}

// unlink removes the files of dead slices; x.names is held. Where it returns
// nil, that is durable.
//
// Expired slices are gone one by one, oldest first: were a younger one gone and
// an older one not, the hole between it and the rest would look like a loss.
func (x *Index) unlink() error {
	x.mu.RLock()
	dead := slices.Clone(x.dead)
	x.mu.RUnlock()
	var gone []*slice
	for _, s := range dead {
		if s.removed {
			continue
		}
		if err := x.disk.Remove(s.name); err != nil {
			return fmt.Errorf("remove %s: %w", s.name, err)
		}
		if !s.expired {
			gone = append(gone, s)
			continue
		}
		if err := x.disk.Sync(); err != nil {
			return err
		}
		s.removed = true
	}
	if len(gone) == 0 {
		return nil
	}
	if err := x.disk.Sync(); err != nil {
		return err
	}
	for _, s := range gone {
		s.removed = true
	}
	return nil
}

// reap removes the files of dead slices and frees what they hold. Only Run calls
// it, which may be reading them otherwise.
func (x *Index) reap() error {
	x.names.Lock()
	defer x.names.Unlock()
	if err := x.unlink(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.dead {
		_ = s.close() // it was only read, and its file is gone
	}
	x.dead = nil
	return nil
}

// markDamaged makes the file of each damaged slice one that the next Open drops:
// then the journal is read again from before it.
func (x *Index) markDamaged() {
	x.names.Lock()
	defer x.names.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, s := range x.slices {
		cause := s.damage.Load()
		if cause == nil || s.marked {
			continue
		}
		s.marked = true
		err := *cause
		if terr := x.disk.Truncate(s.name, s.size-1); terr != nil {
			err = errors.Join(err, terr)
		}
		x.o.Log.Error("a part of the dedup index cannot be read: its events count as new when they are sent again",
			"code", CodeDamaged, "file", s.name, "error", err,
			"remedy", "restart the host, which reads that part from the journal again; check the disk")
	}
}
