package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the other side of a stream.
type host struct {
	mu         sync.Mutex
	checkpoint []byte
	problems   []sdk.Problem
	runs       []sdk.SyncRun // that have ended
}

func (h *host) Checkpoint() []byte                      { return h.checkpoint }
func (h *host) Limits() sdk.Limits                      { return sdk.Limits{BatchEvents: 2} }
func (h *host) Updated() <-chan struct{}                { return nil }
func (h *host) Draining() <-chan struct{}               { return nil }
func (h *host) Commands() <-chan *sdk.SyncCommand       { return nil }
func (h *host) Progress(string, uint64, uint64, string) {}
func (h *host) Syncs(...sdk.Sync)                       {}
func (h *host) Log() *slog.Logger                       { return slog.New(slog.DiscardHandler) }
func (h *host) Health(p ...sdk.Problem)                 { h.mu.Lock(); defer h.mu.Unlock(); h.problems = p }
func (h *host) Report(r sdk.SyncRun) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !r.Ended.IsZero() {
		h.runs = append(h.runs, r)
	}
}

func (h *host) Store(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(b.Events) > 2 {
		return sdk.Verdict{}, &sdk.TooLarge{}
	}
	if b.Checkpoint != nil {
		h.checkpoint = b.Checkpoint
	}
	return sdk.Verdict{}, nil
}

func explain(err error) (sdk.Problem, time.Duration) {
	return sdk.Problem{Code: "broken", Message: err.Error()}, 0
}

// run runs a job for a time, on the fake clock.
func run(t *testing.T, h *host, job schedule.Job, d time.Duration) {
	t.Helper()
	s, err := schedule.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	job.Name, job.Explain = "s", explain
	if err := s.Run(ctx, nil, []schedule.Job{job}); err != nil {
		t.Fatal(err)
	}
}

func TestARunThatTakesLongSkipsThoseDueMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		began := time.Now()
		var runs []time.Duration
		job := schedule.Job{Interval: time.Minute, Run: func(context.Context, *schedule.Task) error {
			runs = append(runs, time.Since(began))
			if len(runs) == 2 {
				time.Sleep(150 * time.Second)
			}
			return nil
		}}
		run(t, h, job, 4*time.Minute+30*time.Second)
		want := []time.Duration{0, time.Minute, 4 * time.Minute}
		if len(runs) != 3 || runs[0] != want[0] || runs[1] != want[1] || runs[2] != want[2] {
			t.Errorf("runs at %v, want %v", runs, want)
		}
	})
}

func TestSkippedRunsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		n := 0
		job := schedule.Job{Interval: time.Minute, Run: func(context.Context, *schedule.Task) error {
			if n++; n == 1 {
				time.Sleep(150 * time.Second)
			}
			return nil
		}}
		run(t, h, job, 170*time.Second)
		if len(h.problems) != 1 || h.problems[0].Code != "runs_skipped" {
			t.Errorf("problems %v", h.problems)
		}
		run(t, h, job, 2*time.Minute)
		if len(h.problems) != 0 {
			t.Errorf("problems at pace again: %v", h.problems)
		}
	})
}

func TestTheNextRunIsDueWhenItWasAlsoAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		n := 0
		job := schedule.Job{Interval: 24 * time.Hour, Run: func(ctx context.Context, task *schedule.Task) error {
			n++
			_, err := task.Store(ctx, n, []sdk.Event{[]byte("1"), []byte("2"), []byte("3")})
			task.Keep(10 * n)
			return err
		}}
		run(t, h, job, time.Hour)
		run(t, h, job, 22*time.Hour)
		if n != 1 {
			t.Errorf("%d runs within a day of restarts", n)
		}
		var kept int
		job.Run = func(_ context.Context, task *schedule.Task) error {
			n++
			_, err := task.State(&kept)
			return err
		}
		run(t, h, job, 2*time.Hour)
		if n != 2 || kept != 10 {
			t.Errorf("%d runs, the last from state %d; want 2 and 10", n, kept)
		}
	})
}

func TestFailuresPauseLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		var at []time.Time
		job := schedule.Job{Interval: time.Minute, Run: func(context.Context, *schedule.Task) error {
			at = append(at, time.Now())
			return errors.New("no")
		}}
		run(t, h, job, 30*time.Minute)
		if len(at) < 4 {
			t.Fatalf("%d runs in half an hour", len(at))
		}
		for i := 2; i < 4; i++ {
			if before, now := at[i-1].Sub(at[i-2]), at[i].Sub(at[i-1]); now < before*3/2-time.Second {
				t.Errorf("pause %d is %s after %s", i, now, before)
			}
		}
		if len(h.runs) != len(at) || h.runs[0].Error == nil {
			t.Errorf("%d of %d failed runs are told", len(h.runs), len(at))
		}
	})
}
