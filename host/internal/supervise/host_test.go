package supervise_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// With this variable set the test binary is a host in miniature that can be
// killed. Its value is the folder for records, envFakeAddress the plugin's
// address. It prints its plugin's Status as soon as it runs.
const (
	envFakeHost    = "FAKE_HOST"
	envFakeAddress = "FAKE_HOST_ADDRESS"
	envFakeMode    = "FAKE_HOST_MODE" // of its plugin
)

func runFakeHost(dir string) {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	sockets, err := supervise.SystemdSockets()
	if err != nil {
		panic(err)
	}
	s, err := supervise.New(supervise.Options{
		Plugins: []supervise.Spec{{
			Name: "fake", Path: exe, Listen: os.Getenv(envFakeAddress),
			Env: map[string]string{envFake: os.Getenv(envFakeMode)},
		}},
		Intake: newIntake(), Dir: dir, Timing: quick(), Sockets: sockets,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	if err := s.Listen(context.Background()); err != nil {
		panic(err)
	}
	go func() {
		for s.Ready() != nil {
			time.Sleep(time.Millisecond)
		}
		_ = json.NewEncoder(os.Stdout).Encode(s.Status()[0])
	}()
	if err := s.Run(context.Background()); err != nil {
		panic(err)
	}
}

// startHost runs a fake host until its plugin serves. The command is killed at
// the end of the test.
func startHost(t *testing.T, cmd *exec.Cmd) supervise.Status {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var status supervise.Status
	if err := json.Unmarshal(line, &status); err != nil {
		t.Fatal(err)
	}
	return status
}

func hostCommand(t *testing.T, dir, address, mode string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envFakeHost+"="+dir, envFakeAddress+"="+address, envFakeMode+"="+mode)
	return cmd
}

// freeAddress is an address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAnUnreadableRecordIsNoReasonNotToStart(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	o := options(t, in, logs, fakeSpec(t, "good"))
	if err := os.WriteFile(filepath.Join(o.Dir, "processes.json"), []byte(`{"version":`), 0o600); err != nil {
		t.Fatal(err)
	}
	startWith(t, in, logs, o).running()
	if !strings.Contains(logs.String(), "begun anew") {
		t.Error("nothing is said about it")
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stop stops a process and waits until the last of its threads stands still.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "process stands still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // none but on Linux
		for _, thread := range threads {
			if raw, err := os.ReadFile(thread); err == nil && !strings.Contains(string(raw), ") T ") {
				return false
			}
		}
		return true
	})
}
