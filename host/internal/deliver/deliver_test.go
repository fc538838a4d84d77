package deliver_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
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
