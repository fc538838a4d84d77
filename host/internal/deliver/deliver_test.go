package deliver_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// numbered are the message ids of the events from to below to.
func numbered(from, to int) (ids []string) {
	for n := from; n < to; n++ {
		ids = append(ids, fmt.Sprintf("m%d", n))
	}
	return ids
}

func wantIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestEventsArriveInOrderAndOnlyThoseThatAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.add("web", "crm", "web")
		r.journal.add("crm")
		r.journal.add("web")
		synctest.Wait()
		_, taken := d.all()
		wantIDs(t, "taken", taken, []string{"m0", "m2", "m4"})
		pass(time.Second)
		if s := r.loop.Status(); s.LagFrames != 0 || s.LagBytes != 0 || s.LagAge != 0 || s.Counters.Delivered != 3 {
			t.Errorf("status of a destination that has everything: %+v", s)
		}
	})
}

// selective is a target that takes only events with an odd number.
type selective struct{ *target }

func (selective) Takes(e destination.Event, notify func(destination.Notice)) bool {
	odd := (e.MessageID[len(e.MessageID)-1]-'0')%2 == 1
	if !odd {
		notify(destination.Notice{Code: "even", Text: e.MessageID})
	}
	return odd
}

// What is passed over must not stand for an event that passes: else it would
// show, of a destination that is down, that it is up.
func TestEventsThatTheDestinationDoesNotTakeArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := time.Now().Add(time.Hour)
		d := &target{answer: func(int, []destination.Event) error {
			if time.Now().Before(down) {
				return failure(destination.Failed)
			}
			return nil
		}}
		r := newRig(t, selective{d})
		r.journal.addEvents(9)
		r.journal.addEvents(1)
		r.start()
		defer r.stop()
		synctest.Wait()
		for range 1000 {
			r.journal.addEvents(2)
			pass(4 * time.Second)
		}
		r.journal.add("web")
		pass(time.Minute)
		sends, taken := d.all()
		slices.Sort(taken)
		var want []string
		for n := 1; n < r.journal.events; n += 2 {
			want = append(want, fmt.Sprintf("m%d", n))
		}
		slices.Sort(want)
		wantIDs(t, "taken", taken, want)
		wantIDs(t, "first batch", sends[0].ids, []string{"m1", "m3", "m5", "m7", "m9"})
		s := r.loop.Status()
		if s.Counters.Delivered != uint64(len(want)) || s.Counters.Quarantined != 0 || s.LagFrames != 0 || s.Notice == nil || s.Notice.Code != "even" {
			t.Errorf("status: %+v, quarantine %v", s, r.quarantine.ids())
		}
	})
}

func TestRestartGoesOnWhereTheCursorIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		r.journal.addEvents(10)
		r.start()
		synctest.Wait()
		r.stop()
		r.journal.addEvents(10)
		r.start()
		synctest.Wait()
		r.stop()
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 20))
	})
}

// pass lets time go by, and everything that happens in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
