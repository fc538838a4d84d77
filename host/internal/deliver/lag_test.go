package deliver_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestDestinationIsFullWhenItsLagIsAtTheBound(t *testing.T) {
	for name, c := range map[string]struct {
		limit   config.MaxLag
		atLimit config.WhenBehind
		fill    func(j *journal)
		want    bool
	}{
		"below bytes": {config.MaxLag{Bytes: 1000}, config.WhenBehindRefuse, func(j *journal) { j.addEvents(90) }, false},
		"above bytes": {config.MaxLag{Bytes: 100}, config.WhenBehindRefuse, func(j *journal) { j.addEvents(90) }, true},
		"below age":   {config.MaxLag{Age: config.Duration(time.Hour)}, config.WhenBehindRefuse, func(*journal) { pass(50 * time.Minute) }, false},
		"above age":   {config.MaxLag{Age: config.Duration(time.Hour)}, config.WhenBehindRefuse, func(*journal) { pass(70 * time.Minute) }, true},
		"no bound":    {config.MaxLag{}, config.WhenBehindRefuse, func(j *journal) { j.addEvents(90); pass(70 * time.Minute) }, false},
		"skipping":    {config.MaxLag{Bytes: 100}, config.WhenBehindSkip, func(j *journal) { j.addEvents(90) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := true
				d := &target{answer: func(int, []destination.Event) error {
					if down {
						return failure(destination.Unavailable)
					}
					return nil
				}}
				r := newRig(t, d, func(o *deliver.Options) { o.MaxLag, o.AtLimit = c.limit, c.atLimit })
				r.start()
				defer r.stop()
				r.journal.addEvents(1)
				synctest.Wait()
				c.fill(r.journal)
				if got := r.loop.Full(); got != c.want || r.loop.Status().Full != c.want {
					t.Errorf("full: %v, want %v: %+v", got, c.want, r.loop.Status())
				}
				d.mu.Lock()
				down = false
				d.mu.Unlock()
				pass(time.Minute)
				if s := r.loop.Status(); s.Full || s.LagBytes != 0 || s.LagAge != 0 {
					t.Errorf("status when it has everything: %+v", s)
				}
			})
		})
	}
}

func TestEventsOfOthersMakeNoLagByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &target{}, func(o *deliver.Options) {
			o.Wants = func(s event.SourceID) bool {
				time.Sleep(time.Second) // so that it always has more to look through
				return s == "web"
			}
		})
		r.journal.add("web")
		for range 1000 {
			r.journal.add("crm")
		}
		r.start()
		pass(700 * time.Second)
		if s := r.loop.Status(); s.LagAge > 0 || s.Counters.Delivered != 1 {
			t.Errorf("status: %+v", s)
		}
		pass(time.Hour)
		r.stop()
	})
}

func TestSkippedEventsAreCountedRecordedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		d := &target{answer: func(int, []destination.Event) error {
			if down {
				return failure(destination.Unavailable)
			}
			return nil
		}}
		r := newRig(t, d, func(o *deliver.Options) {
			o.MaxLag.Bytes, o.AtLimit = 1000, config.WhenBehindSkip
		})
		r.options.Target = bounded{target: d, events: 10, bytes: 1 << 20}
		r.start()
		for range 100 {
			r.journal.add("web", "web", "crm")
			pass(time.Second)
		}
		pass(2 * time.Minute)
		d.mu.Lock()
		down = false
		d.mu.Unlock()
		pass(2 * time.Minute)
		s := r.loop.Status()
		_, taken := d.all()
		if len(taken)+int(s.Counters.Skipped) != 200 || s.Counters.Skipped == 0 {
			t.Errorf("%d taken and %d skipped, want 200 in all", len(taken), s.Counters.Skipped)
		}
		if !slices.IsSortedFunc(taken, byNumber) || taken[len(taken)-1] != "m298" {
			t.Errorf("taken: %v", taken)
		}
		if bytes := 9 * 100; len(taken)*9 < bytes/2 {
			t.Errorf("%d events are left, much less than the bound allows", len(taken))
		}
		if s.Notice == nil || s.Notice.Code != "lag_skipped" || s.State != deliver.Running {
			t.Errorf("status: %+v", s)
		}
		r.stop()
		var recorded uint64
		r.start()
		defer r.stop()
		err := r.loop.Attempts(func(a deliver.Attempt) bool {
			if a.Code == deliver.CodeSkipped {
				recorded += a.Events
				if a.From >= a.To {
					t.Errorf("skipped from %s to %s", a.From, a.To)
				}
			}
			return true
		})
		if again := r.loop.Status(); err != nil || recorded != s.Counters.Skipped || again.Counters.Skipped != s.Counters.Skipped {
			t.Errorf("recorded %d, after a restart %d, want %d (%v)", recorded, again.Counters.Skipped, s.Counters.Skipped, err)
		}
	})
}

func TestFlusherThatSkipsHasExactlyTheOthers(t *testing.T) {
	for _, broken := range []string{"send", "flush"} {
		t.Run(broken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := false
				fail := func() error {
					if down {
						return failure(destination.Unavailable)
					}
					return nil
				}
				d := &table{}
				if broken == "flush" {
					d.flush = fail
				} else {
					d.send = func([]destination.Event) error { return fail() }
				}
				r := newRig(t, d, func(o *deliver.Options) {
					o.MaxLag.Bytes, o.AtLimit = 1000, config.WhenBehindSkip
				})
				r.start()
				defer r.stop()
				for n := range 300 {
					d.mu.Lock()
					down = n%100 > 20
					d.mu.Unlock()
					r.journal.addEvents(3)
					pass(time.Second)
				}
				d.mu.Lock()
				down = false
				d.mu.Unlock()
				pass(2 * time.Minute)
				s := r.loop.Status()
				if len(d.rows)+int(s.Counters.Skipped) != 900 || s.Counters.Skipped == 0 || int(s.Counters.Delivered) != len(d.rows) {
					t.Errorf("%d rows and %d skipped, want 900 in all: %+v", len(d.rows), s.Counters.Skipped, s.Counters)
				}
				if !slices.IsSortedFunc(d.rows, byNumber) || len(slices.Compact(slices.Clone(d.rows))) != len(d.rows) {
					t.Errorf("rows: %v", d.rows)
				}
			})
		})
	}
}

func TestSkipCountsWhatAFlusherTookAndCannotKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		fail := func() error {
			if down {
				return failure(destination.Unavailable)
			}
			return nil
		}
		d := &table{flush: fail, send: func([]destination.Event) error { return fail() }}
		r := newRig(t, d, func(o *deliver.Options) {
			o.MaxLag.Bytes, o.AtLimit = 1000, config.WhenBehindSkip
		})
		r.start()
		defer r.stop()
		pass(time.Second)
		r.journal.addEvents(3) // flushed at once
		pass(10 * time.Millisecond)
		r.journal.addEvents(4) // taken, and to be flushed in 90 ms
		pass(10 * time.Millisecond)
		d.mu.Lock()
		down = true
		d.mu.Unlock()
		for range 100 {
			r.journal.addEvents(5)
		}
		pass(time.Minute)
		d.mu.Lock()
		down = false
		d.mu.Unlock()
		pass(time.Minute)
		s := r.loop.Status()
		wantIDs(t, "the first rows", d.rows[:3], numbered(0, 3))
		if skipped := int(s.Counters.Skipped); skipped+len(d.rows) != 507 || d.rows[3] != fmt.Sprintf("m%d", 3+skipped) {
			t.Errorf("%d rows, of which the fourth is %s, and %d skipped, want 507 in all", len(d.rows), d.rows[3], skipped)
		}
	})
}

func TestSlowDestinationSlowsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &target{answer: func(int, []destination.Event) error {
			return failure(destination.Unavailable)
		}}
		fast := &target{}
		a := newRig(t, slow)
		b := newRig(t, fast, func(o *deliver.Options) { o.Journal, o.Name = a.journal, "fast" })
		a.start()
		defer a.stop()
		b.start()
		defer b.stop()
		for n := range 100 {
			a.journal.addEvents(1)
			synctest.Wait()
			if _, taken := fast.all(); len(taken) != n+1 {
				t.Fatalf("the fast one has %d of %d", len(taken), n+1)
			}
		}
	})
}

// hanging takes a batch after some time, or gives up when ctx ends.
type hanging struct {
	target
	takes time.Duration
}

func (d *hanging) Send(ctx context.Context, batch []destination.Event) error {
	select {
	case <-time.After(d.takes):
		return d.target.Send(ctx, batch)
	case <-ctx.Done():
		return fmt.Errorf("gave up: %w", ctx.Err())
	}
}

func TestStopLetsASendEndWithinFiveSeconds(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d := &hanging{takes: takes}
			r := newRig(t, d).start()
			r.journal.addEvents(2)
			pass(time.Second)
			began := time.Now()
			r.stop()
			if took := 1*time.Second + time.Since(began); took != want {
				t.Errorf("a send of %v: stopped after %v, want %v", takes, took, want)
			}
			_, taken := d.all()
			if takes < time.Hour {
				wantIDs(t, "taken", taken, numbered(0, 2))
			}
			d.takes = 0
			r.start()
			synctest.Wait()
			r.stop()
			_, taken = d.all()
			wantIDs(t, "taken in all", taken, numbered(0, 2))
		})
	}
}
