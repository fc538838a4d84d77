package dedup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// fill adds events from the nth on, each after a Reserve, until that fails.
func fill(ctx context.Context, ix *dedup.Index, n int) (last int, err error) {
	for ; ; n++ {
		if err := ix.Reserve(ctx, 1); err != nil {
			return n - 1, err
		}
		ix.Add(key(uint64(n)), at(n), time.Now())
	}
}

func TestAFullDiskStopsTheIntakeUntilThereIsSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCodes()
		d := newMemDisk()
		var full atomic.Bool
		d.before = func(op, _ string) error {
			if full.Load() && (op == "create" || op == "write" || op == "syncdir") {
				return syscall.ENOSPC
			}
			return nil
		}
		o := options()
		o.Log = log.logger()
		ix := open(t, d, o)
		stop := start(t, ix)
		full.Store(true)
		last, err := fill(t.Context(), ix, 1)
		if !errors.Is(err, dedup.ErrStalled) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Reserve says %v, want that it is stalled, for want of space", err)
		}
		if last < ix.MaxTable() || last > 3*ix.MaxTable() {
			t.Errorf("%d ids were taken, want those of one table to three", last)
		}
		time.Sleep(time.Minute) // tried again and again, said once
		held(t, ix, 1, last, true)
		if err := ix.Reserve(t.Context(), 1); !errors.Is(err, dedup.ErrStalled) {
			t.Errorf("after a minute Reserve says %v", err)
		}
		if st := ix.Stats(); !errors.Is(st.Stalled, syscall.ENOSPC) {
			t.Errorf("Stats say that it is stalled by %v", st.Stalled)
		}
		expect(t, log, dedup.CodeStalled)

		full.Store(false)
		time.Sleep(11 * time.Second)
		must(t, ix.Reserve(t.Context(), 1))
		expect(t, log, dedup.CodeResumed)
		for n := last + 1; n <= 500; n++ {
			must(t, ix.Reserve(t.Context(), 1))
			ix.Add(key(uint64(n)), at(n), time.Now())
		}
		synctest.Wait()
		held(t, ix, 1, 500, true)
		if st := ix.Stats(); st.Stalled != nil || st.Covered < at(480) {
			t.Errorf("stalled by %v, covered %s", st.Stalled, st.Covered)
		}
		stop()
	})
}

func TestAnyOperationMayFail(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncdir", "remove"} {
		t.Run(op, func(t *testing.T) {
			d := newMemDisk()
			ix := open(t, d, options())
			n, fails := 0, 0
			d.before = func(o, _ string) error {
				if o == op {
					if fails++; fails%3 != 0 {
						return syscall.EIO
					}
				}
				return nil
			}
			for n < 400 {
				n++
				ix.Add(key(uint64(n)), at(n), begin)
				_ = ix.Work(t.Context())
				held(t, ix, n-min(n, 20)+1, n, true)
				if got := open(t, d.kill(), options()).Covered(); got < ix.Covered() {
					t.Fatalf("after a kill, covered %s, want %s", got, ix.Covered())
				}
			}
			d.before = nil
			must(t, ix.Work(t.Context()))
			must(t, ix.Work(t.Context())) // what was added meanwhile
			if fails == 0 {
				t.Fatalf("%s was never asked for", op)
			}
			held(t, ix, 1, 400, true)
			again := open(t, d.kill(), options())
			if st := again.Stats(); st.Covered < at(390) || st.Dropped != 0 {
				t.Errorf("covered %s, %d slices dropped; want %s and none", st.Covered, st.Dropped, at(390))
			}
			held(t, again, 1, 390, true)
		})
	}
}

func TestNothingIsWrittenBeforeTheJournalIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		durable := make(chan error)
		var asked atomic.Uint64
		o := options()
		o.Synced = func(ctx context.Context, upTo event.Position) error {
			asked.Store(uint64(upTo))
			select {
			case err := <-durable:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ix := open(t, d, o)
		stop := start(t, ix)
		for n := 1; n <= 10; n++ {
			ix.Add(key(uint64(n)), at(n), time.Now())
		}
		synctest.Wait()
		if got := event.Position(asked.Load()); got != at(10) || ix.Covered() != 0 || len(d.files) != 0 {
			t.Fatalf("asked for %s, covered %s in %d files; want %s, nothing, 0", got, ix.Covered(), len(d.files), at(10))
		}
		// The journal is stuck: who waits for room may give up, and Forget goes on.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if last, err := fill(ctx, ix, 11); !errors.Is(err, context.DeadlineExceeded) || last < 20 {
			t.Fatalf("took %d ids and then said %v, want that time is up", last, err)
		}
		must(t, ix.Forget(at(5)))
		must(t, ix.Reserve(t.Context(), 10))
		durable <- nil
		synctest.Wait()
		if ix.Covered() != 0 {
			t.Fatalf("covered %s of what was forgotten", ix.Covered())
		}
		for n := 1; n <= 10; n++ {
			ix.Add(key(uint64(n)), at(n), time.Now())
		}
		durable <- errors.New("not durable")
		synctest.Wait()
		if st := ix.Stats(); st.Covered != 0 || st.Stalled == nil {
			t.Fatalf("covered %s, stalled by %v", st.Covered, st.Stalled)
		}
		durable <- nil
		synctest.Wait()
		if ix.Covered() != at(10) {
			t.Fatalf("covered %s, want %s", ix.Covered(), at(10))
		}
		for n := 11; n <= 20; n++ {
			ix.Add(key(uint64(n)), at(n), time.Now())
		}
		stop() // though the journal is stuck
	})
}

func TestAFrameOfAnySizeFitsAnEmptyTable(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	must(t, ix.Reserve(t.Context(), 5000))
	for n := 1; n <= 5; n++ {
		ix.Add(key(uint64(n)), at(n), begin)
	}
	must(t, ix.Reserve(t.Context(), 5000)) // which is made by freezing the few
	if st := ix.Stats(); st.IDs != 5 || st.Covered != 0 {
		t.Fatalf("%d ids, covered %s; want 5 and nothing", st.IDs, st.Covered)
	}
}

func TestAClosedIndexHoldsNothing(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	add(t, ix, 1, 35, begin)
	must(t, ix.Close())
	must(t, ix.Close())
	ix.Add(key(36), at(36), begin)
	held(t, ix, 1, 36, false)
	if err := ix.Reserve(t.Context(), 1); !errors.Is(err, dedup.ErrClosed) {
		t.Errorf("Reserve says %v, want that it is closed", err)
	}
	must(t, ix.Forget(0))
}

func TestOptionsAreRequired(t *testing.T) {
	for _, o := range []dedup.Options{
		{MaxIDs: 1, Synced: durable},
		{Window: 1, Synced: durable},
		{Window: 1, MaxIDs: 1},
	} {
		if _, err := dedup.Open(t.TempDir(), o); err == nil {
			t.Errorf("Open takes %+v", o)
		}
	}
}

// On a real disk, with Run, a committer, others who look and one who counts.
func TestServesManyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "dedup")
	o := dedup.Options{Window: day, MaxIDs: 160_000, Synced: durable}.WithTable(1000)
	ix, err := dedup.Open(dir, o)
	must(t, err)
	stop := start(t, ix)
	const events = 40_000
	var added atomic.Int64
	var lookers sync.WaitGroup
	for i := range 3 {
		lookers.Go(func() {
			for n := int64(i); added.Load() < events; n++ {
				have := added.Load()
				if have == 0 {
					continue
				}
				k := n*7919%have + 1
				if pos, ok := ix.Has(key(uint64(k))); !ok || pos != at(int(k)) {
					t.Errorf("event %d of %d: held %t at %s, want it at %s", k, have, ok, pos, at(int(k)))
					return
				}
				ix.Stats()
			}
		})
	}
	for n := 1; n <= events; n++ {
		must(t, ix.Reserve(t.Context(), 1))
		if _, ok := ix.Has(key(uint64(n))); ok {
			t.Fatalf("event %d counts as held before it was added", n)
		}
		ix.Add(key(uint64(n)), at(n), begin)
		added.Store(int64(n))
	}
	lookers.Wait()
	stop()
	covered := ix.Covered()
	must(t, ix.Close())

	ix, err = dedup.Open(dir, o)
	must(t, err)
	defer func() { must(t, ix.Close()) }()
	st := ix.Stats()
	if st.Covered != covered || st.Covered < at(events-3000) || st.Dropped != 0 {
		t.Errorf("opened again, covered %s with %d slices dropped; want %s and none", st.Covered, st.Dropped, covered)
	}
	held(t, ix, 1, events-3000, true)
	files, err := os.ReadDir(dir)
	must(t, err)
	size := int64(0)
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		size += info.Size()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", f.Name(), info.Mode())
		}
	}
	if size != st.Disk || len(files) != st.Slices {
		t.Errorf("%d files of %d bytes, want %d of %d", len(files), size, st.Slices, st.Disk)
	}
}

func TestALaterPositionOfAKeyWins(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	for n := 1; n <= 300; n++ {
		ix.Add(key(uint64(n%50)), at(n), begin)
		must(t, ix.Work(t.Context()))
		if pos, ok := ix.Has(key(uint64(n % 50))); !ok || pos != at(n) {
			t.Fatalf("event %d: held %t at %s, want it at %s", n, ok, pos, at(n))
		}
	}
	for n := 251; n <= 300; n++ {
		if pos, ok := ix.Has(key(uint64(n % 50))); !ok || pos != at(n) {
			t.Fatalf("event %d: held %t at %s, want it at %s", n, ok, pos, at(n))
		}
	}
	if st := ix.Stats(); st.Slices > 10 || st.IDs > 150 {
		t.Errorf("%d ids in %d slices: the merges keep old positions", st.IDs, st.Slices)
	}
}

func TestTheJournalMayBeReadAgainFromAnyPoint(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	add(t, ix, 1, 35, begin)
	before := ix.Stats()
	for n := 1; n <= 35; n++ {
		ix.Add(key(uint64(n)), at(n), begin)
	}
	if got := ix.Stats(); got.IDs != before.IDs {
		t.Errorf("%d ids, want %d as before", got.IDs, before.IDs)
	}
	ix.Add(key(36), at(36), begin)
	held(t, ix, 1, 36, true)
}
