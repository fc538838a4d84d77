package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if given := os.Getenv(appenderEnv); given != "" {
		os.Exit(appender(given))
	}
	goleak.VerifyTestMain(m)
}

// opened is a running journal.
type opened struct {
	*journal.Journal
	stop func()
}

// open opens a journal and runs it until the test ends, or stop.
func open(t testing.TB, opts journal.Options) *opened {
	t.Helper()
	j, err := journal.Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, j)
}

// run runs a journal until the test ends, or stop.
func run(t testing.TB, j *journal.Journal) *opened {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- j.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(stop)
	return &opened{j, stop}
}

// with is the options that most tests use.
func with(dir string) journal.Options {
	return journal.Options{Dir: dir, Window: time.Hour, MaxIDs: 1e6}
}

func track(source, id string) event.Envelope {
	return event.Envelope{
		Source: event.SourceID(source), Type: event.Track, MessageID: id,
		ReceivedAt: time.Unix(1700000000, 123456789).UTC(),
		JSON:       fmt.Appendf(nil, `{"type":"track","messageId":%q,"event":"Bought"}`, id),
	}
}

// tracks are n events with ids that begin with prefix.
func tracks(prefix string, n int) []event.Envelope {
	events := make([]event.Envelope, n)
	for i := range events {
		events[i] = track("web", fmt.Sprintf("%s-%d", prefix, i))
	}
	return events
}

// sized is an event of about this many bytes.
func sized(id string, size int) event.Envelope {
	e := track("web", id)
	e.JSON = fmt.Appendf(nil, `{"messageId":%q,"f":"%s"}`, id, strings.Repeat("x", size))
	return e
}

// tryAppend appends a batch and waits for it.
func (o *opened) tryAppend(events ...event.Envelope) (*journal.Ticket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ticket, err := o.Append(ctx, journal.Batch{Events: events})
	if err == nil {
		err = ticket.Wait(ctx)
	}
	return ticket, err
}

func (o *opened) append(t testing.TB, events ...event.Envelope) *journal.Ticket {
	t.Helper()
	ticket, err := o.tryAppend(events...)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// next is the first frame at or after seq, which must be there already.
func (o *opened) next(t testing.TB, seq uint64) *journal.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	f, err := o.Next(ctx, seq)
	if err != nil {
		t.Fatalf("frame %d: %v", seq, err)
	}
	return f
}

// frames are all frames that can be read.
func (o *opened) frames(t testing.TB) []*journal.Frame {
	t.Helper()
	var frames []*journal.Frame
	last := o.Extent().Last
	for seq := uint64(1); seq <= last; {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		f, err := o.Next(ctx, seq)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break // the newest ones are lost
		}
		if err != nil {
			t.Fatalf("frame %d: %v", seq, err)
		}
		frames = append(frames, f)
		seq = f.Seq() + 1
	}
	return frames
}

// ids are the message ids of all events, in order.
func (o *opened) ids(t testing.TB) []string {
	t.Helper()
	var ids []string
	for _, f := range o.frames(t) {
		for i := range f.Len() {
			ids = append(ids, f.Event(i).MessageID())
		}
	}
	return ids
}

func wantIDs(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("ids %q, want %q", got, want)
	}
}

func TestWhatWasAppendedIsReadAfterReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, with(dir))
	j.append(t, track("web", "a"), track("crm", "b"))
	j.append(t, track("web", "c"))
	wantIDs(t, j.ids(t), "a", "b", "c")
	before := j.frames(t)
	j.stop()

	j = open(t, with(dir))
	wantIDs(t, j.ids(t), "a", "b", "c")
	e := j.next(t, 1).Event(1)
	if e.Source != "crm" || e.Type != event.Track || !e.ReceivedAt.Equal(time.Unix(1700000000, 123456789)) || e.Position != event.At(1, 1) {
		t.Errorf("event %+v", e)
	}
	for i, f := range j.frames(t) {
		if f.Seq() != before[i].Seq() || f.Offset() != before[i].Offset() || !f.Time().Equal(before[i].Time()) {
			t.Errorf("frame %d is now %d at %d", before[i].Seq(), f.Seq(), f.Offset())
		}
	}
	if x := j.Extent(); x.First != 1 || x.Last != 2 || x.End != before[1].End() {
		t.Errorf("extent %+v", x)
	}
}

func TestOffsetsCountTheBytesOfAllFrames(t *testing.T) {
	j := open(t, with(t.TempDir()))
	for i := range 20 {
		j.append(t, tracks(fmt.Sprint(i), i+1)...)
	}
	offset := uint64(0)
	for _, f := range j.frames(t) {
		if f.Offset() != offset {
			t.Fatalf("frame %d begins at %d, want %d", f.Seq(), f.Offset(), offset)
		}
		offset += uint64(f.Size())
	}
	if x := j.Extent(); x.End != offset {
		t.Errorf("the journal ends at %d, want %d", x.End, offset)
	}
}

func TestRunCommitsWhatIsQueuedBeforeItReturns(t *testing.T) {
	j, err := journal.Open(t.Context(), with(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	var tickets []*journal.Ticket
	for i := range 10 {
		ticket, err := j.Append(t.Context(), journal.Batch{Events: tracks(fmt.Sprint(i), 3)})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := j.Append(t.Context(), journal.Batch{Events: tracks("late", 1)}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after the end: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := j.Next(t.Context(), 1<<40); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestTwoJournalsRunSideBySide(t *testing.T) {
	a, b := open(t, with(t.TempDir())), open(t, with(t.TempDir()))
	a.append(t, track("web", "a"))
	b.append(t, track("web", "b"))
	wantIDs(t, a.ids(t), "a")
	wantIDs(t, b.ids(t), "b")
}
