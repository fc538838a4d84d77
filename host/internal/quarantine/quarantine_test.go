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
	d := newDisk()
	q := open(t, d)
	l := d.log("website")
	add(t, q, refusal("website", 1))

	writing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l.failWith(func([][]byte) error {
		once.Do(func() { close(writing); <-goOn })
		return nil
	}, false)
	var wg sync.WaitGroup
	wg.Go(func() { add(t, q, refusal("website", 2)) })
	<-writing
	const burst = 200
	var queued sync.WaitGroup
	queued.Add(burst)
	for range burst {
		wg.Go(func() {
			queued.Done()
			add(t, q, refusal("website", 1), refusal("website", 3))
		})
	}
	queued.Wait()
	close(goOn)
	wg.Wait()

	got := list(t, q, quarantine.Filter{OldestFirst: true})
	if len(got) != 3 || got[0].Count != burst+1 || got[1].Count != 1 || got[2].Count != burst {
		t.Errorf("counts are %v", got)
	}
	if n := l.records('e'); n != 3 {
		t.Errorf("%d entries written, want 3", n)
	}
	if n := l.records('r'); n > burst/4 {
		t.Errorf("%d repeats written for a burst of %d", n, burst)
	}
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

func TestAFullQuarantineRefusesNewEntriesOnly(t *testing.T) {
	d := newDisk()
	q := open(t, d, maxBytes(limit))
	n := 0
	var full *quarantine.FullError
	for ; ; n++ {
		err := q.Add(context.Background(), []event.Refusal{refusal("website", n)})
		if errors.As(err, &full) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if full.Source != "website" || full.Limit != limit || !strings.Contains(full.Error(), "drop_oldest") {
		t.Errorf("error is %v", full)
	}
	s := status(t, q, "website")
	if !s.Full || !s.Nearing || s.Entries != n || s.Bytes > limit || s.Bytes < limit*9/10 || n < 50 {
		t.Errorf("status after %d entries is %+v", n, s)
	}
	add(t, q, refusal("website", 5))
	add(t, q, refusal("shop", 1))
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", 5), refusal("website", n), refusal("shop", 1)}); !errors.As(err, &full) {
		t.Errorf("error is %v", err)
	}
	if got := list(t, q, quarantine.Filter{Source: "shop"}); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("entries of the other source are %+v", got)
	}

	// Closing entries makes room at once.
	setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Source: "website", Limit: 2})...)
	if s := status(t, q, "website"); s.Full || s.Entries != n-2 {
		t.Errorf("status is %+v", s)
	}
	add(t, q, refusal("website", n), refusal("website", n+1))
	q = open(t, d.copy(), maxBytes(limit))
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", n+2)}); !errors.As(err, &full) {
		t.Errorf("error after a restart is %v", err)
	}
}

func TestDropOldestDropsAndCounts(t *testing.T) {
	d := newDisk()
	const many = 5000
	q := open(t, d, maxBytes(1<<20), dropOldest)
	for i := range many {
		add(t, q, refusal("website", i))
	}
	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy(), maxBytes(1<<20), dropOldest)} {
		s := status(t, q, "website")
		got := list(t, q, quarantine.Filter{})
		if len(got) != s.Entries || s.Entries+int(s.Dropped) != many || s.Entries < 500 || s.Dropped == 0 || s.Bytes > 1<<20 || s.Full {
			t.Errorf("%d listed, status is %+v", len(got), s)
		}
		if got[0].MessageID != fmt.Sprint("m", many-1) || got[len(got)-1].MessageID != fmt.Sprint("m", many-len(got)) {
			t.Errorf("kept %s to %s", got[len(got)-1].MessageID, got[0].MessageID)
		}
	}
}

func TestAnEventLargerThanTheLimitIsRefusedUnderBothSettings(t *testing.T) {
	for _, opts := range [][]option{{maxBytes(limit)}, {maxBytes(limit), dropOldest}} {
		q := open(t, newDisk(), opts...)
		add(t, q, refusal("website", 1))
		r := refusal("website", 2)
		r.Claim = append(slices.Clone(r.Claim), strings.Repeat(" ", limit)...)
		var full *quarantine.FullError
		if err := q.Add(context.Background(), []event.Refusal{r}); !errors.As(err, &full) {
			t.Errorf("error is %v", err)
		}
		if n := len(list(t, q, quarantine.Filter{})); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	}
}

func TestEntriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		q := open(t, d, maxAge(32*time.Hour))
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() {
			if err := q.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for i := range 40 {
			add(t, q, refusal("website", i), refusal("website", 0))
			time.Sleep(time.Hour)
		}
		time.Sleep(2 * time.Minute)
		got := list(t, q, quarantine.Filter{OldestFirst: true})
		s := status(t, q, "website")
		if n := len(got); n < 31 || n > 34 || int(s.Expired)+n != 41 || s.Entries != n || s.Dropped != 0 {
			t.Errorf("%d entries, status is %+v", n, s)
		}
		// The first entry expired although it was refused again and again, and has
		// begun anew.
		again := list(t, q, quarantine.Filter{})
		i := slices.IndexFunc(again, func(e quarantine.Entry) bool { return e.MessageID == "m0" })
		if i < 0 || again[i].Count > 10 || time.Since(again[i].FirstSeen) > 10*time.Hour {
			t.Errorf("the entry that goes on is %+v", again[max(i, 0)])
		}
		cancel()
		run.Wait()
		time.Sleep(100 * time.Hour)
		q = open(t, d.copy(), maxAge(32*time.Hour))
		ctx, cancel = context.WithCancel(context.Background())
		run.Go(func() { _ = q.Run(ctx) })
		synctest.Wait()
		if s := status(t, q, "website"); s.Entries != 0 || s.Expired != 41 || len(list(t, q, quarantine.Filter{State: quarantine.AnyState})) != 0 {
			t.Errorf("status is %+v", s)
		}
		cancel()
		run.Wait()
	})
}
