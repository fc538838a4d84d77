package deliver_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
)

func TestUnavailableIsRetriedWithoutLimitAndWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 200
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n < failures {
				return failure(destination.Unavailable)
			}
			return nil
		}}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(3)
		synctest.Wait()
		if s := r.loop.Status(); s.State != deliver.Retrying || s.Failure == nil || s.Failure.Code != "unavailable" {
			t.Errorf("status while it fails: %+v", s)
		}
		pass(2 * time.Hour)
		sends, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 3))
		longest := 250 * time.Millisecond
		for n := 1; n < len(sends); n++ {
			wait := sends[n].at.Sub(sends[n-1].at)
			if wait < longest/2 || wait > longest {
				t.Fatalf("wait %d is %v, want %v to %v", n, wait, longest/2, longest)
			}
			longest = min(2*longest, 30*time.Second)
		}
		if s := r.loop.Status(); s.State != deliver.Running || s.Failure != nil || s.Counters.Retried != failures {
			t.Errorf("status afterwards: %+v", s)
		}
		if q := r.quarantine.ids(); len(q) > 0 {
			t.Errorf("in the quarantine: %v", q)
		}
	})
}

func TestRetryAfterIsRespectedUpToTenMinutes(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		7 * time.Second: 7 * time.Second,
		24 * time.Hour:  10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &target{answer: func(n int, _ []destination.Event) error {
				if n > 0 {
					return nil
				}
				e := failure(destination.Unavailable)
				e.RetryAfter = asked
				return e
			}}
			r := newRig(t, d).start()
			defer r.stop()
			r.journal.addEvents(1)
			pass(time.Hour)
			sends, _ := d.all()
			if len(sends) != 2 {
				t.Fatalf("%d sends, want 2", len(sends))
			}
			if wait := sends[1].at.Sub(sends[0].at); wait != want {
				t.Errorf("asked for %v it waits %v, want %v", asked, wait, want)
			}
		})
	}
}

func TestFailureThatNoWaitingMendsNeedsAttention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n >= 3 {
				return nil
			}
			e := failure(destination.Unavailable)
			e.Attention, e.Hint = true, "check the key"
			return e
		}}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(1)
		synctest.Wait()
		s := r.loop.Status()
		if s.State != deliver.Attention || s.Failure == nil || s.Failure.Hint != "check the key" {
			t.Errorf("status: %+v", s)
		}
		pass(time.Minute)
		if s := r.loop.Status(); s.State != deliver.Running {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}

// poisoned answers with a kind whenever one of the events is in the batch.
func poisoned(kind destination.Kind, poison ...string) func(int, []destination.Event) error {
	return func(_ int, batch []destination.Event) error {
		for i := range batch {
			if slices.Contains(poison, batch[i].MessageID) {
				return failure(kind)
			}
		}
		return nil
	}
}

func TestEventThatFailsWhileOthersPassGoesToTheQuarantineAtTen(t *testing.T) {
	const batch = 8
	for at := range batch {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				poison := fmt.Sprintf("m%d", at)
				d := &target{answer: poisoned(destination.Failed, poison)}
				r := newRig(t, d)
				r.journal.addEvents(batch)
				for range 20 {
					r.journal.addEvents(1)
				}
				r.options.Target = bounded{target: d, events: batch, bytes: 1 << 20}
				r.start()
				defer r.stop()
				pass(time.Minute)
				sends, taken := d.all()
				wantIDs(t, "taken", taken, without(numbered(0, batch+20), poison))
				wantIDs(t, "quarantine", r.quarantine.ids(), []string{poison})
				checkPoison(t, sends, poison)
			})
		})
	}
}

// checkPoison checks that an event was sent alone ten times for its failures to count, and
// that others passed between any two of those.
func checkPoison(t *testing.T, sends []send, poison string) {
	t.Helper()
	counted, passed := 0, true
	for _, s := range sends {
		switch {
		case s.err == nil:
			passed = true
		case slices.Equal(s.ids, []string{poison}) && passed:
			counted, passed = counted+1, false
		}
	}
	if counted < 10 || counted > 11 {
		t.Errorf("%s failed alone %d times with something passed between, want 10 (or 11 where it was sent first as a sample)", poison, counted)
	}
}

func without(ids []string, gone ...string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(gone, id) })
}

func TestEventThatFailsAloneWaitsForOthersToCompareWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: poisoned(destination.Failed, "m0")}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(1)
		pass(24 * time.Hour)
		if q := r.quarantine.ids(); len(q) > 0 {
			t.Fatalf("in the quarantine though nothing else was sent: %v", q)
		}
		for n := range 9 {
			r.journal.addEvents(1)
			pass(time.Minute)
			_, taken := d.all()
			wantIDs(t, "taken", taken, numbered(1, n+2))
			if q := r.quarantine.ids(); n < 8 && len(q) > 0 {
				t.Fatalf("in the quarantine after %d others: %v", n+1, q)
			}
		}
		wantIDs(t, "quarantine", r.quarantine.ids(), []string{"m0"})
		pass(time.Second)
		if s := r.loop.Status(); s.LagFrames != 0 || s.State != deliver.Running {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}

func TestDestinationThatFailsEverythingIsDown(t *testing.T) {
	for _, batch := range []int{1, 2, 7, 100} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				d := &target{answer: func(int, []destination.Event) error {
					if time.Since(began) < 6*time.Hour {
						return failure(destination.Failed)
					}
					return nil
				}}
				r := newRig(t, d)
				r.options.Target = bounded{target: d, events: batch, bytes: 1 << 20}
				for range 250 {
					r.journal.addEvents(1)
				}
				r.start()
				defer r.stop()
				pass(7 * time.Hour)
				_, taken := d.all()
				slices.SortFunc(taken, byNumber)
				wantIDs(t, "taken", taken, numbered(0, 250))
				if q := r.quarantine.ids(); len(q) > 0 {
					t.Errorf("in the quarantine: %v", q)
				}
			})
		})
	}
}

func TestRefusedEventGoesToTheQuarantineAndTheOthersPass(t *testing.T) {
	const batch = 8
	for at := range batch {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				poison := fmt.Sprintf("m%d", at)
				d := &target{answer: poisoned(destination.Refused, poison)}
				r := newRig(t, d)
				r.journal.addEvents(batch)
				r.start()
				defer r.stop()
				synctest.Wait()
				sends, taken := d.all()
				wantIDs(t, "taken", taken, without(numbered(0, batch), poison))
				wantIDs(t, "quarantine", r.quarantine.ids(), []string{poison})
				if len(sends) > 2*4 {
					t.Errorf("%d sends for one refused event of %d", len(sends), batch)
				}
				q := r.quarantine.refusals[0]
				if q.Destination != "sink" || q.Source != "web" || string(q.Claim) != fmt.Sprintf(`{"n":%d}`, at) || q.Size != len(q.Claim) ||
					len(q.Hash) != 64 || q.ReceivedAt.IsZero() || len(q.Violations) != 1 || q.Violations[0].Code != "destination" {
					t.Errorf("refusal: %+v", q)
				}
			})
		})
	}
}

func TestDestinationThatRefusesEverythingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(int, []destination.Event) error { return failure(destination.Refused) }}
		r := newRig(t, d)
		r.options.Target = bounded{target: d, events: 10, bytes: 1 << 20}
		for range 100 {
			r.journal.addEvents(10)
		}
		r.start()
		defer r.stop()
		pass(10 * time.Minute)
		if q := len(r.quarantine.ids()); q < 20 || q > 200 {
			t.Errorf("%d events in the quarantine after ten minutes", q)
		}
		if s := r.loop.Status(); s.State != deliver.Attention || s.Failure == nil || s.Failure.Code != "all_refused" {
			t.Errorf("status: %+v", s)
		}
		d.mu.Lock()
		d.answer = nil
		d.mu.Unlock()
		pass(2 * time.Minute)
		_, taken := d.all()
		if q := r.quarantine.ids(); len(q)+len(taken) != 1000 {
			t.Errorf("%d refused and %d taken, want 1000 in all", len(q), len(taken))
		}
		if s := r.loop.Status(); s.State != deliver.Running {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}

func TestFullQuarantineIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: poisoned(destination.Refused, "m1")}
		r := newRig(t, d)
		r.quarantine.setFull(true)
		r.journal.addEvents(3)
		r.start()
		defer r.stop()
		pass(time.Hour)
		if s := r.loop.Status(); s.State != deliver.QuarantineFull || s.Failure == nil || s.Failure.Code != "quarantine" || s.Cursor.Frame() != 1 {
			t.Errorf("status: %+v", s)
		}
		r.quarantine.setFull(false)
		pass(time.Minute)
		_, taken := d.all()
		wantIDs(t, "taken", taken, []string{"m0", "m2"})
		wantIDs(t, "quarantine", r.quarantine.ids(), []string{"m1"})
	})
}

func TestBatchThatFailsTwiceStaysWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n < 2 {
				return failure(destination.Failed)
			}
			return nil
		}}
		r := newRig(t, d)
		r.journal.addEvents(8)
		r.start()
		defer r.stop()
		pass(time.Minute)
		sends, _ := d.all()
		if len(sends) != 3 {
			t.Fatalf("%d sends, want 3", len(sends))
		}
		for _, s := range sends {
			wantIDs(t, "a send", s.ids, numbered(0, 8))
		}
	})
}

func TestPoisonInFrontBlocksNobodyBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poison := numbered(0, 12)
		d := &target{answer: poisoned(destination.Failed, poison...)}
		r := newRig(t, d)
		r.journal.addEvents(20)
		r.start()
		defer r.stop()
		pass(time.Hour)
		_, taken := d.all()
		slices.SortFunc(taken, byNumber)
		wantIDs(t, "taken though nothing comes after them", taken, numbered(12, 20))
		for range 20 {
			r.journal.addEvents(1)
		}
		pass(5 * time.Minute)
		q := r.quarantine.ids()
		slices.SortFunc(q, byNumber)
		wantIDs(t, "quarantine five minutes after others came", q, poison)
	})
}

func TestPartOfABatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := map[string]int{}
		d := &target{answer: func(_ int, batch []destination.Event) error {
			p := destination.Partial{}
			for i := range batch {
				id := batch[i].MessageID
				tries[id]++
				switch {
				case id == "m1":
					p[i] = failure(destination.Refused)
				case id == "m3" && tries[id] < 3:
					p[i] = failure(destination.Failed)
				case id == "m4" && tries[id] < 5:
					p[i] = failure(destination.Unavailable)
				}
			}
			if len(p) == 0 {
				return nil
			}
			return p
		}}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(6)
		pass(time.Minute)
		_, taken := d.all()
		wantIDs(t, "taken", taken, []string{"m0", "m2", "m5", "m4", "m3"})
		wantIDs(t, "quarantine", r.quarantine.ids(), []string{"m1"})
		if s := r.loop.Status(); s.Counters.Delivered != 5 || s.Counters.Quarantined != 1 {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestErrorOfAnotherTypeIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n < 50 {
				return fmt.Errorf("something else")
			}
			return nil
		}}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(2)
		pass(time.Hour)
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 2))
	})
}

func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
