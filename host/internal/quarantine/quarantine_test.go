package quarantine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEntryKeepsEverythingThatReplayNeeds(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	r := refusal("website", 1)
	r.Violations = append(r.Violations, event.Violation{Code: event.CodePlan, Path: "/properties", Keyword: "required", Message: "missing id"})
	add(t, q, r)

	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
		got := list(t, q, quarantine.Filter{})
		if len(got) != 1 {
			t.Fatalf("%d entries, want 1", len(got))
		}
		e := got[0]
		if e.ID.String() != "website/1.0" || e.MessageID != "m1" || e.Event != "Order Completed" || e.Destination != "" ||
			string(e.Claim) != string(r.Claim) || e.Size != r.Size || len(e.Hash) != 64 || !e.Whole() ||
			!reflect.DeepEqual(e.Violations, r.Violations) || !e.ReceivedAt.Equal(r.ReceivedAt) || e.SentAt != r.SentAt ||
			e.Count != 1 || e.State != quarantine.StateOpen || time.Since(e.FirstSeen) > time.Minute || !e.LastSeen.Equal(e.FirstSeen) {
			t.Errorf("entry is %+v", e)
		}
		shown, err := q.Show(context.Background(), e.ID)
		if err != nil || !reflect.DeepEqual(shown, e) {
			t.Errorf("shown is %+v, %v", shown, err)
		}
	}
}

func TestOversizeEventKeepsItsSizeAndHash(t *testing.T) {
	q := open(t, newDisk())
	r := refusal("website", 1)
	r.Claim, r.Size, r.Hash = r.Claim[:30], 9<<20, strings.Repeat("ab", 32)
	r.Violations = []event.Violation{{Code: event.CodeTooLarge, Message: "9437184 bytes, at most 1048576"}}
	add(t, q, r)
	e := list(t, q, quarantine.Filter{})[0]
	if e.Size != 9<<20 || e.Hash != r.Hash || len(e.Claim) != 30 || e.Whole() || e.Event != "track" {
		t.Errorf("entry is %+v", e)
	}
}

func TestViolationsAreKeptWhileThereIsRoom(t *testing.T) {
	q := open(t, newDisk())
	r := refusal("website", 1)
	r.Violations = nil
	for i := range 10_000 {
		r.Violations = append(r.Violations, event.Violation{Code: event.CodePlan, Path: fmt.Sprintf("/properties/items/%d/price", i), Message: "want number"})
	}
	add(t, q, r)
	e := list(t, q, quarantine.Filter{})[0]
	if n := len(e.Violations); n < 500 || n+e.MoreViolations != 10_000 || !reflect.DeepEqual(e.Violations, r.Violations[:n]) {
		t.Errorf("%d violations and %d more", n, e.MoreViolations)
	}
}

func TestSameRefusalRaisesTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		q := open(t, d)
		r := refusal("website", 1)
		add(t, q, r, r, refusal("website", 2), r)
		time.Sleep(time.Hour)
		later := r
		later.ReceivedAt, later.SentAt = time.Now(), "2026-03-01T13:00:00Z"
		add(t, q, later)
		add(t, q, later, later)

		for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
			got := list(t, q, quarantine.Filter{OldestFirst: true})
			if len(got) != 2 || got[0].Count != 6 || got[1].Count != 1 {
				t.Fatalf("entries are %+v", got)
			}
			if e := got[0]; e.LastSeen.Sub(e.FirstSeen) != time.Hour || !e.ReceivedAt.Equal(r.ReceivedAt) || e.SentAt != r.SentAt {
				t.Errorf("entry is %+v", e)
			}
			if s := status(t, q, "website"); s.Entries != 2 || s.Count != 7 || s.Refused != 7 {
				t.Errorf("status is %+v", s)
			}
		}
		if n := d.log("website").records('e'); n != 2 {
			t.Errorf("%d entries written, want 2", n)
		}
	})
}

func TestOtherBytesReasonsOrRefuserMakeAnotherEntry(t *testing.T) {
	q := open(t, newDisk())
	same := refusal("website", 1)
	reason, destination, source := same, same, same
	reason.Violations = []event.Violation{{Code: event.CodeSchema, Path: "/properties/total"}}
	destination.Destination = "crm"
	source.Source = "shop"
	add(t, q, same, reason, destination, source, refusal("website", 2))
	if got := list(t, q, quarantine.Filter{}); len(got) != 5 {
		t.Errorf("%d entries, want 5", len(got))
	}
}

func TestBurstOfOneRefusalIsOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		q := open(t, d)
		l := d.log("website")
		add(t, q, refusal("website", 1))

		goOn := make(chan struct{})
		l.failWith(func([][]byte) error { <-goOn; return nil }, false)
		var wg sync.WaitGroup
		wg.Go(func() { add(t, q, refusal("website", 2)) })
		synctest.Wait()
		const burst = 200
		for range burst {
			wg.Go(func() { add(t, q, refusal("website", 1), refusal("website", 3)) })
		}
		synctest.Wait()
		close(goOn)
		wg.Wait()

		got := list(t, q, quarantine.Filter{OldestFirst: true})
		if len(got) != 3 || got[0].Count != burst+1 || got[1].Count != 1 || got[2].Count != burst {
			t.Errorf("entries are %v", got)
		}
		if entries, repeats := l.records('e'), l.records('r'); entries != 3 || repeats != 1 {
			t.Errorf("%d entries and %d repeats written for a burst of %d", entries, repeats, burst)
		}
	})
}

func TestRefusalsOfADestinationAreInTheSourcesLog(t *testing.T) {
	q := open(t, newDisk())
	r := refusal("website", 1)
	r.Destination = "customerio"
	r.Violations = []event.Violation{{Code: event.CodeDestination, Message: "http_400: unknown attribute"}}
	add(t, q, refusal("website", 2), r)
	got := list(t, q, quarantine.Filter{Destination: "customerio"})
	if len(got) != 1 || got[0].Destination != "customerio" || got[0].ID.Source != "website" || got[0].MessageID != "m1" {
		t.Errorf("entries are %+v", got)
	}
	if g := groups(t, q, quarantine.Filter{Destination: "customerio"}); len(g) != 1 || g[0].Destination != "customerio" || g[0].Code != event.CodeDestination {
		t.Errorf("groups are %+v", g)
	}
}

func TestClosedEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		q := open(t, d)
		for i := range 10 {
			add(t, q, refusal("website", i))
		}
		add(t, q, refusal("website", 3))
		all := list(t, q, quarantine.Filter{OldestFirst: true})
		time.Sleep(time.Minute)
		closed := time.Now()
		if n := setState(t, q, quarantine.StateReplayed, all[3], all[4], all[3]); n != 2 {
			t.Errorf("%d closed, want 2", n)
		}
		if n := setState(t, q, quarantine.StateDropped, all[4], all[5]); n != 1 {
			t.Errorf("%d closed, want the one that was open", n)
		}
		for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
			if n := len(list(t, q, quarantine.Filter{})); n != 7 {
				t.Errorf("%d open, want 7", n)
			}
			replayed := list(t, q, quarantine.Filter{State: quarantine.StateReplayed, OldestFirst: true})
			if !slices.Equal(messageIDs(replayed), []string{"m3", "m4"}) {
				t.Fatalf("replayed are %v", messageIDs(replayed))
			}
			if e := replayed[0]; e.Count != 2 || e.State != quarantine.StateReplayed || e.StateBy != "test" || !e.StateAt.Equal(closed) {
				t.Errorf("entry is %+v", e)
			}
			if n := len(list(t, q, quarantine.Filter{State: quarantine.AnyState})); n != 10 {
				t.Errorf("%d in any state, want 10", n)
			}
			if e, err := q.Show(context.Background(), all[5].ID); err != nil || e.State != quarantine.StateDropped {
				t.Errorf("shown is %+v, %v", e, err)
			}
			if s := status(t, q, "website"); s.Entries != 7 || s.Count != 7 {
				t.Errorf("status is %+v", s)
			}
			if g := groups(t, q, quarantine.Filter{}); len(g) != 1 || g[0].Entries != 7 || g[0].Count != 7 {
				t.Errorf("groups are %+v", g)
			}
		}
	})
}

func TestRefusalOfAClosedEntryIsANewEntry(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	add(t, q, refusal("website", 1))
	setState(t, q, quarantine.StateReplayed, list(t, q, quarantine.Filter{})...)
	add(t, q, refusal("website", 1))
	q = open(t, d.copy(), noCache)
	add(t, q, refusal("website", 1))
	if got := list(t, q, quarantine.Filter{}); len(got) != 1 || got[0].Count != 2 || got[0].ID.String() == "website/1.0" {
		t.Errorf("open are %+v", got)
	}
}

func TestEntryIsNotOpenedAgain(t *testing.T) {
	q := open(t, newDisk())
	add(t, q, refusal("website", 1))
	id := list(t, q, quarantine.Filter{})[0].ID
	for _, s := range []quarantine.State{quarantine.StateOpen, quarantine.AnyState, 7} {
		if _, err := q.SetState(context.Background(), []quarantine.ID{id}, s, "test"); err == nil {
			t.Errorf("an entry was made %s", s)
		}
	}
}

func TestUnknownIDs(t *testing.T) {
	q := open(t, newDisk())
	add(t, q, refusal("website", 1), refusal("website", 2))
	for _, s := range []string{"website/1.9", "website/99.0", "shop/1.0"} {
		id, err := quarantine.ParseID(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Show(context.Background(), id); !errors.Is(err, quarantine.ErrNotFound) || !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %v", s, err)
		}
		if n, err := q.SetState(context.Background(), []quarantine.ID{id}, quarantine.StateDropped, "test"); n != 0 || err != nil {
			t.Errorf("%s: %d closed, %v", s, n, err)
		}
	}
	if n := len(list(t, q, quarantine.Filter{})); n != 2 {
		t.Errorf("%d open, want 2", n)
	}
}

func TestIDsAndStatesArePrintedAsTheyAreRead(t *testing.T) {
	id := quarantine.ID{Source: "eu/website", Position: event.At(1042, 7)}
	if got, err := quarantine.ParseID(id.String()); err != nil || got != id || id.String() != "eu/website/1042.7" {
		t.Errorf("%s: %v, %v", id, got, err)
	}
	for _, bad := range []string{"", "website", "/1.0", "website/1", "website/x.0", "website/1.9999999999"} {
		if _, err := quarantine.ParseID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
	for _, s := range []quarantine.State{quarantine.StateOpen, quarantine.StateReplayed, quarantine.StateSuperseded, quarantine.StateDropped, quarantine.AnyState} {
		if got, err := quarantine.ParseState(s.String()); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	data, err := json.Marshal(struct {
		ID    quarantine.ID
		State quarantine.State
	}{id, quarantine.StateDropped})
	if string(data) != `{"ID":"eu/website/1042.7","State":"dropped"}` || err != nil {
		t.Errorf("%s, %v", data, err)
	}
}
