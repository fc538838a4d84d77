package dedup

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Run writes slices, merges them and removes those that have expired, until ctx
// ends. What fails is logged and tried again: the error is always nil.
func (x *Index) Run(ctx context.Context) error {
	const first, longest = 100 * time.Millisecond, 10 * time.Second
	pause := first
	retry := time.NewTimer(0) // what Open found may be worth a merge
	defer retry.Stop()
	tick := time.NewTicker(x.tick)
	defer tick.Stop()
	var before error
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-tick.C:
			x.elapse(at)
		case <-x.wake:
		case <-retry.C:
		}
		err := x.work(ctx)
		if ctx.Err() != nil {
			return nil
		}
		x.report(before, err)
		before = err
		if err == nil {
			pause = first
			continue
		}
		retry.Reset(pause)
		pause = min(2*pause, longest)
	}
}

// report logs an outcome of work that is not like the one before.
func (x *Index) report(before, err error) {
	switch {
	case err == nil && before != nil:
		x.o.Log.Info("dedup index is written again", "code", CodeResumed)
	case err != nil && (before == nil || before.Error() != err.Error()):
		x.o.Log.Error("dedup index cannot be written, trying again", "code", CodeStalled, "error", err,
			"remedy", "free disk space, or mend the disk or its permissions; intake closes when memory is full")
	}
}

// elapse lets time pass where nothing is added.
func (x *Index) elapse(at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clock.tick(at)
	if x.due(x.clock.now) {
		x.freeze()
	}
	x.expire()
}

// work does all that there is to do. What is to be removed goes first: no file
// may get a name that is yet to be removed.
func (x *Index) work(ctx context.Context) error {
	for {
		x.markDamaged()
		if err := x.reap(); err != nil {
			return err
		}
		if err := x.writeFrozen(ctx); err != nil {
			return err
		}
		group := x.plan()
		if group == nil {
			return nil
		}
		if err := x.merge(ctx, group); err != nil {
			return err
		}
	}
}

// writeFrozen puts the frozen table on disk, where there is one, and tells
// Reserve how it went.
func (x *Index) writeFrozen(ctx context.Context) error {
	x.mu.RLock()
	t := x.frozen
	x.mu.RUnlock()
	if t == nil {
		return nil
	}
	err := x.writeTable(ctx, t)
	x.mu.Lock()
	x.stalled = err
	x.mu.Unlock()
	notify(x.room)
	return err
}

func (x *Index) writeTable(ctx context.Context, t *table) error {
	if err := x.o.Synced(ctx, t.upTo); err != nil {
		return fmt.Errorf("wait until the journal is durable up to %s: %w", t.upTo, err)
	}
	x.sort(t.entries)
	s, err := x.write(t.span, len(x.sorted), func(w *writer) error {
		for _, e := range x.sorted {
			if err := w.add(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.publish(s, func() bool { return x.replaceTable(t, s) })
}

// sort copies entries to x.sorted, in the order of their keys. Keys are even, so
// it spreads them over small buckets first.
func (x *Index) sort(entries []entry) {
	before := cap(x.sorted)
	x.sorted = slices.Grow(x.sorted[:0], len(entries))[:len(entries)]
	x.working.Add(int64(cap(x.sorted)-before) * entrySize)
	const perBucket = 8
	ends := make([]uint32, len(entries)/perBucket+1)
	for i := range entries {
		ends[place(entries[i].key, len(ends))]++
	}
	sum := uint32(0)
	for i, n := range ends {
		ends[i] = sum // where the bucket begins; its end once it is filled
		sum += n
	}
	for i := range entries {
		end := &ends[place(entries[i].key, len(ends))]
		x.sorted[*end] = entries[i]
		*end++
	}
	begin := uint32(0)
	for _, end := range ends {
		slices.SortFunc(x.sorted[begin:end], entry.compare)
		begin = end
	}
}

// replaceTable puts a slice in the place of the frozen table that it was written
// from. It reports false where that table is the frozen one no more.
func (x *Index) replaceTable(t *table, s *slice) bool {
	if x.frozen != t {
		return false
	}
	x.setSlices(append(slices.Clone(x.slices), s))
	x.dead = append(x.dead, x.markers()...)
	x.marker = nil
	t.reset()
	x.frozen, x.spare = nil, t
	if x.due(x.clock.now) {
		x.freeze()
	}
	return true
}

// write writes a slice of at most ids entries under its unfinished name.
func (x *Index) write(sp span, ids int, fill func(*writer) error) (*slice, error) {
	w, err := newWriter(x.disk, sp, ids, x.filterBits)
	if err != nil {
		return nil, err
	}
	held := w.memory()
	x.working.Add(held)
	defer x.working.Add(-held)
	var s *slice
	if err = fill(w); err == nil {
		s, err = w.finish()
	}
	if err != nil {
		w.abandon()
		return nil, err
	}
	return s, nil
}

// publish gives a slice its name, durably, and then lets install put it in its
// place, with x.mu held. Where that fails, or install finds no such place, the
// slice goes again.
func (x *Index) publish(s *slice, install func() bool) error {
	x.names.Lock()
	defer x.names.Unlock()
	err := x.disk.Rename(s.name+unfinished, s.name)
	if err == nil {
		err = x.disk.Sync()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil && install() {
		return nil
	}
	x.dead = append(x.dead, s)
	if err != nil {
		return fmt.Errorf("publish %s: %w", s.name, err)
	}
	return nil
}
