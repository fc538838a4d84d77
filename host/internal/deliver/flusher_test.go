package deliver_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// table is a Flusher that keeps what it took only as far as a mark, the number
// of events. A flush that fails loses the rest.
type table struct {
	mu      sync.Mutex
	rows    []string
	marked  int
	flushed []time.Time
	resumes []int // what each Resume came back to
	// send and flush may fail.
	send  func(batch []destination.Event) error
	flush func() error
	// called hears of each call before it does anything.
	called func(what string)
}

func (d *table) note(what string) {
	if d.called != nil {
		d.called(what)
	}
}

func (d *table) Send(_ context.Context, batch []destination.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("send")
	if d.send != nil {
		if err := d.send(batch); err != nil {
			return err
		}
	}
	d.rows = append(d.rows, ids(batch)...)
	return nil
}

func (d *table) Flush(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("flush")
	if d.flush != nil {
		if err := d.flush(); err != nil {
			d.rows = d.rows[:d.marked]
			return nil, err
		}
	}
	d.flushed, d.marked = append(d.flushed, time.Now()), len(d.rows)
	return strconv.AppendInt(nil, int64(len(d.rows)), 10), nil
}

func (d *table) Resume(_ context.Context, mark []byte, notify func(destination.Notice)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("resume")
	n := 0
	if mark != nil {
		n, _ = strconv.Atoi(string(mark))
	}
	if n > len(d.rows) {
		return fmt.Errorf("mark %d of a table with %d rows", n, len(d.rows))
	}
	d.rows, d.marked = d.rows[:n], n
	d.resumes = append(d.resumes, n)
	notify(destination.Notice{Code: "resumed", Text: "at " + string(mark)})
	return nil
}

func TestFlushComesAtMostTenTimesASecondAndWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &table{}
		r := newRig(t, d).start()
		defer r.stop()
		for range 1000 {
			r.journal.addEvents(1)
			pass(time.Millisecond)
		}
		pass(time.Second)
		if n := len(d.flushed); n < 10 || n > 13 {
			t.Errorf("%d flushes in a second of traffic, want ten (and the first)", n)
		}
		for n := 1; n < len(d.flushed)-1; n++ {
			if gap := d.flushed[n+1].Sub(d.flushed[n]); gap < 100*time.Millisecond {
				t.Errorf("flush %d comes after %v", n+1, gap)
			}
		}
		if s := r.loop.Status(); s.Counters.Delivered != 1000 || s.LagBytes != 0 {
			t.Errorf("status when idle: %+v", s)
		}
		before := len(d.flushed)
		pass(time.Hour)
		if n := len(d.flushed); n != before {
			t.Errorf("%d flushes of nothing", n-before)
		}
	})
}

func TestAfterAFailedFlushEverythingSinceTheMarkComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := false
		d := &table{flush: func() error {
			if fail {
				return failure(destination.Unavailable)
			}
			return nil
		}}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(5)
		pass(time.Second)
		d.mu.Lock()
		fail = true
		d.mu.Unlock()
		r.journal.addEvents(5)
		pass(time.Second)
		if s := r.loop.Status(); s.Cursor.Frame() != 2 || s.State != deliver.Retrying || s.Counters.Delivered != 5 {
			t.Errorf("status while no flush succeeds: %+v", s)
		}
		d.mu.Lock()
		fail = false
		d.mu.Unlock()
		pass(time.Minute)
		wantIDs(t, "rows", d.rows, numbered(0, 10))
		if last := d.resumes[len(d.resumes)-1]; last != 5 {
			t.Errorf("resumed at %v, want 5 at last", d.resumes)
		}
		if s := r.loop.Status(); s.Counters.Delivered != 10 || s.State != deliver.Running {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}

func TestWhatADestinationLostComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sends := 0
		d := &table{}
		d.send = func([]destination.Event) error {
			if sends++; sends == 3 {
				e := failure(destination.Unavailable)
				e.Lost = true
				return e
			}
			return nil
		}
		r := newRig(t, d).start()
		defer r.stop()
		synctest.Wait()
		for range 4 { // the first is flushed, the second not
			r.journal.addEvents(2)
			pass(10 * time.Millisecond)
		}
		pass(time.Minute)
		wantIDs(t, "rows", d.rows, numbered(0, 8))
		if !slices.Equal(d.resumes, []int{0, 2}) {
			t.Errorf("resumed at %v, want at the start and once more at 2", d.resumes)
		}
	})
}

// The mark is on disk before the next call, so a kill before any call leaves
// cursor and table in step.
func TestKillBeforeAnyCallLosesAndDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type kill struct {
			what string
			dir  string
			rows []string
		}
		var kills []kill
		d := &table{}
		r := newRig(t, d)
		dirs := t.TempDir()
		d.called = func(what string) {
			dir := fmt.Sprintf("%s/%d", dirs, len(kills))
			copyDir(t, r.options.Dir, dir)
			kills = append(kills, kill{what, dir, slices.Clone(d.rows)})
		}
		r.start()
		for n := range 40 {
			r.journal.addEvents(1 + n%3)
			pass(37 * time.Millisecond)
		}
		pass(time.Second)
		r.stop()
		want := numbered(0, r.journal.events)
		for _, k := range kills {
			second := &table{rows: k.rows}
			again := newRig(t, second, func(o *deliver.Options) { o.Dir, o.Journal = k.dir, r.journal })
			again.start()
			pass(time.Second)
			again.stop()
			wantIDs(t, "rows after a kill before "+k.what, second.rows, want)
		}
		if len(kills) < 50 {
			t.Errorf("%d kills only", len(kills))
		}
	})
}

func TestStopKeepsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &table{}
		r := newRig(t, d).start()
		synctest.Wait()
		r.journal.addEvents(1)
		pass(time.Millisecond)
		r.journal.addEvents(3)
		pass(time.Millisecond)
		r.stop()
		r.start()
		pass(time.Second)
		r.stop()
		wantIDs(t, "rows", d.rows, numbered(0, 4))
		if !slices.Equal(d.resumes, []int{0, 4}) {
			t.Errorf("resumed at %v, want 4 after a stop: no event was sent twice", d.resumes)
		}
	})
}

func TestResumeIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		d := &table{flush: func() error {
			if broken {
				return failure(destination.Unavailable)
			}
			return nil
		}}
		r := newRig(t, d)
		r.options.MaxLag.Age = 60_000_000_000
		r.start()
		defer r.stop()
		pass(time.Minute)
		if s := r.loop.Status(); s.State != deliver.Retrying || s.Failure == nil || s.Full {
			t.Errorf("status: %+v", s)
		}
		r.journal.addEvents(1)
		pass(3 * time.Minute)
		if s := r.loop.Status(); !s.Full || s.LagAge < 2*time.Minute {
			t.Errorf("an event waits for minutes, but status is %+v", s)
		}
		d.mu.Lock()
		broken = false
		d.mu.Unlock()
		pass(time.Minute)
		wantIDs(t, "rows", d.rows, numbered(0, 1))
		if s := r.loop.Status(); s.State != deliver.Running || s.Full || s.Notice == nil || s.Notice.Code != "resumed" {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}
