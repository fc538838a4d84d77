package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	stdsync "sync"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/pubsub"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

// worker runs one sync: at its interval, when people ask, and when records are
// known to have changed. Everything that the sync does is done here, one thing
// after another.
type worker struct {
	runner   *runner
	name     string
	spec     sync.Spec
	sync     *sync.Sync
	commands chan *sdk.SyncCommand
	changes  chan change
	asked    asked
	turn     atomic.Int64
	read     atomic.Int64 // when the last run began that read all that was due
	report   sdk.SyncRun  // the run that is under way
	refetch  bool         // a refetch is under way: it is part of no run
}

// change names records that changed. told hears when they were told, or when
// a window will tell them.
type change struct {
	events []pubsub.Change
	told   chan<- struct{}
}

// errStopped ends a read at a durable place.
var errStopped = errors.New("stopped")

func newWorker(r *runner, name string, spec sync.Spec) *worker {
	w := &worker{runner: r, name: name, spec: spec, commands: make(chan *sdk.SyncCommand, 16), changes: make(chan change), asked: asked{wake: make(chan struct{}, 1)}}
	w.alive()
	w.sync = w.newSync(r.saved.Syncs[name])
	return w
}

func (w *worker) newSync(s sync.State) *sync.Sync {
	return sync.New(sync.Options{
		Spec: w.spec, Client: w.runner.client, State: s, Progress: w.progress, Between: w.between,
		Emit: func(ctx context.Context, s sync.State, events []sdk.Event) (int, error) {
			return w.runner.store(ctx, w.name, s, events)
		},
		Warn: func(p sdk.Problem) {
			p.Path = w.path() + p.Path
			w.runner.note(w.name+" warning", &p)
		},
	})
}

func (w *worker) path() string { return "/syncs/" + pointer(w.name) }

func (w *worker) alive()            { w.turn.Store(time.Now().UnixNano()) }
func (w *worker) turned() time.Time { return time.Unix(0, w.turn.Load()) }

// run returns nil when ctx ends, and an error when the stream is over.
func (w *worker) run(ctx context.Context) error {
	for failed := 0; ; {
		due := time.Now()
		if !w.sync.State().Paused {
			w.tell(sdk.SyncRunning, time.Time{})
			began := time.Now()
			w.asked.begin(began)
			err := w.sync.Poll(ctx)
			if err == nil {
				w.read.Store(began.UnixNano())
			}
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the caller ended it
			}
			if errors.Is(err, sdk.ErrEnded) {
				return err
			}
			wait := w.judge(err, &failed)
			due = time.Now().Add(wait)
		}
		if !w.wait(ctx, due) {
			return nil
		}
	}
}

// judge ends the run, notes its problem and returns when the next one is due.
func (w *worker) judge(err error, failed *int) time.Duration {
	interval := time.Duration(w.runner.config.Interval)
	if errors.Is(err, errStopped) {
		err = nil
	}
	if err == nil {
		*failed = 0
		w.endRun(nil)
		w.runner.note(w.name, nil)
		w.tell(w.idle(), time.Now().Add(interval))
		return interval
	}
	*failed++
	wait := pauseAfter(*failed, interval)
	p := ofCondition(client.Problem(err, ""), w.spec.Where)
	var of sync.Problems
	switch e, limited := errors.AsType[*client.QuotaError](err); {
	case errors.As(err, &of):
		p = of[0]
	case limited:
		wait = e.RetryAfter
	case client.Is(err, client.DailyLimit), client.Is(err, client.BulkLimit):
		wait = max(wait, 15*time.Minute)
	}
	if p.Code != "quota" && p.Code != "needs_consent" && p.Code != "no_token" {
		p.Path = w.path() + p.Path
	}
	wait = max(wait, client.RetryAfter(err))
	w.endRun(p)
	w.runner.note(w.name, &p)
	w.tell(sdk.SyncFailed, time.Now().Add(wait))
	return wait
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

func (w *worker) idle() sdk.SyncState {
	if w.sync.State().Paused {
		return sdk.SyncPaused
	}
	return sdk.SyncIdle
}

func (w *worker) tell(s sdk.SyncState, due time.Time) {
	if s == sdk.SyncPaused {
		due = time.Time{}
	}
	w.runner.tellState(sdk.Sync{Name: w.name, State: s, Due: due})
}

// wait returns when the next run is due, or asked for; false when ctx ends.
func (w *worker) wait(ctx context.Context, due time.Time) bool {
	for {
		paused := w.sync.State().Paused
		if at := w.asked.next(); !at.IsZero() && at.Before(due) {
			due = at
		}
		pause := watchEvery
		if !paused {
			pause = min(pause, time.Until(due))
		}
		t := time.NewTimer(pause)
		w.alive()
		select {
		case <-t.C:
			if !paused && !time.Now().Before(due) {
				return true
			}
		case <-w.asked.wake: // due is another
		case c := <-w.changes:
			w.take(ctx, c)
		case c := <-w.commands:
			if w.obey(ctx, c) {
				t.Stop()
				return true
			}
		case <-ctx.Done():
			t.Stop()
			return false
		}
		t.Stop()
	}
}

// between takes, between two pages of a read, what cannot wait for its end.
func (w *worker) between(ctx context.Context) error {
	for {
		w.alive()
		select {
		case c := <-w.changes:
			w.take(ctx, c)
		case c := <-w.commands:
			again := w.obey(ctx, c)
			if c.Action == sdk.SyncPause || c.Action == sdk.SyncReset {
				if again {
					w.asked.at(time.Now())
				}
				return errStopped
			}
		default:
			return ctx.Err()
		}
	}
}

// take refetches records. During the first read of the object they are left to
// a window after it, as is what a refetch could not tell.
func (w *worker) take(ctx context.Context, c change) {
	left := !w.sync.Live()
	if !left && !w.sync.State().Paused {
		w.refetch = true
		ids, at := w.concerned(c.events)
		left = w.sync.Refetch(ctx, ids, at) != nil
		w.refetch = false
	}
	if left {
		w.asked.at(time.Now().Add(covers))
	}
	c.told <- struct{}{}
}

// concerned returns the records that may be told otherwise now, and when the
// last of them changed. Of the others a window says that they were changed: a
// job that touches all records with fields which are not read costs no requests.
func (w *worker) concerned(events []pubsub.Change) (ids []string, at time.Time) {
	seen := map[string]bool{}
	for _, e := range events {
		if !w.sync.Concerns(e.Unchanged) {
			continue
		}
		for _, id := range e.IDs {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
		if e.Time.After(at) {
			at = e.Time
		}
	}
	return ids, at.Truncate(time.Second)
}

// covers is after how long a window reads what changes now.
const covers = sync.Lag + 2*time.Second

// asked are the times for which runs are asked beside those at the interval. A
// run serves all that were asked for before it begins.
type asked struct {
	wake chan struct{} // holds a token when there is a new time

	mu          stdsync.Mutex
	first, last time.Time // zero: none
}

// at asks for a run that begins at this time or later.
func (a *asked) at(t time.Time) {
	a.mu.Lock()
	if a.first.IsZero() || t.Before(a.first) {
		a.first = t
	}
	if t.After(a.last) {
		a.last = t
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// next is when the next one is asked for; zero: none is.
func (a *asked) next() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first
}

// begin says that a run begins.
func (a *asked) begin(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first = a.last; !a.last.After(now) {
		a.first, a.last = time.Time{}, time.Time{}
	}
}

// obey carries a command out and reports whether a run is due.
func (w *worker) obey(ctx context.Context, c *sdk.SyncCommand) bool {
	s := w.sync.State()
	switch c.Action {
	case sdk.SyncRunNow:
		if s.Paused {
			c.Done(sdk.Problem{Code: "paused", Message: fmt.Sprintf("sync %s is paused", w.name), Fix: "run wellhead sync resume first"})
			return false
		}
		c.Done(nil)
		return true
	case sdk.SyncPause:
		s.Paused = true
	case sdk.SyncResume:
		if !s.Paused {
			c.Done(sdk.Problem{Code: "not_paused", Message: fmt.Sprintf("sync %s is not paused", w.name)})
			return false
		}
		s.Paused = false
	case sdk.SyncReset:
		s = sync.State{Paused: s.Paused}
	}
	if _, err := w.runner.store(ctx, w.name, s, nil); err != nil {
		c.Done(err)
		return false
	}
	if c.Action == sdk.SyncReset {
		w.sync = w.newSync(s)
	} else {
		w.sync.SetPaused(s.Paused)
	}
	w.tell(w.idle(), time.Time{})
	c.Done(nil)
	return !s.Paused && c.Action != sdk.SyncPause
}

// progress reports the run that is under way, and ends the one before.
func (w *worker) progress(p sync.Progress) {
	w.alive()
	if w.refetch || p.Run == "" {
		return
	}
	if w.report.ID != p.Run {
		w.endRun(nil)
		w.report = sdk.SyncRun{Sync: w.name, ID: p.Run, Kind: p.Kind, Started: time.Now()}
	}
	w.report.Read, w.report.Emitted, w.report.Refused = p.Read, p.Emitted, p.Refused
	w.runner.stream.Report(w.report)
	if p.Kind != sync.Incremental {
		w.runner.stream.Progress(w.name, p.Read, p.Total, p.Kind)
	}
}

func (w *worker) endRun(err error) {
	if w.report.ID == "" {
		if err == nil {
			return
		}
		w.report = sdk.SyncRun{Sync: w.name, ID: fmt.Sprintf("failed-%d", time.Now().Unix()), Kind: sync.Incremental, Started: time.Now()}
	}
	w.report.Ended, w.report.Error = time.Now(), err
	w.runner.stream.Report(w.report)
	w.report = sdk.SyncRun{}
}
