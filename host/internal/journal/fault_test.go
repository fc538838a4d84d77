package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

var errDisk = errors.New("the disk says no")

// resend appends a batch until it is durable, as a client does, and returns how
// many of its events were duplicates at last.
func (o *opened) resend(t testing.TB, events ...event.Envelope) int {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ticket, err := o.tryAppend(events...)
		switch {
		case err == nil:
			return ticket.Duplicates()
		case !errors.Is(err, journal.ErrClosed) && !errors.Is(err, journal.ErrDiskFull), time.Now().After(deadline):
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestASyncErrorClosesTheIntakeUntilTheStorageWorksAgain(t *testing.T) {
	var failing atomic.Bool
	log := new(codes)
	j := open(t, journal.WithFaults(logTo(with(t.TempDir()), log), journal.Faults{SyncFile: func(f *os.File) error {
		if failing.Load() {
			return errDisk
		}
		return f.Sync()
	}}))
	j.append(t, track("web", "before"))

	failing.Store(true)
	_, err := j.tryAppend(track("web", "during"))
	if !errors.Is(err, journal.ErrClosed) || !errors.Is(err, errDisk) {
		t.Errorf("append while the disk fails: %v", err)
	}
	eventually(t, "closed intake", func() bool { return j.Stats().Closed != nil })
	start := time.Now()
	if _, err := j.Append(t.Context(), journal.Batch{Events: tracks("x", 1)}); !errors.Is(err, journal.ErrClosed) || time.Since(start) > time.Second {
		t.Errorf("append to a closed intake, after %s: %v", time.Since(start), err)
	}
	if f := j.next(t, 1); f.Seq() != 1 { // readers go on meanwhile
		t.Errorf("frame %d", f.Seq())
	}

	failing.Store(false)
	// What was written but not acknowledged got in after all.
	if got := j.resend(t, track("web", "during"), track("web", "after")); got != 1 {
		t.Errorf("%d duplicates, want 1", got)
	}
	wantIDs(t, j.ids(t), "before", "during", "after")
	for _, code := range []string{"journal_fault", "journal_reopened"} {
		if !log.has(code) {
			t.Errorf("%s is not logged:\n%s", code, log)
		}
	}
}

func TestAfterATimeoutNothingIsStoredTwice(t *testing.T) {
	var impatient atomic.Bool
	j := open(t, journal.WithFaults(with(t.TempDir()), journal.Faults{PublishTimeout: func() time.Duration {
		if impatient.Swap(false) {
			return 1
		}
		return time.Minute
	}}))
	var want []string
	for i := range 20 {
		id := fmt.Sprint("e", i)
		impatient.Store(i%3 == 0)
		j.resend(t, track("web", id))
		want = append(want, id)
	}
	wantIDs(t, j.ids(t), want...)
}

func TestReadersThatWaitOutliveAReopening(t *testing.T) {
	var failures atomic.Int64
	j := open(t, journal.WithFaults(with(t.TempDir()), journal.Faults{SyncFile: func(f *os.File) error {
		if failures.Load() > 0 && failures.Add(-1) >= 0 {
			return errDisk
		}
		return f.Sync()
	}}))
	j.append(t, track("web", "a"))
	read := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f, err := j.Next(ctx, 2)
		if err != nil {
			read <- err.Error()
			return
		}
		read <- f.Event(0).MessageID()
	}()
	failures.Store(3)
	j.resend(t, track("web", "b"))
	if got := <-read; got != "b" {
		t.Errorf("read %q", got)
	}
}

func TestAnUnreadableBlockIsAnErrorNotALoss(t *testing.T) {
	dir := t.TempDir()
	j := open(t, smallBlocks(dir))
	j.appendFrames(t, 20)
	j.stop()
	j = open(t, smallBlocks(dir))
	if err := os.Rename(block(dir, 1), block(dir, 1)+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(block(dir, 1), 0o700); err != nil { // cannot be read as a file
		t.Fatal(err)
	}
	if f, err := j.Next(t.Context(), 1); err == nil {
		t.Errorf("frame %d was read in place of the first", f.Seq())
	}
	if err := errors.Join(os.Remove(block(dir, 1)), os.Rename(block(dir, 1)+".away", block(dir, 1))); err != nil {
		t.Fatal(err)
	}
	if f := j.next(t, 1); f.Seq() != 1 {
		t.Errorf("frame %d", f.Seq())
	}
	if s := j.Stats(); s.LostFrames != 0 {
		t.Errorf("%d lost frames", s.LostFrames)
	}
}

func TestManyReadersOfLargeFramesAreServed(t *testing.T) {
	opts := with(t.TempDir())
	opts.Tail = 1
	j := open(t, opts)
	for i := range 2 {
		j.append(t, sized(fmt.Sprint("large", i), 7<<20))
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for seq := uint64(1); seq <= 2; seq++ {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if f, err := j.Next(ctx, seq); err != nil || f.Seq() != seq {
					t.Errorf("frame %d: %v", seq, err)
				}
			}
		})
	}
	readers.Wait()
	if err := j.Stats().Closed; err != nil {
		t.Errorf("the intake is closed: %v", err)
	}
}

func TestBelowTheReserveTheIntakeIsClosedAndOpensByItself(t *testing.T) {
	const total = 10 << 30 // so the reserve is 512 MiB
	var free atomic.Uint64
	free.Store(total)
	log := new(codes)
	j := open(t, journal.WithFaults(logTo(with(t.TempDir()), log), journal.Faults{Space: func() (uint64, uint64) { return free.Load(), total }}))
	j.append(t, track("web", "a"))
	free.Store(511 << 20)
	if _, err := j.tryAppend(track("web", "b")); !errors.Is(err, journal.ErrDiskFull) {
		t.Errorf("append below the reserve: %v", err)
	}
	eventually(t, "closed intake", func() bool { return errors.Is(j.Stats().Closed, journal.ErrDiskFull) })
	if _, err := j.Append(t.Context(), journal.Batch{Events: tracks("x", 1)}); !errors.Is(err, journal.ErrDiskFull) || !strings.Contains(err.Error(), "512 MiB") {
		t.Errorf("append to a closed intake: %v", err)
	}
	wantIDs(t, j.ids(t), "a")
	free.Store(total)
	j.resend(t, track("web", "b"))
	wantIDs(t, j.ids(t), "a", "b")
	if s := j.Stats(); s.Free != total || s.Reserve != 512<<20 {
		t.Errorf("free %d, reserve %d", s.Free, s.Reserve)
	}
	for _, code := range []string{"journal_disk_full", "journal_disk_free"} {
		if !log.has(code) {
			t.Errorf("%s is not logged:\n%s", code, log)
		}
	}
}

// without is what of a is not in b.
func without(a, b []string) []string {
	in := make(map[string]bool)
	for _, s := range b {
		in[s] = true
	}
	var rest []string
	for _, s := range a {
		if !in[s] {
			rest = append(rest, s)
		}
	}
	return rest
}

func wantOnce(t testing.TB, ids []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
}

// TestUnderRandomFaultsWhatIsAcknowledgedIsThereOnce lets syncs and
// acknowledgements fail at random while clients send until they are told that
// their events are durable.
func TestUnderRandomFaultsWhatIsAcknowledgedIsThereOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	oneIn := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n) == 0
	}
	fail := func(n int, real error) error {
		if oneIn(n) {
			return errDisk
		}
		return real
	}
	dir := t.TempDir()
	opts := journal.WithFaults(with(dir), journal.Faults{
		SyncFile: func(f *os.File) error { return fail(25, f.Sync()) },
		SyncDir:  func(path string) error { return fail(60, journal.SyncPath(path)) },
		PublishTimeout: func() time.Duration {
			if oneIn(40) {
				return 1
			}
			return time.Minute
		},
	})
	var j *opened
	for j == nil { // opening, too, may meet a fault
		if opening, err := journal.Open(t.Context(), opts); err == nil {
			j = run(t, opening)
		}
	}
	const clients, batches = 6, 25
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for b := range batches {
				j.resend(t, tracks(fmt.Sprintf("%d/%d", c, b), 3)...)
			}
		})
	}
	wg.Wait()
	got := j.ids(t)
	wantOnce(t, got)
	var want []string
	for c := range clients {
		for b := range batches {
			for i := range 3 {
				want = append(want, fmt.Sprintf("%d/%d-%d", c, b, i))
			}
		}
	}
	if missing := without(want, got); len(missing) > 0 {
		t.Errorf("acknowledged and not there: %q", missing)
	}
	j.stop()
	j = open(t, with(dir))
	wantIDs(t, j.ids(t), got...)
}
