package supervise_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// told collects what sources report.
type told struct {
	mu      sync.Mutex
	reports map[event.SourceID][]*wire.SyncReport
}

func (r *told) take(source event.SourceID, report *wire.SyncReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports[source] = append(r.reports[source], report)
}

func (r *told) by(source event.SourceID) []*wire.SyncReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reports[source]
}

// startSyncs runs a fake with one source for each behaviour, of the same name.
// Commands have so long for their answer.
func startSyncs(t *testing.T, limit time.Duration, behaviours ...string) (*rig, *told) {
	t.Helper()
	got := &told{reports: map[event.SourceID][]*wire.SyncReport{}}
	in, logs := newIntake(), &buffer{}
	in.syncs = got.take
	spec := fakeSpec(t, "good")
	for _, b := range behaviours {
		spec.Sources = append(spec.Sources, source(event.SourceID(b), fakeConfig{Syncs: b, Batches: 1}))
	}
	o := options(t, in, logs, spec)
	o.Timing.Command = limit
	return startWith(t, in, logs, o), got
}

// refused is what a source has against a command.
func (r *rig) refused(source event.SourceID, action string) *supervise.Error {
	r.t.Helper()
	var e *supervise.Error
	if err := r.SyncCommand(r.t.Context(), source, "people", action); !errors.As(err, &e) {
		r.t.Fatalf("%s: %v", action, err)
	}
	return e
}

func TestASourceIsAskedAndItsChangeIsKnownBeforeItsAnswer(t *testing.T) {
	r, got := startSyncs(t, patience, "good")
	within(t, patience, "first report", func() bool { return len(got.by("good")) > 0 })
	if first := got.by("good")[0]; len(first.GetList().GetSyncs()) != 1 || len(first.GetRuns()) != 1 {
		t.Errorf("report %v", first)
	}
	if err := r.SyncCommand(t.Context(), "good", "people", wire.SyncPause); err != nil {
		t.Fatal(err)
	}
	reports := got.by("good")
	if last := reports[len(reports)-1]; last.GetList().GetSyncs()[0].GetState() != wire.SyncPaused {
		t.Errorf("paused, but known as %v", last)
	}
	e := r.refused("good", wire.SyncReset)
	if want := "plugin fake: source good: people is being read; pause it first [reading]"; e.Error() != want {
		t.Errorf("refused with %v, want %s", e, want)
	}
	if e := r.refused("good", wire.SyncResume); e.Code != supervise.CodeCommandRefused {
		t.Errorf("refused with %v", e)
	}
}

func TestACommandThatGetsNoAnswerEnds(t *testing.T) {
	r, _ := startSyncs(t, 300*time.Millisecond, "deaf")
	r.running()
	within(t, patience, "source runs", func() bool {
		e := r.refused("deaf", wire.SyncRunNow)
		return e.Code == supervise.CodeCommandUnanswered && strings.Contains(e.Message, "within 300ms")
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := r.SyncCommand(ctx, "deaf", "people", wire.SyncRunNow); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	// What waits for an answer is bounded.
	for range wire.MaxSyncCommands {
		_ = r.SyncCommand(ctx, "deaf", "people", wire.SyncRunNow)
	}
	if e := r.refused("deaf", wire.SyncRunNow); !strings.Contains(e.Message, "has not answered 256") {
		t.Errorf("error %v", e)
	}
	if e := r.refused("nobody", wire.SyncRunNow); e.Code != supervise.CodeCommandNotRunning {
		t.Errorf("error %v", e)
	}
}

func TestACommandEndsWithThePluginThatHasIt(t *testing.T) {
	r, got := startSyncs(t, patience, "dies")
	within(t, patience, "first report", func() bool { return len(got.by("dies")) > 0 })
	if e := r.refused("dies", wire.SyncRunNow); e.Code != supervise.CodeCommandUnanswered || !strings.Contains(e.Message, "stopped before it answered") {
		t.Errorf("error %v", e)
	}
	within(t, patience, "report of the next process", func() bool { return len(got.by("dies")) > 1 })
}

func TestHostileReportsEndTheirStreamOrAreCutAndTheOthersGoOn(t *testing.T) {
	r, got := startSyncs(t, patience, "good", "flood", "answers", "oversize", "twice")
	for i, says := range map[int]string{1: "more often than every 250ms", 2: "answers command 1"} {
		if e := r.sourceFails(i, supervise.CodeSourceProtocol); !strings.Contains(e.Message, says) {
			t.Errorf("error %v, want %q", e, says)
		}
	}
	within(t, patience, "report of the twice one", func() bool { return len(got.by("twice")) > 0 })
	if err := r.SyncCommand(t.Context(), "twice", "people", wire.SyncRunNow); err != nil {
		t.Error(err)
	}
	if e := r.sourceFails(4, supervise.CodeSourceProtocol); !strings.Contains(e.Message, "answers command 1") {
		t.Errorf("error %v", e)
	}
	within(t, patience, "oversize report", func() bool { return len(got.by("oversize")) > 0 })
	cut := got.by("oversize")[0]
	if len(cut.GetList().GetSyncs()) != wire.MaxSyncs || len(cut.GetRuns()) != wire.MaxSyncRuns {
		t.Errorf("%d syncs and %d runs are kept", len(cut.GetList().GetSyncs()), len(cut.GetRuns()))
	}
	if n := proto.Size(cut); n > wire.Overhead {
		t.Errorf("a report has %d bytes, more than the %d that a message may have beside its events", n, wire.Overhead)
	}
	run := cut.GetRuns()[0]
	if run.GetStartedUnixMs() != 0 || run.GetEndedUnixMs() != 0 || cut.GetList().GetSyncs()[0].GetDueUnixMs() != 0 || run.GetRead() != 1<<64-1 {
		t.Errorf("run %v", run)
	}
	within(t, patience, "batches of the good one", func() bool { return len(r.intake.received("good")) == 1 })
	if s := r.status(); s.Restarts != 0 || s.Sources[0].Error != nil || s.Sources[3].Error != nil {
		t.Errorf("status %+v", s)
	}
}

func TestASourceThatTellsOfSyncsToAHostWithoutIsEnded(t *testing.T) {
	r := start(t, fakeSpec(t, "good", source("a", fakeConfig{Syncs: "good"})))
	if e := r.sourceFails(0, supervise.CodeSourceProtocol); !strings.Contains(e.Message, "takes none") {
		t.Errorf("error %v", e)
	}
}
