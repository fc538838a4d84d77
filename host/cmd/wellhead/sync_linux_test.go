package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// stepping is a host whose source is one step further each time it is asked.
type stepping struct {
	console.Host // panics where the test does not say
	step         atomic.Int32
}

func (h *stepping) Syncs(event.SourceID) (console.Syncs, error) {
	run := console.SyncRun{ID: "1", Kind: "backfill", State: "running", Started: time.Now()}
	y := console.Sync{Name: "people", State: "running", Progress: &console.Progress{Done: 450_000, Total: 1_000_000}}
	switch h.step.Add(1) {
	case 1, 2: // the command looks first whether there is such a source
	case 3:
		y.Progress.Done = 500_000
	default:
		run.State, run.Ended, run.Read, run.Emitted = "done", time.Now(), 1_000_000, 999_999
		y.State, y.Progress = "idle", nil
	}
	y.Runs = []console.SyncRun{run}
	return console.Syncs{Source: "crm", State: "running", Syncs: []console.Sync{y}}, nil
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	dir, err := os.MkdirTemp("", "wh-bar-") // short: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "wellhead.yaml")
	if err := os.WriteFile(config, []byte("data_dir: .\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := console.Listen(t.Context(), console.Options{Host: &stepping{}, Dir: dir, Address: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	screen, terminal := openTerminal(t, 50)
	var out bytes.Buffer
	code := Main(t.Context(), []string{"sync", "list", "crm", "--follow", "-c", config}, strings.NewReader(""), &out, terminal)
	if code != exitGood || !strings.HasPrefix(out.String(), "people: backfill done in 0s: 1000000 read, 999999 emitted") {
		t.Errorf("exit code %d, %s", code, out.String())
	}
	terminal.Close()
	shown, _ := io.ReadAll(screen) // it ends with an error when the terminal is closed
	text := strings.ReplaceAll(string(shown), "\r\n", "\n")
	const up = "\x1b[1A\x1b[J"
	frames := strings.Split(text, up)
	if len(frames) != 3 || frames[2] != "" {
		t.Fatalf("drawn: %q", text)
	}
	// Cut, so that no line is broken into two.
	if want := "people [=========           ]  45 % of 1000000, 0/s\n"; frames[0] != want[:49]+"\n" {
		t.Errorf("first %q, want %q", frames[0], want[:49])
	}
	if want := "people [==========          ]  50 % of 1000000, "; !strings.HasPrefix(frames[1], want) || strings.Contains(frames[1], ", 0/s") {
		t.Errorf("then %q, want %q and a rate", frames[1], want)
	}
}

// openTerminal opens a terminal of so many columns; what is written to it is read
// from the first file.
func openTerminal(t *testing.T, columns uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal("this machine has no terminals to give, mount devpts: ", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 25})
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return screen, terminal
}
