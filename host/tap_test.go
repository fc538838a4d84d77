package host

import (
	"context"
	"errors"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// store is a quarantine that does what it is told.
type store func() error

func (s store) Add(context.Context, []event.Refusal) error { return s() }

func TestAWatcherSeesWhatIsStoredAndNothingElse(t *testing.T) {
	var fails error
	quarantine := newTap(store(func() error { return fails }))
	add := func(claim string) error {
		return quarantine.Add(t.Context(), []event.Refusal{{Source: "web", MessageID: "m", Claim: []byte(claim)}})
	}
	if err := add(`{"before":1}`); err != nil {
		t.Fatal(err)
	}
	w := quarantine.watch()
	fails = errors.New("no room")
	if err := add(`{"lost":1}`); !errors.Is(err, fails) {
		t.Fatalf("the quarantine's error is lost: %v", err)
	}
	fails = nil
	claim := []byte(`{"type":"track","event":"Order"}`)
	if err := quarantine.Add(t.Context(), []event.Refusal{{Source: "web", Claim: claim}, {Source: "web", Claim: []byte("no json")}}); err != nil {
		t.Fatal(err)
	}
	clear(claim) // it is its owner's again
	records := <-w.records
	if len(records) != 2 || records[0].Event != "Order" || records[0].Type != event.Track || string(records[0].JSON) != `{"type":"track","event":"Order"}` {
		t.Errorf("records %+v", records)
	}
	if records[1].JSON != nil || string(records[1].Bytes) != "no json" {
		t.Errorf("what is no JSON: %+v", records[1])
	}
	quarantine.leave(w)
	if err := add(`{"after":1}`); err != nil {
		t.Fatal(err)
	}
	if len(w.records) != 0 {
		t.Errorf("it sees what comes after it left: %+v", <-w.records)
	}
}

func TestASlowWatcherHoldsNobodyUpAndKnowsWhatItMissed(t *testing.T) {
	quarantine := newTap(store(func() error { return nil }))
	w := quarantine.watch()
	for range watchAhead + 5 {
		if err := quarantine.Add(t.Context(), []event.Refusal{{Source: "web"}, {Source: "web"}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.missed.Load(); got != 10 || len(w.records) != watchAhead {
		t.Errorf("missed %d refusals and has %d Adds, want 10 and %d", got, len(w.records), watchAhead)
	}
}
