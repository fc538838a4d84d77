package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

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
	t.Run("where they are", func(t *testing.T) { testExpire(t, func(*quarantine.Quarantine) {}) })
	n := 0
	t.Run("moved", func(t *testing.T) {
		testExpire(t, func(q *quarantine.Quarantine) {
			for range 6 {
				n++
				r := large("website", 1000+n)
				r.Destination = "crm"
				add(t, q, r)
				setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Destination: "crm"})...)
			}
		})
	})
}

// testExpire adds an entry each hour, and what churn adds.
func testExpire(t *testing.T, churn func(*quarantine.Quarantine)) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		opts := []option{maxAge(32 * time.Hour), maxBytes(1 << 20), spare(3 << 20)}
		q := open(t, d, opts...)
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() {
			if err := q.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for i := range 40 {
			add(t, q, refusal("website", i), refusal("website", 0))
			churn(q)
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
		q = open(t, d.copy(), opts...)
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

// A limit that is lowered refuses what is new and costs nothing that is kept.
func TestALoweredLimitLosesNothing(t *testing.T) {
	for _, opts := range [][]option{{maxBytes(limit), spare(1 << 20)}, {maxBytes(limit), spare(1 << 20), dropOldest}} {
		d := newDisk()
		q := open(t, d, maxBytes(8<<20), spare(1<<20))
		for i := range 60 {
			add(t, q, large("website", i))
		}
		small := []event.Refusal{refusal("website", 60), refusal("website", 61), refusal("website", 62)}
		add(t, q, small...)
		all := list(t, q, quarantine.Filter{OldestFirst: true})
		setState(t, q, quarantine.StateDropped, all[10:50]...)
		stop(t, q)

		q = open(t, d, opts...)
		want := append(slices.Clone(all[:10]), all[50:]...)
		if got := list(t, q, quarantine.Filter{OldestFirst: true}); !slices.Equal(messageIDs(got), messageIDs(want)) {
			t.Errorf("entries are %v", messageIDs(got))
		}
		for range 5000 { // repeats that push through the ring
			add(t, q, small...)
		}
		if got := list(t, q, quarantine.Filter{OldestFirst: true}); !slices.Equal(messageIDs(got), messageIDs(want)) {
			t.Errorf("entries are %v", messageIDs(got))
		}
		err := q.Add(context.Background(), []event.Refusal{refusal("website", 100)})
		var full *quarantine.FullError
		s := status(t, q, "website")
		if len(opts) == 2 && (!errors.As(err, &full) || !s.Full || s.Entries != 23) {
			t.Errorf("error is %v, status %+v", err, s)
		}
		if len(opts) == 3 && (err != nil || s.Entries+int(s.Dropped) != 24 || s.Bytes > limit) {
			t.Errorf("error is %v, status %+v", err, s)
		}
	}
}
