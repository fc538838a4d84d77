package host_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// shelved is a quarantine on a journal of its own.
type shelved struct {
	*quarantine.Quarantine
	stop func()
}

func openShelved(t testing.TB, dir string, maxBytes int64) *shelved {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	j, err := journal.Open(ctx, journal.Options{Dir: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	state, err := journal.OpenState(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	var journalRun, run sync.WaitGroup
	journalCtx, cancelJournal := context.WithCancel(context.Background())
	journalRun.Go(func() {
		if err := j.Run(journalCtx); err != nil {
			t.Error(err)
		}
	})
	q, err := quarantine.Open(ctx, quarantine.Options{
		Logs: host.Shelves(j), Cache: state, MaxBytes: maxBytes, MaxAge: 30 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	run.Go(func() {
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		run.Wait()
		cancelJournal()
		journalRun.Wait()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &shelved{q, stop}
}

func refused(source string, n, size int) event.Refusal {
	claim := fmt.Appendf(nil, `{"type":"track","event":"Order Completed","messageId":"m%d","x":"%0*d"}`, n, size, n)
	return event.Refusal{
		Source: event.SourceID(source), MessageID: fmt.Sprint("m", n), ReceivedAt: time.Now(), Claim: claim, Size: len(claim),
		Violations: []event.Violation{{Code: event.CodePlan, Path: "/x", Message: "want number"}},
	}
}

func (s *shelved) list(t testing.TB, f quarantine.Filter) (entries []quarantine.Entry, ids []string) {
	t.Helper()
	for e, err := range s.List(context.Background(), f) {
		if err != nil {
			t.Fatal(err)
		}
		entries, ids = append(entries, e), append(ids, e.MessageID)
	}
	return entries, ids
}

func TestQuarantineOnAJournal(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	s := openShelved(t, dir, 1<<20)
	for i := range 60 {
		if err := s.Add(ctx, []event.Refusal{refused("website", i, 100), refused("eu.shop", i%7, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()

	s = openShelved(t, dir, 1<<20)
	entries, ids := s.list(t, quarantine.Filter{Source: "website", OldestFirst: true})
	if len(ids) != 60 || ids[0] != "m0" || ids[59] != "m59" {
		t.Errorf("entries are %v", ids)
	}
	for _, st := range s.Status() {
		if want := map[event.SourceID]int{"website": 60, "eu.shop": 7}[st.Source]; st.Entries != want || st.Count != 60 || st.Problem != "" {
			t.Errorf("status is %+v", st)
		}
	}
	kept := entries[:20]
	var drop []quarantine.ID
	for _, e := range entries[20:] {
		drop = append(drop, e.ID)
	}
	if n, err := s.SetState(ctx, drop, quarantine.StateDropped, "test"); n != 40 || err != nil {
		t.Fatalf("%d dropped, %v", n, err)
	}

	// Push through the whole ring, and find what was kept where it was.
	for i := range 42 {
		if err := s.Add(ctx, []event.Refusal{refused("website", 1000+i, 900<<10)}); err != nil {
			t.Fatal(err)
		}
		last, _ := s.list(t, quarantine.Filter{Source: "website", Limit: 1})
		if _, err := s.SetState(ctx, []quarantine.ID{last[0].ID}, quarantine.StateDropped, "test"); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	s = openShelved(t, dir, 1<<20)
	got, _ := s.list(t, quarantine.Filter{Source: "website", OldestFirst: true})
	if !slices.EqualFunc(got, kept, func(a, b quarantine.Entry) bool { return a.ID == b.ID && string(a.Claim) == string(b.Claim) }) {
		t.Errorf("%d entries, want %d", len(got), len(kept))
	}
	var full *quarantine.FullError
	if err := s.Add(ctx, []event.Refusal{refused("website", 5000, 600_000), refused("website", 5001, 600_000)}); !errors.As(err, &full) {
		t.Errorf("error is %v", err)
	}
}

func BenchmarkQuarantineOnAJournal(b *testing.B) {
	s := openShelved(b, b.TempDir(), 1<<30)
	ctx := context.Background()
	n := 0
	b.Run("add 20", func(b *testing.B) {
		for b.Loop() {
			var batch []event.Refusal
			for range 20 {
				n++
				batch = append(batch, refused("website", n, 700))
			}
			if err := s.Add(ctx, batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	for n < 100_000 {
		var batch []event.Refusal
		for range 100 {
			n++
			batch = append(batch, refused("website", n, 700))
		}
		if err := s.Add(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	for name, f := range map[string]quarantine.Filter{"first page": {Limit: 100}, "no such": {Event: "none"}} {
		b.Run("list "+name, func(b *testing.B) {
			for b.Loop() {
				s.list(b, f)
			}
		})
	}
}
