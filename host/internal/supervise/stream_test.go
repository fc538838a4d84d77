package supervise_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// sourceFails waits for a source's error and returns it.
func (r *rig) sourceFails(i int, code string) *supervise.Error {
	r.t.Helper()
	s := r.await("source fails with "+code, func(s supervise.Status) bool {
		return s.Sources[i].Error != nil && s.Sources[i].Error.Code == code
	})
	return s.Sources[i].Error
}

func TestABrokenStreamIsEndedAndTheOthersGoOn(t *testing.T) {
	tests := []struct {
		name   event.SourceID
		config fakeConfig
		code   string
		says   string
	}{
		{"wrong-first-number", fakeConfig{Batches: 1, FirstSeq: 7}, supervise.CodeSourceProtocol, "batch 7 follows on batch 0"},
		{"number-again", fakeConfig{Batches: 2, FirstSeq: 1}, supervise.CodeSourceProtocol, "batch 1 came again"},
		{"batch-before-started", fakeConfig{Batches: 1, NoStarted: true}, supervise.CodeSourceProtocol, "Started"},
		{"too-many-bytes", fakeConfig{Batches: 1, EventBytes: 4<<20 + 1}, supervise.CodeSourceProtocol, "more than 4194304"},
		{"far-too-many-bytes", fakeConfig{Batches: 1, EventBytes: 6 << 20}, supervise.CodeSourceFailed, "limits.request"},
		{"too-long-checkpoint", fakeConfig{Batches: 1, Checkpoint: wire.MaxCheckpoint + 1}, supervise.CodeSourceProtocol, "checkpoint has 524289 bytes"},
		{"group-without-events", fakeConfig{Batches: 1, Group: 2}, supervise.CodeSourceProtocol, "exceeds the 1 events"},
		{"flood", fakeConfig{Batches: 10}, supervise.CodeSourceProtocol, "more than 4 batches"},
		{"error-of-run", fakeConfig{Fail: "the password is wrong"}, supervise.CodeSourceFailed, "the password is wrong"},
	}
	in, logs := newIntake(), &buffer{}
	in.verdict = func(ctx context.Context, source event.SourceID, _ *wire.Batch) (*wire.Verdict, error) {
		if source == "good" {
			return stored(), nil
		}
		<-ctx.Done() // the broken ones never hear a verdict
		return nil, ctx.Err()
	}
	spec := fakeSpec(t, "good", source("good", fakeConfig{Batches: 3}))
	spec.Limits.Window = 4
	for _, test := range tests {
		spec.Sources = append(spec.Sources, source(test.name, test.config))
	}
	r := startWith(t, in, logs, options(t, in, logs, spec))
	for i, test := range tests {
		e := r.sourceFails(i+1, test.code)
		if !strings.Contains(e.Error(), test.says) || e.Source != test.name || e.Plugin != "fake" {
			t.Errorf("error %v", e)
		}
	}
	within(t, patience, "the good one's batches", func() bool { return len(in.received("good")) == 3 })
	if s := r.status(); s.Restarts != 0 || s.Sources[0].Error != nil {
		t.Errorf("status %+v", s)
	}
}

func TestASourceThatFailsIsTriedAgainAndServedAsNotRunning(t *testing.T) {
	spec := fakeSpec(t, "good", source("late", fakeConfig{Fail: "not yet", FailTimes: 3}), source("a", fakeConfig{}))
	spec.Listen = "127.0.0.1:0"
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, spec)
	o.Timing.BackoffMin = 300 * time.Millisecond
	r := startWith(t, in, logs, o)
	r.running()
	var served struct {
		Serves  int
		Sources []*wire.ServedSource
	}
	look := func() bool {
		if err := json.Unmarshal([]byte(r.get("/served")), &served); err != nil {
			t.Fatal(err)
		}
		return served.Sources[0].GetRunning()
	}
	if look() || len(served.Sources) != 2 || !slices.Equal(served.Sources[0].GetKeys(), []string{"key of late"}) {
		t.Errorf("served at first: %v", served.Sources)
	}
	if !served.Sources[1].GetRunning() {
		t.Error("a source that has started is served as not running")
	}
	within(t, patience, "served as running", look)
	if s := r.status().Sources[0]; s.Restarts != 3 || s.State != supervise.Running {
		t.Errorf("source %+v", s)
	}
}

func TestAFailureStandsUntilTheSourceRanForAWhile(t *testing.T) {
	for _, healthy := range []time.Duration{time.Hour, time.Millisecond} {
		in, logs := newIntake(), &buffer{}
		o := options(t, in, logs, fakeSpec(t, "good", source("s", fakeConfig{Fail: "not yet", FailTimes: 3})))
		o.Timing.Healthy = healthy
		r := startWith(t, in, logs, o)
		s := r.await("runs at last", func(s supervise.Status) bool {
			return s.Sources[0].State == supervise.Running && s.Sources[0].Restarts == 3
		}).Sources[0]
		if healthy == time.Hour && s.Failures != 3 {
			t.Errorf("%d failures in a row", s.Failures)
		}
		if healthy < time.Hour {
			s = r.await("healthy", func(s supervise.Status) bool { return s.Sources[0].Failures == 0 }).Sources[0]
		}
		if s.Error == nil || s.Error.Message != "not yet" {
			t.Errorf("the last failure is forgotten: %+v", s)
		}
	}
}

func TestServesWithoutASourceThatDoesNotAnswer(t *testing.T) {
	spec := fakeSpec(t, "never starts", source("slow", fakeConfig{}))
	spec.Listen = "127.0.0.1:0"
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, spec)
	o.Timing.Answers = 100 * time.Millisecond
	r := startWith(t, in, logs, o)
	r.running()
	if s := r.status().Sources[0].State; s != supervise.Starting {
		t.Errorf("source is %s", s)
	}
}

func TestWhatWasNotStoredMayComeAgain(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	var mu sync.Mutex
	refused := map[uint64]bool{}
	in.verdict = func(_ context.Context, _ event.SourceID, b *wire.Batch) (*wire.Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		if refused[b.GetSeq()] {
			return stored(), nil
		}
		refused[b.GetSeq()] = true
		return &wire.Verdict{Outcome: &wire.Verdict_NotStored{
			NotStored: &wire.NotStored{Reason: wire.DiskFull, RetryAfterSeconds: 1},
		}}, nil
	}
	r := startWith(t, in, logs, options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{Batches: 3, Resend: true}))))
	within(t, patience, "all batches", func() bool { return len(in.received("a")) == 3 })
	if s := r.running(); s.Sources[0].Error != nil {
		t.Errorf("source %v", s.Sources[0].Error)
	}
}

func TestVerdictsKeepTheOrderOfTheBatches(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	first := make(chan struct{})
	in.verdict = func(ctx context.Context, _ event.SourceID, b *wire.Batch) (*wire.Verdict, error) {
		if b.GetSeq() == 1 {
			<-first // the others are known before it
		}
		return stored(), nil
	}
	r := startWith(t, in, logs, options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{Batches: 20}))))
	within(t, patience, "all are submitted", func() bool { return len(in.submitted()) == 20 })
	close(first)
	// The fake panics where a verdict is not on its oldest batch.
	within(t, patience, "all batches", func() bool { return len(in.received("a")) == 20 })
	if got := in.submitted(); !slices.IsSorted(got) {
		t.Errorf("submitted as %v", got)
	}
	if s := r.running(); s.Restarts != 0 {
		t.Errorf("restarts: %d", s.Restarts)
	}
}

func TestASourceGetsATokenOrHearsWhyNot(t *testing.T) {
	for _, test := range []struct {
		name  string
		token *wire.Token // nil: the session has none
		hears string
		state supervise.State
	}{
		{"none", nil, wire.Unavailable, supervise.Running},
		{"token", &wire.Token{AccessToken: "secret"}, "secret", supervise.Running},
		{"consent", &wire.Token{Error: wire.NeedsConsent}, wire.NeedsConsent, supervise.NeedsConsent},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, logs := newIntake(), &buffer{}
			in.token = test.token
			r := startWith(t, in, logs, options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{Token: true}))))
			s := r.await("the answer", func(s supervise.Status) bool { return len(s.Sources[0].Problems) == 1 })
			if got := s.Sources[0].Problems[0].Message; got != test.hears {
				t.Errorf("hears %q", got)
			}
			if s.Sources[0].State != test.state {
				t.Errorf("state %s", s.Sources[0].State)
			}
			if len(s.Sources[0].Progress) > 1 {
				t.Errorf("progress %v", s.Sources[0].Progress)
			}
		})
	}
}

func TestAnIntakeThatIsClosedIsTheSourcesReason(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	in.open = func(context.Context, event.SourceID) error { return errNotToday }
	r := startWith(t, in, logs, options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{}))))
	if e := r.sourceFails(0, supervise.CodeSourceIntake); !strings.Contains(e.Error(), "not today") {
		t.Errorf("error %v", e)
	}
	r.running()
}

const shortSilence = "500"

func TestASilentStreamIsOpenedAgain(t *testing.T) {
	spec := fakeSpec(t, "good", source("a", fakeConfig{SilentOnce: true}))
	spec.Env["FAKE_SILENCE_MS"] = shortSilence
	r := start(t, spec)
	_ = r.sourceFails(0, supervise.CodeSourceSilent)
	r.await("runs again", func(s supervise.Status) bool {
		return s.Sources[0].State == supervise.Running && s.Sources[0].Restarts == 1
	})
	s := r.await("two silences' time of beats", func(s supervise.Status) bool {
		return len(s.Sources[0].Progress) == 1 && s.Sources[0].Progress[0].Done*uint64(beat) >= 2*uint64(500*time.Millisecond)
	})
	if s.Restarts != 0 || s.Sources[0].Restarts != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestAPluginWithASilentSourceIsRestarted(t *testing.T) {
	spec := fakeSpec(t, "good", source("a", fakeConfig{Silent: true}))
	spec.Env["FAKE_SILENCE_MS"] = shortSilence
	r := start(t, spec)
	if e := r.fails(supervise.CodeSilent); !strings.Contains(e.Error(), "source a said nothing for 500ms") {
		t.Errorf("error %v", e)
	}
	r.await("another process", func(s supervise.Status) bool { return s.Restarts > 0 && s.PID != 0 })
}

func TestASourceThatWaitsForTheHostMayBeSilent(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	in.verdict = func(ctx context.Context, _ event.SourceID, _ *wire.Batch) (*wire.Verdict, error) {
		select {
		case <-time.After(3 * 500 * time.Millisecond): // three silences
			return stored(), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	spec := fakeSpec(t, "good", source("a", fakeConfig{Batches: 1}))
	spec.Env["FAKE_SILENCE_MS"] = shortSilence
	r := startWith(t, in, logs, options(t, in, logs, spec))
	within(t, patience, "batch", func() bool { return len(in.received("a")) == 1 })
	if s := r.status().Sources[0]; s.Error != nil {
		t.Errorf("source %v", s.Error)
	}
}

func TestASourceThatDoesNotHearItsVerdictsIsSilent(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	in.verdict = func(context.Context, event.SourceID, *wire.Batch) (*wire.Verdict, error) {
		v := stored()
		// Together more than gRPC lets through to one who does not read (16 MiB).
		v.GetStored().Violations = []*wire.Violation{{Message: strings.Repeat("x", 1<<20)}}
		return v, nil
	}
	spec := fakeSpec(t, "good", source("a", fakeConfig{Deaf: true, Batches: 40}))
	spec.Env["FAKE_SILENCE_MS"] = shortSilence
	r := startWith(t, in, logs, options(t, in, logs, spec))
	_ = r.sourceFails(0, supervise.CodeSourceSilent)
	// Nor does it hold up the end.
	began := time.Now()
	r.shutdown()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}

func TestAnIntakeThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	opened := make(chan struct{})
	in.open = func(ctx context.Context, _ event.SourceID) error {
		close(opened)
		<-ctx.Done()
		return ctx.Err()
	}
	o := options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{})))
	o.Timing.Drain = 100 * time.Millisecond
	r := startWith(t, in, logs, o)
	<-opened
	r.shutdown()
}
