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

// opened is a running journal.
type opened struct {
	*journal.Journal
	stop func()
}

func open(t testing.TB, opts journal.Options) *opened {
	t.Helper()
	j, err := journal.Open(context.Background(), opts)
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
	for seq := uint64(1); seq <= o.Extent().Last; seq++ {
		f, err := o.Next(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			ids = append(ids, f.Event(i).MessageID())
		}
		seq = f.Seq()
	}
	return ids
}

func TestWhatWasAppendedIsReadAfterReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, journal.Options{Dir: dir, Window: time.Hour, MaxIDs: 1e6})
	j.append(t, track("web", "a"), track("crm", "b"))
	if got := j.append(t, track("web", "a"), track("crm", "a")).Duplicates(); got != 1 {
		t.Errorf("%d duplicates, want 1", got)
	}
	want := []string{"a", "b", "a"}
	if got := j.ids(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ids %v, want %v", got, want)
	}
	j.stop()

	j = open(t, journal.Options{Dir: dir, Window: time.Hour, MaxIDs: 1e6})
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
