package dedup_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

const day = 24 * time.Hour

// every adds events first to last, one after each interval, as an index does
// that runs. It returns when the next one is due.
func every(t *testing.T, ix *dedup.Index, first, last int, interval time.Duration, next time.Time) time.Time {
	t.Helper()
	for n := first; n <= last; n++ {
		ix.Add(key(uint64(n)), at(n), next)
		must(t, ix.Work(t.Context()))
		next = next.Add(interval)
	}
	return next
}

func TestIDsExpireWithTheirSlice(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	next := begin
	for n := 1; n <= 1000; n++ { // every five minutes: 288 in a window
		next = every(t, ix, n, n, 5*time.Minute, next)
		held(t, ix, max(1, n-288), n, true)
		held(t, ix, 1, n-288-288/16-288/24-1, false)
	}
	if st := ix.Stats(); st.Window < day || st.Window > day*9/8 {
		t.Errorf("the window is %s, want %s and a little", st.Window, day)
	}
}

func TestAQuietIndexExpiresToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		ix := open(t, d, options())
		stop := start(t, ix)
		for n := 1; n <= 3; n++ {
			ix.Add(key(uint64(n)), at(n), time.Now())
		}
		time.Sleep(day/24 + 2*time.Minute)
		if st := ix.Stats(); st.Covered != at(3) || st.Slices != 1 {
			t.Errorf("after an hour, covered %s in %d slices; want %s in 1", st.Covered, st.Slices, at(3))
		}
		time.Sleep(day - day/24 - 3*time.Minute)
		held(t, ix, 1, 3, true)
		time.Sleep(5 * time.Minute)
		held(t, ix, 1, 3, false)
		// The journal need not be read again for what has expired.
		if got := ix.Covered(); got != at(3) {
			t.Errorf("when all has expired, covered %s, want %s", got, at(3))
		}
		if got := open(t, d.kill(), options()).Covered(); got != at(3) {
			t.Errorf("opened when all has expired, covered %s, want %s", got, at(3))
		}
		ix.Add(key(4), at(4), time.Now())
		time.Sleep(2 * time.Hour)
		held(t, ix, 1, 3, false)
		held(t, ix, 4, 4, true)
		stop()
		if again := open(t, d.kill(), options()); again.Covered() != at(4) || len(d.files) != 1 {
			t.Errorf("covered %s in %d files, want %s in 1", again.Covered(), len(d.files), at(4))
		}
	})
}

func TestAClockThatLeapsEmptiesNothing(t *testing.T) {
	for what, leap := range map[string]func(n int) time.Duration{
		"ahead once": func(n int) time.Duration {
			if n == 150 {
				return 10 * day
			}
			return 0
		},
		"ahead for good": func(n int) time.Duration {
			if n >= 150 {
				return 400 * day
			}
			return 0
		},
		"back for good": func(n int) time.Duration {
			if n >= 150 {
				return -400 * day
			}
			return 0
		},
		"far to and fro":    func(n int) time.Duration { return time.Duration(n%2) * 10 * day },
		"a bit to and fro":  func(n int) time.Duration { return time.Duration(n%2) * day / 25 },
		"ahead all the way": func(n int) time.Duration { return time.Duration(n) * 2 * time.Hour },
	} {
		t.Run(what, func(t *testing.T) {
			ix := open(t, newMemDisk(), options())
			for n := 1; n <= 200; n++ { // five minutes each: less than a day
				ix.Add(key(uint64(n)), at(n), begin.Add(time.Duration(n)*5*time.Minute+leap(n)))
				must(t, ix.Work(t.Context()))
			}
			held(t, ix, 1, 200, true)
		})
	}
}

func TestExpiryGoesOnAfterALeap(t *testing.T) {
	for _, leap := range []time.Duration{400 * day, -400 * day} {
		ix := open(t, newMemDisk(), options())
		next := every(t, ix, 1, 100, 5*time.Minute, begin)
		every(t, ix, 101, 500, 5*time.Minute, next.Add(leap))
		held(t, ix, 1, 100, false)
		held(t, ix, 213, 500, true)
	}
}

// A host that was down was not there for anyone to send again.
func TestTimeDownDoesNotCount(t *testing.T) {
	d := newMemDisk()
	ix := open(t, d, options())
	next := every(t, ix, 1, 200, 5*time.Minute, begin)
	covered := 0
	for covered < 200 && at(covered+1) <= ix.Covered() {
		covered++
	}
	ix = open(t, d.kill(), options())
	next = every(t, ix, covered+1, 230, 5*time.Minute, next.Add(10*day))
	held(t, ix, 1, 230, true)
	every(t, ix, 231, 700, 5*time.Minute, next)
	held(t, ix, 1, 230, false)
}

// While nothing is added, time is the monotonic clock's.
func TestTicksMoveTheClockOnlyWhereNothingElseDoes(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	tick := time.Now()
	ix.Tick(tick)
	next := begin
	for n := 1; n <= 100; n++ { // busy: both clocks go, and time counts once
		next = every(t, ix, n, n, 5*time.Minute, next)
		tick = tick.Add(5 * time.Minute)
		ix.Tick(tick)
	}
	if got, want := ix.Stats().Window, 99*5*time.Minute; got != want {
		t.Errorf("the oldest id is %s old, want %s", got, want)
	}
	ix.Tick(tick.Add(3 * time.Hour)) // quiet
	if got, want := ix.Stats().Window, 99*5*time.Minute+3*time.Hour; got != want {
		t.Errorf("the oldest id is %s old, want %s", got, want)
	}
}
