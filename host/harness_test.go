package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries are built once for all tests of this package: the real host and
// real plugins, as processes that can be killed.
var binaries string

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "receiver" {
		fmt.Fprintln(os.Stderr, "receiver:", runReceiver(os.Args[1], os.Args[2]))
		os.Exit(1)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "wellhead-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binaries = dir
		for name, pkg := range map[string]string{
			"wellhead": "./host/cmd/wellhead", "quickstart": "./examples/quickstart",
			"plugins/hello": "./examples/hello", "plugins/javascript": "./plugins/javascript", "plugins/journeys": "./plugins/journeys",
			"plugins/salesforce": "./plugins/salesforce", "salesforce-simulator": "./plugins/salesforce/simulator",
			"plugins/sql": "./plugins/sql",
		} {
			build := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
			build.Dir = ".."
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// hostProcess is a running host.
type hostProcess struct {
	t   *testing.T
	dir string // of its config and data
	cmd *exec.Cmd
	log *syncBuffer
	// under is whether cmd is a tracer, whose child the host is.
	under bool
}

// site is a folder with a config, in which hosts run one after the other.
type site struct {
	t       *testing.T
	dir     string
	console string
	listen  string // "": no plugin listens
}

// newSite writes a config. In it $CONSOLE, $LISTEN and $BIN stand for free
// addresses and the folder of the binaries.
func newSite(t *testing.T, config string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), console: freeAddr(t), listen: freeAddr(t)}
	if !strings.Contains(config, "$LISTEN") {
		s.listen = ""
	}
	config = strings.NewReplacer("$CONSOLE", s.console, "$LISTEN", s.listen, "$BIN", binaries).Replace(config)
	if err := os.WriteFile(s.path("wellhead.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write puts a file beside the config.
func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts a host and waits until its socket takes connections. It is killed
// at the test's end if it still runs then.
func (s *site) start() *hostProcess {
	s.t.Helper()
	return s.startUnder("")
}

// startUnder starts a host under another command, such as strace with its
// arguments.
func (s *site) startUnder(command string, args ...string) *hostProcess {
	s.t.Helper()
	p := &hostProcess{t: s.t, dir: s.dir, log: &syncBuffer{}, under: command != ""}
	line := []string{filepath.Join(binaries, "wellhead"), "run", "-c", s.path("wellhead.yaml"), "--log-level", "debug"}
	if command != "" {
		line = slices.Concat([]string{command}, args, line)
	}
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("the host's log:\n%s", tail(p.log.String(), 8<<10))
		}
	})
	if s.listen != "" {
		eventually(s.t, "the host binds "+s.listen, func() bool {
			c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.listen)
			if err != nil {
				return false
			}
			return c.Close() == nil
		})
	}
	return p
}

// kill ends the host as a crash does.
func (p *hostProcess) kill() {
	p.t.Helper()
	if p.under {
		// The tracer ends when the host does; killed itself, it would let go of it.
		for _, pid := range children(p.t, p.cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	} else {
		_ = p.cmd.Process.Kill()
	}
	_ = p.cmd.Wait()
}

// stop ends the host as an operator does.
func (p *hostProcess) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.t.Errorf("the host stopped with %v", err)
		}
	case <-time.After(time.Minute):
		p.t.Error("the host did not stop within a minute")
		p.kill()
	}
}

// lines returns the whole lines of the events file.
func (s *site) lines(name string) []json.RawMessage {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var out []json.RawMessage
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return out
		}
		out, b = append(out, line), rest
	}
}

// eventually waits until ok; ctx of the test bounds it.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventuallyOr(t, ok, func() { t.Fatalf("%s: not within a minute", what) })
}

// eventuallyOr calls late where ok does not hold within a minute.
func eventuallyOr(t *testing.T, ok func() bool, late func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			late()
			return
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		// The kernel may give the same one again before a host has bound it.
		if _, given := givenAddrs.LoadOrStore(addr, true); !given {
			return addr
		}
	}
}

var givenAddrs sync.Map

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// syncBuffer is a buffer that a process writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var _ io.Writer = (*syncBuffer)(nil)
