package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// index is the simplest journal.Index.
type index struct {
	mu  sync.Mutex
	ids map[string]event.Position
}

func newIndex() *index { return &index{ids: make(map[string]event.Position)} }

func (x *index) Has(source event.SourceID, id string) (event.Position, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	pos, ok := x.ids[string(source)+"/"+id]
	return pos, ok
}

func (x *index) Add(source event.SourceID, id string, pos event.Position, _ time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids[string(source)+"/"+id] = pos
}

func (x *index) Covered() event.Position { return 0 }

func (x *index) Forget(from event.Position) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, pos := range x.ids {
		if pos >= from {
			delete(x.ids, id)
		}
	}
	return nil
}

// opened is a running journal.
type opened struct {
	*journal.Journal
	stop func()
}

func open(t *testing.T, opts journal.Options) *opened {
	t.Helper()
	j, err := journal.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- j.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(stop)
	return &opened{j, stop}
}

func track(source, id string) event.Envelope {
	return event.Envelope{
		Source: event.SourceID(source), Type: event.Track, MessageID: id,
		ReceivedAt: time.Unix(1700000000, 123456789).UTC(),
		JSON:       fmt.Appendf(nil, `{"type":"track","messageId":%q,"event":"Bought"}`, id),
	}
}

func (o *opened) append(t *testing.T, events ...event.Envelope) *journal.Ticket {
	t.Helper()
	ticket, err := o.Append(t.Context(), journal.Batch{Events: events})
	if err == nil {
		err = ticket.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func (o *opened) ids(t *testing.T) []string {
	t.Helper()
	var ids []string
	for seq := uint64(1); seq <= o.Last(); seq++ {
		f, err := o.Next(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			ids = append(ids, f.Event(i).MessageID())
		}
		seq = f.Seq
	}
	return ids
}

func TestWhatWasAppendedIsReadAfterReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, journal.Options{Dir: dir, Index: newIndex()})
	j.append(t, track("web", "a"), track("crm", "b"))
	if got := j.append(t, track("web", "a"), track("crm", "a")).Duplicates(); got != 1 {
		t.Errorf("%d duplicates, want 1", got)
	}
	want := []string{"a", "b", "a"}
	if got := j.ids(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ids %v, want %v", got, want)
	}
	j.stop()

	j = open(t, journal.Options{Dir: dir, Index: newIndex()})
	if got := j.ids(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ids after reopening %v, want %v", got, want)
	}
	f, err := j.Next(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	e := f.Event(1)
	if e.Source != "crm" || e.Type != event.Track || !e.ReceivedAt.Equal(time.Unix(1700000000, 123456789)) || e.Position != event.At(1, 1) {
		t.Errorf("event %+v", e)
	}
}
