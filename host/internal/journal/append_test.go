package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// gate holds every sync of a block file while it is shut.
type gate struct {
	mu      sync.Mutex
	opened  chan struct{} // nil or closed: open
	waiting atomic.Int64
}

func (g *gate) sync(f *os.File) error {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened != nil && filepath.Ext(f.Name()) == ".blk" {
		g.waiting.Add(1)
		defer g.waiting.Add(-1)
		<-opened
	}
	return f.Sync()
}

// shut shuts the gate until open, or the test's end.
func (g *gate) shut(t *testing.T) (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
	open = sync.OnceFunc(func() { close(g.opened) })
	t.Cleanup(open)
	return open
}

// awaitSync returns when a sync waits at the gate.
func (g *gate) awaitSync(t *testing.T) {
	t.Helper()
	eventually(t, "a sync", func() bool { return g.waiting.Load() > 0 })
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// gated is a journal whose syncs pass g.
func gated(t *testing.T, opts journal.Options, g *gate) *opened {
	return open(t, journal.WithFaults(opts, journal.Faults{SyncFile: g.sync}))
}

func isDone(t *journal.Ticket) bool {
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

func TestDuplicatesAreDropped(t *testing.T) {
	dir := t.TempDir()
	j := open(t, with(dir))
	j.append(t, track("web", "a"), track("crm", "b"))
	for _, c := range []struct {
		batch      []event.Envelope
		duplicates int
	}{
		{[]event.Envelope{track("web", "a"), track("crm", "a")}, 1}, // the same id of another source is another event
		{[]event.Envelope{track("web", "c"), track("web", "c"), track("web", "c")}, 2},
		{[]event.Envelope{track("web", "a"), track("web", "c")}, 2},
	} {
		if got := j.append(t, c.batch...).Duplicates(); got != c.duplicates {
			t.Errorf("%d duplicates, want %d", got, c.duplicates)
		}
	}
	want := []string{"a", "b", "a", "c"}
	wantIDs(t, j.ids(t), want...)
	if pos, ok := j.Find("web", "c"); !ok || pos.Frame() != j.Extent().Last {
		t.Errorf("found c at %s, %v", pos, ok)
	}
	j.stop()

	j = open(t, with(dir)) // the index is not on disk yet: it comes from the journal
	if got := j.append(t, track("crm", "b"), track("web", "a"), track("web", "d")).Duplicates(); got != 2 {
		t.Errorf("%d duplicates after reopening, want 2", got)
	}
	wantIDs(t, j.ids(t), append(want, "d")...)
}

func TestWithoutAWindowNothingIsADuplicate(t *testing.T) {
	j := open(t, journal.Options{Dir: t.TempDir()})
	j.append(t, track("web", "a"), track("web", "a"))
	wantIDs(t, j.ids(t), "a", "a")
}

func TestATicketWaitsForTheSync(t *testing.T) {
	g := new(gate)
	j := gated(t, with(t.TempDir()), g)
	open := g.shut(t)
	ticket, err := j.Append(t.Context(), journal.Batch{Events: tracks("a", 2)})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitSync(t)
	if isDone(ticket) || j.Extent().Last != 0 {
		t.Error("acknowledged before the sync")
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := j.Next(short, 1); err == nil {
		t.Errorf("frame %d is read before its sync", f.Seq())
	}
	open()
	if err := ticket.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestADuplicateOfAnEventInFlightWaitsForIt(t *testing.T) {
	g := new(gate)
	j := gated(t, with(t.TempDir()), g)
	open := g.shut(t)
	first, err := j.Append(t.Context(), journal.Batch{Events: tracks("a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitSync(t)
	second, err := j.Append(t.Context(), journal.Batch{Events: tracks("a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-second.Done():
		t.Error("the duplicate is acknowledged before the event is durable")
	case <-time.After(50 * time.Millisecond):
	}
	open()
	for _, ticket := range []*journal.Ticket{first, second} {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if first.Duplicates() != 0 || second.Duplicates() != 1 {
		t.Errorf("duplicates %d and %d", first.Duplicates(), second.Duplicates())
	}
	wantIDs(t, j.ids(t), "a-0")
}

func TestWhatIsQueuedTogetherSharesAFrame(t *testing.T) {
	g := new(gate)
	j := gated(t, with(t.TempDir()), g)
	open := g.shut(t)
	var tickets []*journal.Ticket
	for i := range 50 {
		ticket, err := j.Append(t.Context(), journal.Batch{Events: tracks(fmt.Sprint(i), 2)})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
		if i == 0 {
			g.awaitSync(t)
		}
	}
	open()
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if x := j.Extent(); x.Last != 2 {
		t.Errorf("%d frames, want 2: the first batch, and all that came during its sync", x.Last)
	}
}

func TestALargeBatchIsSplitAndAGroupIsNot(t *testing.T) {
	g := new(gate)
	j := gated(t, with(t.TempDir()), g)
	const n, size = 40, 100 << 10
	batch := make([]event.Envelope, n)
	for i := range batch {
		batch[i] = sized(fmt.Sprint("e", i), size)
		switch {
		case i >= 5 && i < 25: // 2 MB, more than a frame is meant to have
			batch[i].Group = 7
		case i == 30 || i == 33: // not neighbours
			batch[i].Group = 9
		}
	}
	batch[5].Attachment = []byte("cursor")
	other := []event.Envelope{sized("o0", size), sized("o1", size)}
	other[0].Group, other[1].Group = 7, 7 // another batch's group of the same number

	open := g.shut(t)
	first, err := j.Append(t.Context(), journal.Batch{Events: tracks("first", 1)})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitSync(t)
	large, err := j.Append(t.Context(), journal.Batch{Events: batch})
	if err != nil {
		t.Fatal(err)
	}
	small, err := j.Append(t.Context(), journal.Batch{Events: other})
	if err != nil {
		t.Fatal(err)
	}
	open()
	for _, ticket := range []*journal.Ticket{first, large, small} {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	type place struct {
		frame uint64
		group uint32
	}
	places := make(map[string]place)
	for _, f := range j.frames(t) {
		for i := range f.Len() {
			e := f.Event(i)
			places[e.MessageID()] = place{f.Seq(), e.Group}
			if e.MessageID() == "e5" && string(e.Attachment) != "cursor" {
				t.Errorf("attachment %q", e.Attachment)
			}
		}
	}
	if len(places) != n+3 {
		t.Fatalf("%d events", len(places))
	}
	if places["e0"].frame == places["e39"].frame {
		t.Error("four megabytes are in one frame")
	}
	for _, group := range [][]string{{"e5", "e24"}, {"e30", "e33"}, {"o0", "o1"}} {
		a, b := places[group[0]], places[group[1]]
		if a != b || a.group == 0 {
			t.Errorf("group of %v: %+v and %+v", group, a, b)
		}
	}
	if places["e30"] == places["o0"] {
		t.Error("two groups of one frame have one number")
	}
	if places["e0"].group != 0 || places["e31"].group != 0 {
		t.Error("an event without a group has one")
	}
}

func TestWhatNoFrameCanHoldIsRefusedAtOnce(t *testing.T) {
	j := open(t, with(t.TempDir()))
	oneTooLarge := sized("large", journal.MaxEvent)
	group := []event.Envelope{sized("g1", 6<<20), sized("g2", 6<<20), sized("g3", 6<<20)}
	for i := range group {
		group[i].Group = 1
	}
	for name, c := range map[string]struct {
		batch    []event.Envelope
		tooLarge bool
	}{
		"event over the limit": {[]event.Envelope{oneTooLarge}, true},
		"group over the limit": {group, true},
		"unknown type":         {[]event.Envelope{{Source: "web", Type: "click", JSON: []byte("{}")}}, false},
		"newline":              {[]event.Envelope{{Source: "web", Type: event.Track, JSON: []byte("{\n}")}}, false},
		"empty":                {[]event.Envelope{{Source: "web", Type: event.Track}}, false},
	} {
		if _, err := j.tryAppend(append(tracks(name, 1), c.batch...)...); err == nil || errors.Is(err, journal.ErrTooLarge) != c.tooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	if x := j.Extent(); x.Last != 0 {
		t.Errorf("%d frames of refused batches", x.Last)
	}
	largest := sized("fits", journal.MaxEvent-100)
	j.append(t, largest)
	j.append(t) // nothing at all is durable at once
	wantIDs(t, j.ids(t), "fits")
}

func TestAppendWaitsWhileTheQueueIsFull(t *testing.T) {
	g := new(gate)
	opts := with(t.TempDir())
	opts.Queue = 64 << 10
	j := gated(t, opts, g)
	open := g.shut(t)
	first, err := j.Append(t.Context(), journal.Batch{Events: []event.Envelope{sized("first", 40<<10)}})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitSync(t)

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := j.Append(short, journal.Batch{Events: []event.Envelope{sized("late", 40<<10)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append to a full queue: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := j.tryAppend(sized("waits", 40<<10))
		waited <- err
	}()
	if q := j.Stats().Queued; q > opts.Queue {
		t.Errorf("%d bytes are queued", q)
	}
	open()
	if err := errors.Join(first.Wait(t.Context()), <-waited); err != nil {
		t.Fatal(err)
	}
	j.append(t, sized("larger than the queue", 100<<10))
	wantIDs(t, j.ids(t), "first", "waits", "larger than the queue")
	if q := j.Stats().Queued; q != 0 {
		t.Errorf("%d bytes stay queued", q)
	}
}

func TestManyAppendersLoseNothing(t *testing.T) {
	j := open(t, with(t.TempDir()))
	const appenders, batches, size = 16, 40, 25
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for b := range batches {
				if _, err := j.tryAppend(tracks(fmt.Sprintf("%d/%d", a, b), size)...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, id := range j.ids(t) {
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) != appenders*batches*size {
		t.Errorf("%d events, want %d", len(seen), appenders*batches*size)
	}
}
