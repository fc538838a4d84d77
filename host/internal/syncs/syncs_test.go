package syncs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/syncs"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a store in memory.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
	puts   int
	fail   error // of every Put
}

func (s *shelf) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *shelf) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	if s.fail != nil {
		return s.fail
	}
	s.values[key] = value
	return nil
}

func (s *shelf) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

func (s *shelf) Keys() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.values)), nil
}

// lines is a log that a test reads when nobody writes.
type lines struct{ strings.Builder }

// rig is a Book that runs until stop, or the end of the test.
type rig struct {
	*syncs.Book
	stop func()
	logs *lines
}

func open(t *testing.T, store syncs.Store, sources ...event.SourceID) *rig {
	t.Helper()
	logs := &lines{}
	b, err := syncs.Open(syncs.Options{Store: store, Sources: sources, Log: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &rig{b, stop, logs}
}

func list(syncs ...*wire.Sync) *wire.SyncReport {
	return &wire.SyncReport{List: &wire.SyncList{Syncs: syncs}}
}

func report(runs ...*wire.SyncRun) *wire.SyncReport { return &wire.SyncReport{Runs: runs} }

func one(t *testing.T, b *rig, id event.SourceID, runs int) syncs.Sync {
	t.Helper()
	all := b.Syncs(id, runs)
	if len(all) != 1 {
		t.Fatalf("syncs %+v, want one", all)
	}
	return all[0]
}

func TestARunIsFollowedAndCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, &shelf{values: map[string][]byte{}}, "crm")
		s := b.Stream("crm")
		began := time.Now().UnixMilli()
		s.Report(list(&wire.Sync{Name: "people", State: wire.SyncIdle, DueUnixMs: began + 1000}))
		s.Report(report(&wire.SyncRun{Sync: "people", Id: "1", Kind: "backfill", StartedUnixMs: began, Read: 10, Emitted: 9}))
		y := one(t, b, "crm", 5)
		if y.State != syncs.Running || y.Runs[0].State != syncs.RunRunning || y.Due.UnixMilli() != began+1000 {
			t.Errorf("sync %+v", y)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		end := &wire.SyncRun{Sync: "people", Id: "1", Kind: "backfill", StartedUnixMs: began, EndedUnixMs: began + 60_000, Read: 12, Emitted: 11, Refused: 1}
		s.Report(report(end))
		s.Report(report(end)) // told twice
		s.Report(report(&wire.SyncRun{Sync: "people", Id: "2", StartedUnixMs: began, EndedUnixMs: began + 1, Error: &wire.Problem{Code: "c", Path: "/p", Message: "m", Fix: "f"}}))
		y = one(t, b, "crm", 5)
		if want := (syncs.Counts{Done: 1, Failed: 1, Read: 12, Emitted: 11, Refused: 1}); y.Counts != want {
			t.Errorf("counts %+v, want %+v", y.Counts, want)
		}
		if y.State != syncs.Idle || y.Succeeded.UnixMilli() != began+60_000 {
			t.Errorf("sync %+v", y)
		}
		if r := y.Runs[0]; r.ID != "2" || r.State != syncs.RunFailed || *r.Error != (syncs.Error{Code: "c", Path: "/p", Message: "m", Fix: "f"}) {
			t.Errorf("run %+v", r)
		}
		if r := y.Runs[1]; r.State != syncs.RunDone || r.Ended.Sub(r.Started) != time.Minute || r.Read != 12 {
			t.Errorf("run %+v", r)
		}
	})
}

func TestRunsOutliveTheHostAndGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{values: map[string][]byte{}}
		b := open(t, store, "crm")
		s := b.Stream("crm")
		s.Report(list(&wire.Sync{Name: "people", State: wire.SyncPaused}, &wire.Sync{Name: "deals", State: wire.SyncRunning}))
		s.Report(report(
			&wire.SyncRun{Sync: "people", Id: "done", EndedUnixMs: time.Now().UnixMilli(), Read: 1},
			&wire.SyncRun{Sync: "people", Id: "open", Read: 400},
		))
		synctest.Wait() // it is written at once
		// A kill: the book that wrote is not asked again.
		killed := &shelf{values: maps.Clone(store.values)}
		b.stop()

		b = open(t, killed, "crm")
		all := b.Syncs("crm", 5)
		if len(all) != 2 || all[0].State != syncs.Unknown || all[1].State != syncs.Paused || all[1].Succeeded.IsZero() {
			t.Fatalf("syncs %+v", all)
		}
		if r := all[1].Runs[0]; r.ID != "open" || r.State != syncs.RunInterrupted || r.Read != 400 {
			t.Errorf("run %+v", r)
		}
		s = b.Stream("crm")
		s.Report(report(&wire.SyncRun{Sync: "people", Id: "open", Read: 450}))
		y := b.Syncs("crm", 5)[1]
		if r := y.Runs[0]; r.State != syncs.RunRunning || y.Counts.Read != 50 || len(y.Runs) != 2 {
			t.Errorf("sync %+v", y)
		}
		s.Close()
		if r := b.Syncs("crm", 1)[1].Runs[0]; r.State != syncs.RunInterrupted {
			t.Errorf("run %+v", r)
		}
		s.Report(list()) // after its end, it says nothing
		if n := len(b.Syncs("crm", 0)); n != 2 {
			t.Errorf("%d syncs", n)
		}
	})
}

func TestAStoreIsWrittenSeldomAndAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{values: map[string][]byte{}, fail: errors.New("disk full")}
		b := open(t, store, "crm")
		s := b.Stream("crm")
		read := uint64(0)
		tell := func(seconds int) {
			for range 4 * seconds {
				read++
				s.Report(report(&wire.SyncRun{Sync: "people", Id: "1", Read: read}))
				time.Sleep(250 * time.Millisecond)
			}
			synctest.Wait()
		}
		tell(5)
		store.mu.Lock()
		if store.puts != 1 || len(store.values) != 0 {
			t.Errorf("%d puts in 5 s of failure", store.puts)
		}
		store.fail, store.puts = nil, 0
		store.mu.Unlock()
		tell(60)
		store.mu.Lock()
		if store.puts < 5 || store.puts > 7 {
			t.Errorf("%d puts in a minute of counting, want about 6", store.puts)
		}
		store.mu.Unlock()
		b.stop()
		for _, v := range store.values {
			if !strings.Contains(string(v), fmt.Sprintf(`"read":%d`, read)) {
				t.Errorf("at the end it has %s, want %d rows", v, read)
			}
		}
		if n := strings.Count(b.logs.String(), "syncs_write"); n != 1 {
			t.Errorf("%d complaints: %s", n, b.logs)
		}
	})
}

func TestTheLastRunsAreKeptAndThoseThatSaySomethingLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, &shelf{values: map[string][]byte{}}, "crm")
		s := b.Stream("crm")
		for i := range 3 * syncs.MaxRuns {
			run := &wire.SyncRun{Sync: "people", Id: fmt.Sprint(i), EndedUnixMs: time.Now().UnixMilli()}
			switch i {
			case 3:
				run.Error = &wire.Problem{Message: "at night"}
			case 4:
				run.Emitted = 1
			}
			s.Report(report(run))
		}
		y := one(t, b, "crm", 1000)
		if n := len(y.Runs); n != syncs.MaxRuns {
			t.Fatalf("%d runs", n)
		}
		if a, b := y.Runs[syncs.MaxRuns-1].ID, y.Runs[syncs.MaxRuns-2].ID; a != "3" || b != "4" || y.Runs[0].ID != fmt.Sprint(3*syncs.MaxRuns-1) {
			t.Errorf("the oldest are %s and %s, the newest %s", a, b, y.Runs[0].ID)
		}
		// Where all say something, the oldest goes.
		for i := range 2 * syncs.MaxRuns {
			s.Report(report(&wire.SyncRun{Sync: "people", Id: fmt.Sprint("e", i), EndedUnixMs: time.Now().UnixMilli(), Emitted: 1}))
		}
		y = one(t, b, "crm", 1000)
		if y.Runs[syncs.MaxRuns-1].ID != fmt.Sprint("e", syncs.MaxRuns) || len(y.Runs) != syncs.MaxRuns {
			t.Errorf("the oldest of %d is %s", len(y.Runs), y.Runs[len(y.Runs)-1].ID)
		}
	})
}

func TestSyncsThatComeAndGoTakeBoundedRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{values: map[string][]byte{}}
		b := open(t, store, "crm")
		s := b.Stream("crm")
		s.Report(list(&wire.Sync{Name: "kept", State: wire.SyncIdle}))
		for i := range 1000 {
			s.Report(list(&wire.Sync{Name: "kept"}, &wire.Sync{Name: fmt.Sprint("passing ", i)}))
			if i%100 == 0 {
				time.Sleep(time.Second)
				synctest.Wait()
			}
		}
		names := b.Syncs("crm", 1)
		if len(names) != 2 || names[0].Name != "kept" || names[1].Name != "passing 999" {
			t.Errorf("syncs %+v", names)
		}
		b.stop()
		if n := len(store.values); n != wire.MaxSyncs {
			t.Errorf("%d syncs are stored, want %d", n, wire.MaxSyncs)
		}
	})
}

func TestWhatASourceLeftGoesAWeekAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{values: map[string][]byte{}}
		b := open(t, store, "crm", "gone")
		for _, id := range []event.SourceID{"crm", "gone"} {
			b.Stream(id).Report(report(&wire.SyncRun{Sync: "people", Id: "1", EndedUnixMs: time.Now().UnixMilli()}))
		}
		b.stop()
		store.values["crm/damaged"] = []byte("{")
		store.values["crm/newer"] = []byte(`{"v":2}`)
		for _, want := range []struct {
			wait   time.Duration
			stored int
		}{{0, 2}, {6 * 24 * time.Hour, 2}, {25 * time.Hour, 1}} {
			time.Sleep(want.wait)
			b = open(t, store, "crm")
			if len(b.Syncs("gone", 1)) != 0 || one(t, b, "crm", 1).Runs[0].ID != "1" {
				t.Error("wrong syncs")
			}
			synctest.Wait()
			b.stop()
			if n := len(store.values); n != want.stored {
				t.Errorf("after %s there are %d", want.wait, n)
			}
		}
	})
}

func TestImplausibleTimesAreMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, &shelf{values: map[string][]byte{}}, "crm")
		s, now := b.Stream("crm"), time.Now().UTC()
		for _, c := range []struct {
			started, ended int64
			want           [2]time.Time
		}{
			{0, 0, [2]time.Time{now, {}}},
			{now.Add(time.Hour).UnixMilli(), now.Add(2 * time.Hour).UnixMilli(), [2]time.Time{now, now}},
			{now.UnixMilli() - 5, now.UnixMilli() - 10, [2]time.Time{now.Add(-5 * time.Millisecond), now.Add(-5 * time.Millisecond)}},
		} {
			s.Report(report(&wire.SyncRun{Sync: "people", Id: fmt.Sprint(c), StartedUnixMs: c.started, EndedUnixMs: c.ended}))
			if r := one(t, b, "crm", 1).Runs[0]; !r.Started.Equal(c.want[0]) || !r.Ended.Equal(c.want[1]) {
				t.Errorf("%+v: from %s to %s, want %s", c, r.Started, r.Ended, c.want)
			}
		}
		s.Report(list(&wire.Sync{Name: "people", State: "dancing"}))
		if y := one(t, b, "crm", 0); y.State != syncs.Unknown {
			t.Errorf("state %s", y.State)
		}
	})
}
