package supervise_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// patience is how long a test waits for what should happen soon, on a machine
// that is busy with other things and with the race detector.
const patience = 20 * time.Second

// fakeSpec is a plugin entry that runs this test binary as the given fake.
func fakeSpec(t *testing.T, mode string, sources ...supervise.SourceSpec) supervise.Spec {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return supervise.Spec{
		Name: "fake", Path: exe, Sources: sources,
		Env: map[string]string{envFake: mode, "GORACE": "atexit_sleep_ms=0"},
	}
}

func source(id event.SourceID, config fakeConfig) supervise.SourceSpec {
	raw, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return supervise.SourceSpec{ID: id, Config: raw, Keys: []string{"key of " + string(id)}}
}

// quick are periods for tests.
func quick() supervise.Timing {
	return supervise.Timing{
		ProbeEvery: 50 * time.Millisecond, ProbeTimeout: 2 * time.Second,
		BackoffMin: 10 * time.Millisecond, Drain: 2 * time.Second, CertificateEvery: 20 * time.Millisecond,
	}
}

// rig is a running Supervisor.
type rig struct {
	*supervise.Supervisor
	t      *testing.T
	intake *intake
	logs   *buffer
	stop   context.CancelFunc
	ended  chan struct{}
}

func options(t *testing.T, in *intake, logs io.Writer, specs ...supervise.Spec) supervise.Options {
	return supervise.Options{
		Plugins: specs, Intake: in, Dir: t.TempDir(), Timing: quick(),
		Log: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func start(t *testing.T, specs ...supervise.Spec) *rig {
	t.Helper()
	logs := &buffer{}
	in := newIntake()
	return startWith(t, in, logs, options(t, in, logs, specs...))
}

func startWith(t *testing.T, in *intake, logs *buffer, o supervise.Options) *rig {
	t.Helper()
	s, err := supervise.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{Supervisor: s, t: t, intake: in, logs: logs, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		r.shutdown()
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	return r
}

func (r *rig) shutdown() {
	r.stop()
	<-r.ended
}

// status is the first plugin's.
func (r *rig) status() supervise.Status { return r.Status()[0] }

func (r *rig) await(what string, condition func(supervise.Status) bool) supervise.Status {
	r.t.Helper()
	var s supervise.Status
	within(r.t, patience, what, func() bool {
		s = r.status()
		return condition(s)
	})
	return s
}

func (r *rig) running() supervise.Status {
	r.t.Helper()
	return r.await("plugin runs", func(s supervise.Status) bool { return s.State == supervise.Running })
}

func (r *rig) fails(code string) *supervise.Error {
	r.t.Helper()
	return r.await("fails with "+code, func(s supervise.Status) bool {
		return s.Error != nil && s.Error.Code == code
	}).Error
}

// get asks the plugin through its listener.
func (r *rig) get(path string) string  { return r.do(http.MethodGet, path, "") }
func (r *rig) post(path string) string { return r.do(http.MethodPost, path, "") }

func (r *rig) do(method, path, body string) string {
	r.t.Helper()
	return do(r.t, method, r.status().Listen, path, body)
}

func request(t *testing.T, method, address, path string) string {
	t.Helper()
	return do(t, method, address, path, "")
}

// do makes one request on a connection of its own. After a failure it returns
// the error's text.
func do(t *testing.T, method, address, path, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return err.Error()
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// buffer is a log that many write and a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestHandsBatchesOverInOrderAndGivesBackTheVerdicts(t *testing.T) {
	r := start(t, fakeSpec(t, "good", source("a", fakeConfig{Batches: 50}), source("b", fakeConfig{Batches: 3})))
	within(t, patience, "all batches", func() bool {
		return len(r.intake.received("a")) == 50 && len(r.intake.received("b")) == 3
	})
	for i, e := range r.intake.received("a") {
		if want := fmt.Sprintf(`{"n":%d}`, i+1); e != want {
			t.Fatalf("event %d is %s", i, e)
		}
	}
	s := r.running()
	if s.Name != "fake" || s.Version != "1.2.3" || s.PID == 0 || s.Generation == 0 {
		t.Errorf("status %+v", s)
	}
	if reasons := r.Ready(); reasons != nil {
		t.Errorf("not ready: %v", reasons)
	}
}

func TestResumesAtTheCheckpointAfterACrash(t *testing.T) {
	r := start(t, fakeSpec(t, "good", source("a", fakeConfig{Batches: 5})))
	within(t, patience, "all batches", func() bool { return len(r.intake.received("a")) == 5 })
	first := r.running()
	kill(t, first.PID)
	second := r.await("runs again", func(s supervise.Status) bool {
		return s.State == supervise.Running && s.PID != first.PID && s.Sources[0].State == supervise.Running
	})
	if second.Generation <= first.Generation {
		t.Errorf("generation %d after %d", second.Generation, first.Generation)
	}
	if second.Error == nil || second.Error.Code != supervise.CodeExited {
		t.Errorf("error %v", second.Error)
	}
	if got := r.intake.received("a"); len(got) != 5 {
		t.Errorf("received again: %v", got)
	}
}

func TestConnectionsWaitWhileAPluginRestarts(t *testing.T) {
	spec := fakeSpec(t, "good", source("a", fakeConfig{}))
	spec.Listen = "127.0.0.1:0"
	r := start(t, spec)
	r.running()
	for range 3 {
		before := r.get("/pid")
		pid, err := strconv.Atoi(before)
		if err != nil {
			t.Fatal(err)
		}
		kill(t, pid)
		// No wait: the connection is made while there is no process.
		if after := r.get("/pid"); after == before {
			t.Errorf("the killed process answers")
		}
		r.await("emits again", func(s supervise.Status) bool { return s.Sources[0].State == supervise.Running })
	}
}

func TestDrainWaitsForTheLastVerdicts(t *testing.T) {
	spec := fakeSpec(t, "good", source("a", fakeConfig{Batches: 3}))
	r := start(t, spec)
	within(t, patience, "all batches", func() bool { return len(r.intake.received("a")) == 3 })
	pid := r.running().PID
	r.shutdown()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", pid, err)
	}
	if s := r.status(); s.State != supervise.Stopped {
		t.Errorf("state %s", s.State)
	}
	if n := r.intake.openSessions(); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
	if strings.Contains(r.logs.String(), "did not drain") {
		t.Error(r.logs.String())
	}
}

func TestPluginGetsACleanEnvironmentAndNoInput(t *testing.T) {
	t.Setenv("HOST_SECRET", "hunter2")
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	spec := fakeSpec(t, "good")
	spec.Listen = "127.0.0.1:0"
	spec.Env["OF_ITS_OWN"] = "yes"
	r := start(t, spec)
	r.running()
	var env []string
	if err := json.Unmarshal([]byte(r.get("/env")), &env); err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"PATH", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY",
		"NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"OF_ITS_OWN", envFake, "GORACE",
		"WELLHEAD_PLUGIN", "WELLHEAD_LIFELINE_FD", "WELLHEAD_LISTENER_FDS", "WELLHEAD_HOST",
		"PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT", "PLUGIN_UNIX_SOCKET_DIR",
	}
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.Contains(allowed, name) {
			t.Errorf("the plugin has %s", name)
		}
	}
	for _, want := range []string{"OF_ITS_OWN=yes", "HTTPS_PROXY=http://proxy.example:3128"} {
		if !slices.Contains(env, want) {
			t.Errorf("the plugin lacks %s", want)
		}
	}
	if got := r.get("/stdin"); got != "0 <nil>" {
		t.Errorf("standard input: %s", got)
	}
}

func TestAPluginWorksInItsFolderWhereverTheHostDoes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", "tmp")
	spec := fakeSpec(t, "good")
	spec.Listen, spec.Dir = "127.0.0.1:0", filepath.Dir(spec.Path)
	r := start(t, spec)
	r.running()
	temp, err := filepath.Abs("tmp")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(r.get("/dir")), fmt.Sprintf("[%q,null,%q]", spec.Dir, temp); got != want {
		t.Errorf("folder, error and temporary folder: %s, want %s", got, want)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
