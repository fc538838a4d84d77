package schedule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// ErrStopped ends a run at a durable place: a person asked for it.
var ErrStopped = errors.New("stopped")

// Task is a job's sync while the schedule runs. Everything that a job does is
// done in one goroutine.
type Task struct {
	schedule *Schedule
	job      Job
	commands chan *sdk.SyncCommand
	turn     atomic.Int64
	again    bool            // run as soon as this run has ended
	keep     json.RawMessage // the state to store when the run has ended; nil: the one that is stored
	report   sdk.SyncRun     // the run that is under way
}

func newTask(r *Schedule, j Job) *Task {
	j.Silence = cmp.Or(j.Silence, leastSilence)
	t := &Task{schedule: r, job: j, commands: make(chan *sdk.SyncCommand, 16)}
	t.Alive()
	return t
}

// State decodes the state that was stored last into v; it reports false where
// there is none, as before the first run and after a reset.
func (t *Task) State(v any) (bool, error) {
	s := t.schedule.state(t.job.Name)
	if len(s.State) == 0 {
		return false, nil
	}
	return true, json.Unmarshal(s.State, v)
}

// Store stores events and then the sync's state after them. It waits while the
// host cannot store, and returns how many events were refused. State and events
// are free for other use when it returns.
func (t *Task) Store(ctx context.Context, s any, events []sdk.Event) (refused int, err error) {
	b, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	refused, err = t.schedule.store(ctx, t.job.Name, func(have *state) { have.State = b }, events)
	t.Alive()
	return refused, err
}

// Keep has the sync's state stored when Run returns nil, as its last deed.
func (t *Task) Keep(s any) {
	b, err := json.Marshal(s)
	if err == nil {
		t.keep = b
	}
}

// Between takes, between two pages of a read, what people ask for. Its error ends
// the run.
func (t *Task) Between(ctx context.Context) error {
	for {
		t.Alive()
		select {
		case c := <-t.commands:
			again := t.obey(ctx, c)
			if c.Action == sdk.SyncPause || c.Action == sdk.SyncReset {
				t.again = again
				return ErrStopped
			}
		default:
			return ctx.Err()
		}
	}
}

// Alive says that the job moves, where nothing is stored for long.
func (t *Task) Alive() { t.turn.Store(time.Now().UnixNano()) }

func (t *Task) turned() time.Time { return time.Unix(0, t.turn.Load()) }

// Warn tells of something that a person has to know of and that does not fail the
// run; nil: it holds no more.
func (t *Task) Warn(p *sdk.Problem) { t.Note("warning", p) }

// Note is Warn for one of several things, each under a name.
func (t *Task) Note(name string, p *sdk.Problem) { t.schedule.note(t.job.Name+" "+name, p) }

// Report tells how far the run is. total, the number of rows, may be 0: not known.
func (t *Task) Report(run sdk.SyncRun, total uint64) {
	t.Alive()
	run.Sync = t.job.Name
	t.report = run
	t.schedule.stream.Report(run)
	t.schedule.stream.Progress(run.Sync, run.Read, total, run.Kind)
}

// run returns nil when ctx ends, and an error when the stream is over.
func (t *Task) run(ctx context.Context) error {
	due := t.schedule.state(t.job.Name).Due
	if now := time.Now(); due.After(now.Add(t.job.Interval)) {
		due = now // the interval was longer
	}
	for failed := 0; ; {
		if !t.wait(ctx, due) {
			return nil
		}
		t.tell(sdk.SyncRunning, time.Time{})
		began := time.Now()
		t.keep = nil
		err := t.job.Run(ctx, t)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller ended it
		}
		if errors.Is(err, sdk.ErrEnded) {
			return err
		}
		if due, err = t.judge(ctx, began, err, &failed); err != nil {
			return err
		}
	}
}

// judge ends the run, notes its problem and returns when the next one is due.
func (t *Task) judge(ctx context.Context, began time.Time, err error, failed *int) (due time.Time, over error) {
	if err != nil && !errors.Is(err, ErrStopped) {
		*failed++
		p, after := t.job.Explain(err)
		due = time.Now().Add(max(after, pauseAfter(*failed, t.job.Interval)))
		t.end(began, p)
		t.schedule.note(t.job.Name, &p)
		t.tell(sdk.SyncFailed, due)
		return due, nil
	}
	*failed = 0
	now := time.Now()
	switch skipped := now.Sub(began) / t.job.Interval; {
	case errors.Is(err, ErrStopped) && t.again:
		due, t.again = now, false
	case skipped > 0:
		due = began.Add((skipped + 1) * t.job.Interval)
		t.schedule.note(t.job.Name+" pace", &sdk.Problem{
			Code: "runs_skipped", Path: "/syncs/" + escape.Replace(t.job.Name),
			Message: fmt.Sprintf("a run took %s and its interval is %s: %d were skipped", now.Sub(began).Round(time.Second), t.job.Interval, skipped),
			Fix:     "what is new is read by the next run; make the interval longer",
		})
	default:
		due = began.Add(t.job.Interval)
		t.schedule.note(t.job.Name+" pace", nil)
	}
	t.end(began, nil)
	t.schedule.note(t.job.Name, nil)
	if _, err := t.schedule.store(ctx, t.job.Name, func(s *state) {
		if s.Due = due; err == nil && t.keep != nil {
			s.State = t.keep
		}
	}, nil); err != nil {
		if ctx.Err() != nil {
			return due, nil //nolint:nilerr // the caller ended it
		}
		return due, err
	}
	t.tell(t.idle(), due)
	return due, nil
}

// longestPause bounds the time between a sync's failures where its interval is
// shorter.
const longestPause = 15 * time.Minute

// pauseAfter is how long a sync waits after so many failures in a row: twice as
// long each time, and less by up to a quarter, so that syncs which failed
// together do not ask together.
func pauseAfter(failed int, interval time.Duration) time.Duration {
	pause := min(interval, 30*time.Second) << min(failed, 10)
	pause = min(pause, max(interval, longestPause))
	return pause - rand.N(pause/4+1)
}

func (t *Task) paused() bool { return t.schedule.state(t.job.Name).Paused }

func (t *Task) idle() sdk.SyncState {
	if t.paused() {
		return sdk.SyncPaused
	}
	return sdk.SyncIdle
}

func (t *Task) tell(s sdk.SyncState, due time.Time) {
	if s == sdk.SyncPaused {
		due = time.Time{}
	}
	t.schedule.tell(sdk.Sync{Name: t.job.Name, State: s, Due: due})
}

// wait returns when the next run is due, or asked for; false when ctx ends.
func (t *Task) wait(ctx context.Context, due time.Time) bool {
	for {
		paused := t.paused()
		pause := watchEvery
		if !paused {
			pause = min(pause, time.Until(due))
		}
		timer := time.NewTimer(pause)
		t.Alive()
		select {
		case <-timer.C:
			if !paused && !time.Now().Before(due) {
				return true
			}
		case c := <-t.commands:
			if t.obey(ctx, c) {
				timer.Stop()
				return true
			}
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// obey carries a command out and reports whether a run is due.
func (t *Task) obey(ctx context.Context, c *sdk.SyncCommand) bool {
	paused := t.paused()
	var change func(*state)
	switch c.Action {
	case sdk.SyncRunNow:
		if paused {
			c.Done(sdk.Problem{Code: "paused", Message: fmt.Sprintf("sync %s is paused", t.job.Name), Fix: "run wellhead sync resume first"})
			return false
		}
		c.Done(nil)
		return true
	case sdk.SyncPause:
		change = func(s *state) { s.Paused = true }
	case sdk.SyncResume:
		change = func(s *state) { s.Paused = false }
	case sdk.SyncReset:
		change = func(s *state) { *s = state{Paused: s.Paused} }
	}
	if _, err := t.schedule.store(ctx, t.job.Name, change, nil); err != nil {
		c.Done(err)
		return false
	}
	t.tell(t.idle(), time.Time{})
	c.Done(nil)
	return !t.paused()
}

// end reports that the run has ended.
func (t *Task) end(began time.Time, err error) {
	if t.report.ID == "" {
		if err == nil {
			return
		}
		t.report = sdk.SyncRun{Sync: t.job.Name, ID: fmt.Sprintf("failed-%d", began.UnixNano()), Started: began}
	}
	t.report.Ended, t.report.Error = time.Now(), err
	t.schedule.stream.Report(t.report)
	t.report = sdk.SyncRun{}
}

// escape writes a name as part of a JSON Pointer (RFC 6901).
var escape = strings.NewReplacer("~", "~0", "/", "~1")
