package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

func httpSpec(t *testing.T, mode string, sources ...supervise.SourceSpec) supervise.Spec {
	t.Helper()
	spec := fakeSpec(t, mode, sources...)
	spec.Listen = "127.0.0.1:0"
	return spec
}

func TestACrashLoopIsSeenAndNeverGivenUp(t *testing.T) {
	spec := fakeSpec(t, "good")
	exe := spec.Path
	spec.Path = filepath.Join(t.TempDir(), "plugin")
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, spec)
	o.Timing.Healthy = 200 * time.Millisecond
	o.Timing.BackoffMax = 50 * time.Millisecond
	r := startWith(t, in, logs, o)
	r.await("crash loop", func(s supervise.Status) bool { return s.State == supervise.CrashLoop && s.Failures >= 6 })
	reasons := r.Ready()
	if len(reasons) != 1 || reasons[0].Code != supervise.CodeCrashLoop || !strings.Contains(reasons[0].Error(), supervise.CodeMissing) {
		t.Errorf("reasons %v", reasons)
	}
	if err := os.Symlink(exe, spec.Path); err != nil {
		t.Fatal(err)
	}
	s := r.await("launched", func(s supervise.Status) bool { return s.PID != 0 })
	if s.State == supervise.Running && s.Failures != 0 {
		t.Errorf("believed at once: %+v", s)
	}
	s = r.running()
	if s.Failures != 0 || s.Error == nil || s.Error.Code != supervise.CodeMissing {
		t.Errorf("status %+v", s)
	}
	if reasons := r.Ready(); reasons != nil {
		t.Errorf("reasons %v", reasons)
	}
}

func TestAPluginThatTheConfigDoesNotFitFailsAtEachLaunch(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, fakeSpec(t, "good", source("s", fakeConfig{Batches: 1})))
	o.Timing.BackoffMax = 50 * time.Millisecond
	wrong := errors.New("url: is missing")
	var fits atomic.Bool
	o.Fits = func(spec *supervise.Spec, d *wire.Description) error {
		if spec.Name != "fake" || d.GetVersion() != "1.2.3" {
			t.Errorf("asked about %s %s", spec.Name, d.GetVersion())
		}
		if fits.Load() {
			return nil
		}
		return wrong
	}
	r := startWith(t, in, logs, o)
	s := r.await("crash loop", func(s supervise.Status) bool { return s.State == supervise.CrashLoop })
	if s.Error.Code != supervise.CodeConfig || !errors.Is(s.Error, wrong) || !strings.Contains(s.Error.Message, "url: is missing") {
		t.Errorf("error %v", s.Error)
	}
	if len(in.received("s")) > 0 {
		t.Error("it ran a source")
	}
	fits.Store(true)
	r.await("launched", func(s supervise.Status) bool { return s.PID != 0 })
}

func TestTheFirstRestartIsAtOnceAndTheBackOffBeginsAnewAfterHealth(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, fakeSpec(t, "good"))
	o.Timing.Healthy = time.Millisecond
	o.Timing.BackoffMin = time.Hour // a second failure in a row would never come back
	r := startWith(t, in, logs, o)
	for restarts := range 3 {
		s := r.await("healthy", func(s supervise.Status) bool {
			return s.State == supervise.Running && s.Restarts == restarts && s.Failures == 0
		})
		kill(t, s.PID)
	}
	r.await("restarted", func(s supervise.Status) bool { return s.State == supervise.Running && s.Restarts == 3 })
}

func TestNoConnectionIsRefusedUnderKills(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, httpSpec(t, "good", source("a", fakeConfig{})))
	o.Timing.Healthy = 200 * time.Millisecond
	r := startWith(t, in, logs, o)
	url := "http://" + r.running().Listen + "/pid"

	ctx, stop := context.WithCancel(t.Context())
	var refused, answered, reset atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			for ctx.Err() == nil {
				res, err := client.Get(url)
				var dial *net.OpError
				switch {
				case err == nil:
					res.Body.Close()
					answered.Add(1)
				case errors.As(err, &dial) && dial.Op == "dial":
					refused.Add(1)
				default: // it was accepted by the process that was killed
					reset.Add(1)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for restarts := range 5 {
		s := r.await("healthy", func(s supervise.Status) bool {
			return s.State == supervise.Running && s.Restarts == restarts && s.Failures == 0
		})
		kill(t, s.PID)
	}
	r.await("restarted", func(s supervise.Status) bool { return s.State == supervise.Running && s.Restarts == 5 })
	stop()
	clients.Wait()
	if refused.Load() > 0 || answered.Load() < 20 {
		t.Errorf("%d connections refused, %d answered", refused.Load(), answered.Load())
	}
	t.Logf("%d answered, %d reset", answered.Load(), reset.Load())
}

func TestAPluginThatDoesNotAnswerThroughItsListenerIsRestarted(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	for _, hang := range []struct {
		name string
		hang func(r *rig, pid int)
	}{
		{"its HTTP loop blocks, its gRPC answers", func(r *rig, _ int) { r.post("/block") }},
		{"it is stopped", func(_ *rig, pid int) { stop(t, pid) }},
	} {
		t.Run(hang.name, func(t *testing.T) {
			o := options(t, in, logs, httpSpec(t, "good", source("a", fakeConfig{})))
			o.Timing.ProbeTimeout = 300 * time.Millisecond
			r := startWith(t, in, logs, o)
			before := r.running()
			hang.hang(r, before.PID)
			_ = r.fails(supervise.CodeProbe)
			if pid := r.get("/pid"); pid == strconv.Itoa(before.PID) {
				t.Error("the hung process answers")
			}
			if err := syscall.Kill(before.PID, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the hung process: %v", err)
			}
		})
	}
}

// The probe stands in the same queue as the plugin's clients: a plugin that works
// that queue off is not restarted for its length.
func TestABusyPluginIsNotTakenForDead(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, httpSpec(t, "good", source("a", fakeConfig{})))
	o.Timing.ProbeTimeout = 100 * time.Millisecond
	r := startWith(t, in, logs, o)
	before := r.running()
	r.post("/block")
	busy := time.Now().Add(time.Duration(supervise.DefaultTiming().ProbeFailures+3) * (o.Timing.ProbeTimeout + o.Timing.ProbeEvery))
	for time.Now().Before(busy) {
		r.do(http.MethodPost, "/emit?source=a", `{}`)
	}
	if now := r.status(); now.PID != before.PID || now.Restarts != 0 {
		t.Fatalf("the busy plugin was restarted: %+v", now)
	}
	_ = r.fails(supervise.CodeProbe)
}

func TestAListenerServedByAnotherIsNotBelieved(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, httpSpec(t, "another generation"))
	o.Timing.ProbeTimeout = 50 * time.Millisecond
	r := startWith(t, in, logs, o)
	if e := r.fails(supervise.CodeProbe); !strings.Contains(e.Message, "generation 1 answers") {
		t.Errorf("error %v", e)
	}
}

func TestAPluginMayPrintOnceItServes(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	before := r.running()
	r.do(http.MethodPost, "/print?fd=1", strings.Repeat("x", 1<<20)) // a pipe holds 64 KiB
	if s := r.status(); s.PID != before.PID {
		t.Errorf("status %+v", s)
	}
}

// shortTempDir is a folder for TMPDIR that is not too deep for sockets.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

func TestLaunchesLeaveNothingBehind(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "plugin")
	dir := shortTempDir(t)
	write(t, noProgram, []byte("no program"))
	if err := os.Chmod(noProgram, 0o700); err != nil {
		t.Fatal(err)
	}
	broken, exits := fakeSpec(t, "good"), fakeSpec(t, "exit")
	broken.Name, broken.Path = "broken", noProgram
	r := start(t, broken, exits)
	within(t, patience, "each of them", func() bool {
		all := r.Status()
		return all[0].Failures > 5 && all[1].Failures > 5
	})
	folders, err := filepath.Glob(filepath.Join(dir, "wellhead-*", "*"))
	if err != nil || len(folders) > 2 { // those of launches under way
		t.Errorf("%v, error %v", folders, err)
	}
	r.shutdown()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left in TMPDIR: %s", e.Name())
	}
}

func TestAFolderOfSocketsThatWasCleanedAwayIsMadeAgain(t *testing.T) {
	dir := shortTempDir(t)
	r := start(t, fakeSpec(t, "good"))
	before := r.running()
	list, err := filepath.Glob(filepath.Join(dir, "wellhead-*"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, error %v", list, err)
	}
	if n, err := filepath.Glob(filepath.Join(list[0], "*")); err != nil || len(n) != 1 {
		t.Errorf("one process, but %v, error %v", n, err)
	}
	if err := os.RemoveAll(list[0]); err != nil {
		t.Fatal(err)
	}
	kill(t, before.PID)
	r.await("runs again", func(s supervise.Status) bool { return s.State == supervise.Running && s.Restarts == 1 })
}

func TestAListenerStaysNonBlockingForThePluginThatSharesIt(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	first := r.running()
	if got := r.get("/nonblock"); got != "true" {
		t.Errorf("first process: non-blocking is %s", got)
	}
	kill(t, first.PID)
	if got := r.get("/nonblock"); got != "true" {
		t.Errorf("second process: non-blocking is %s", got)
	}
}

func TestChildrenOfAPluginEndWithIt(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	before := r.running()
	child, err := strconv.Atoi(r.post("/child"))
	if err != nil {
		t.Fatal(err)
	}
	kill(t, before.PID)
	within(t, patience, "child ends", func() bool { return !alive(child) })
	r.await("restarted", func(s supervise.Status) bool { return s.State == supervise.Running && s.Restarts == 1 })
	child, err = strconv.Atoi(r.post("/child"))
	if err != nil {
		t.Fatal(err)
	}
	r.shutdown()
	if alive(child) {
		t.Error("a child outlives the drain")
	}
}

// alive tells whether a process exists and has not ended.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	// Only Linux tells by this whether it has ended and waits to be reaped.
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return !strings.Contains(string(raw), ") Z ")
}

func TestShutdownIsBoundedWhateverThePluginDoes(t *testing.T) {
	for _, test := range []struct {
		name string
		mode string
		stop bool
	}{
		{"ignores Drain", "ignores drain", false},
		{"is stopped", "good", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, logs := newIntake(), &buffer{}
			o := options(t, in, logs, httpSpec(t, test.mode, source("a", fakeConfig{}), source("b", fakeConfig{})))
			o.Timing.Drain, o.Timing.Grace = 300*time.Millisecond, 300*time.Millisecond
			o.Timing.ProbeEvery = time.Hour
			r := startWith(t, in, logs, o)
			pid := r.running().PID
			if test.stop {
				stop(t, pid)
			}
			began := time.Now()
			r.shutdown()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("shutdown took %s", took)
			}
			if alive(pid) {
				t.Error("the plugin lives")
			}
			if !strings.Contains(logs.String(), supervise.CodeSourceDrain) {
				t.Error("nothing is said about the drain")
			}
		})
	}
}

func TestDrainWaitsForAVerdictThatIsUnderWay(t *testing.T) {
	for _, mode := range []string{"good", "drains early"} {
		t.Run(mode, func(t *testing.T) {
			in, logs := newIntake(), &buffer{}
			draining := make(chan struct{})
			in.verdict = func(ctx context.Context, _ event.SourceID, _ *wire.Batch) (*wire.Verdict, error) {
				select {
				case <-draining:
					return stored(), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			o := options(t, in, logs, httpSpec(t, mode, source("a", fakeConfig{})))
			o.Timing.Drain = patience
			r := startWith(t, in, logs, o)
			address := r.running().Listen
			answer := make(chan string, 1)
			go func() { answer <- do(t, http.MethodPost, address, "/emit?source=a", `{}`) }()
			within(t, patience, "batch is submitted", func() bool { return len(in.submitted()) == 1 })
			r.stop()
			r.await("drain", func(s supervise.Status) bool { return s.Sources[0].State == supervise.Draining })
			close(draining)
			if got := <-answer; got != "" {
				t.Errorf("the client hears %q", got)
			}
			<-r.ended
			if got := in.received("a"); len(got) != 1 {
				t.Errorf("received %v", got)
			}
			if e := r.status().Sources[0].Error; e != nil {
				t.Error(e)
			}
		})
	}
}

func TestGenerationsGrowAcrossHosts(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, fakeSpec(t, "good", source("a", fakeConfig{})))
	// As if the clock had been set back by some thousand years since.
	const last = 1 << 50
	record := fmt.Sprintf(`{"version":1,"generation":%d}`, uint64(last))
	if err := os.WriteFile(filepath.Join(o.Dir, "processes.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWith(t, in, logs, o)
	if g := r.running().Generation; g != last+1 {
		t.Errorf("first host: generation %d", g)
	}
	r.shutdown()
	if g := startWith(t, in, logs, o).running().Generation; g != last+2 {
		t.Errorf("second host: generation %d", g)
	}
	// With the file lost, the clock sees to it.
	o.Dir = t.TempDir()
	before := uint64(time.Now().UnixMilli())
	if g := startWith(t, in, logs, o).running().Generation; g < before {
		t.Errorf("third host: generation %d, before %d", g, before)
	}
}
