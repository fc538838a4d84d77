package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// report returns the next report on syncs; nil: the stream has ended.
func (s *stream) report() *wire.SyncReport {
	s.t.Helper()
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if r := m.GetSyncReport(); r != nil {
			return r
		}
	}
}

func (s *stream) command(id uint64, sync, action string) {
	s.t.Helper()
	s.say(&wire.ToSource{Message: &wire.ToSource_SyncCommand{SyncCommand: &wire.SyncCommand{Id: id, Sync: sync, Action: action}}})
}

func runs(f func(ctx context.Context, s *sdk.Stream) error) sdk.Plugin {
	return sdk.Plugin{Source: runFunc(f)}
}

func TestTheLastOfManyReportsArrivesAndFewOfThem(t *testing.T) {
	const reports = 20_000
	began := time.UnixMilli(1_700_000_000_123)
	h := startPlugin(t, runs(func(_ context.Context, s *sdk.Stream) error {
		run := sdk.SyncRun{Sync: "people", ID: "r-1", Kind: "backfill", Started: began}
		for range reports {
			run.Read++
			s.Syncs(sdk.Sync{Name: "people", State: sdk.SyncRunning})
			s.Report(run)
		}
		run.Ended, run.Emitted, run.Refused = began.Add(time.Minute), 5, 6
		run.Error = sdk.Problem{Code: "gone", Path: "/a", Message: "the table is gone", Fix: "make it"}
		s.Report(run)
		s.Syncs(sdk.Sync{Name: "people", Due: began.Add(time.Hour)}, sdk.Sync{Name: "deals", State: sdk.SyncPaused})
		return nil
	}), nil)
	start := time.Now()
	s := h.run(startOf("a"))
	var list *wire.SyncList
	var run *wire.SyncRun
	n := 0
	for r := s.report(); r != nil; r = s.report() {
		n++
		if r.List != nil {
			list = r.List
		}
		for _, run = range r.Runs {
		}
	}
	if most := int(time.Since(start)/wire.SyncReportEvery) + 2; n > most {
		t.Errorf("%d reports, want at most %d", n, most)
	}
	if want := `syncs:{name:"people" state:"idle" due_unix_ms:1700003600123} syncs:{name:"deals" state:"paused"}`; compactText(list) != want {
		t.Errorf("list %s, want %s", compactText(list), want)
	}
	want := fmt.Sprintf(`sync:"people" id:"r-1" kind:"backfill" started_unix_ms:1700000000123 ended_unix_ms:1700000060123 read:%d emitted:5 refused:6 `+
		`error:{code:"gone" path:"/a" message:"the table is gone" fix:"make it"}`, reports)
	if compactText(run) != want {
		t.Errorf("run %s, want %s", compactText(run), want)
	}
}

// compactText is a message as text, without the spaces that vary by build.
func compactText(m fmt.Stringer) string { return strings.Join(strings.Fields(m.String()), " ") }

func TestACommandIsAnsweredAfterWhatItChanged(t *testing.T) {
	h := startPlugin(t, runs(func(_ context.Context, s *sdk.Stream) error {
		c := <-s.Commands()
		if c.Sync != "people" || c.Action != sdk.SyncPause {
			return fmt.Errorf("command %+v", c)
		}
		s.Syncs(sdk.Sync{Name: "people", State: sdk.SyncPaused})
		c.Done(nil)
		c.Done(errors.New("not twice"))
		(<-s.Commands()).Done(errors.New("no such table"))
		(<-s.Commands()).Done(fmt.Errorf("people: %w", sdk.Problem{Code: "paused", Message: "it is paused", Fix: "resume it"}))
		<-s.Draining()
		return nil
	}), nil)
	s := h.run(startOf("a"))
	s.command(1, "people", wire.SyncPause)
	paused := false
	answer := func() string {
		for {
			r := s.report()
			paused = paused || len(r.GetList().GetSyncs()) == 1 && r.List.Syncs[0].State == wire.SyncPaused
			if len(r.Answers) > 0 {
				return compactText(r.Answers[0])
			}
		}
	}
	if got := answer(); got != `command:1` || !paused {
		t.Errorf("answer %s, paused: %v", got, paused)
	}
	s.command(7, "people", wire.SyncReset)
	if got, want := answer(), `command:7 error:{message:"no such table"}`; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
	s.command(8, "people", wire.SyncRunNow)
	if got, want := answer(), `command:8 error:{code:"paused" message:"people: it is paused" fix:"resume it"}`; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
	s.drain()
}

func TestCommandsThatNobodyTakesAreAnswered(t *testing.T) {
	h := startPlugin(t, runs(func(_ context.Context, s *sdk.Stream) error {
		<-s.Draining()
		return nil
	}), nil)
	s := h.run(startOf("a"))
	s.command(1, "people", "explode")
	for i := range uint64(wire.MaxSyncCommands + 1) {
		s.command(2+i, "people", wire.SyncRunNow)
	}
	var answers []*wire.SyncAnswer
	for len(answers) < 2 {
		answers = append(answers, s.report().GetAnswers()...)
	}
	for i, want := range []string{"unknown_action", "busy"} {
		if a := answers[i]; a.GetError().GetCode() != want || a.Error.Fix == "" {
			t.Errorf("answer %v, want %s", a, want)
		}
	}
	if got := answers[1].Command; got != 2+wire.MaxSyncCommands {
		t.Errorf("command %d is one too many", got)
	}
	s.drain()
}

func TestAHostThatKnowsNoSyncsHearsOfNone(t *testing.T) {
	h := startPlugin(t, runs(func(_ context.Context, s *sdk.Stream) error {
		s.Syncs(sdk.Sync{Name: "people"})
		s.Report(sdk.SyncRun{Sync: "people", ID: "1"})
		return nil
	}), nil)
	start := startOf("a")
	start.Limits.Syncs = 0
	if m, err := h.run(start).Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestWhatIsTooLongOrTooMuchIsCutBeforeItIsSent(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	h := startPlugin(t, runs(func(_ context.Context, s *sdk.Stream) error {
		s.Syncs(make([]sdk.Sync, sdk.MaxSyncs+1)...)
		for i := range wire.MaxSyncRuns + 1 {
			s.Report(sdk.SyncRun{
				Sync: long, ID: fmt.Sprint(i, long), Kind: long, Started: time.Time{}.AddDate(9000, 0, 0),
				Error: sdk.Problem{Code: long, Path: long, Message: "\xff" + long, Fix: long},
			})
		}
		return nil
	}), nil)
	s := h.run(startOf("a"))
	for r := s.report(); r != nil; r = s.report() {
		if n := len(r.GetList().GetSyncs()); n > wire.MaxSyncs {
			t.Errorf("%d syncs", n)
		}
		if n := len(r.Runs); n > wire.MaxSyncRuns {
			t.Errorf("%d runs", n)
		}
		for _, run := range r.Runs {
			for _, text := range []struct {
				text string
				most int
			}{
				{run.Sync, wire.MaxSyncName}, {run.Id, wire.MaxSyncWord}, {run.Kind, wire.MaxSyncWord}, {run.Error.Code, wire.MaxSyncWord},
				{run.Error.Path, wire.MaxSyncText}, {run.Error.Message, wire.MaxSyncText}, {run.Error.Fix, wire.MaxSyncText},
			} {
				if len(text.text) > text.most || len(text.text) < text.most-4 || !utf8.ValidString(text.text) {
					t.Fatalf("%d bytes of at most %d: %s", len(text.text), text.most, text.text)
				}
			}
		}
	}
}
