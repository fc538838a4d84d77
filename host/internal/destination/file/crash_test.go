package file_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
)

var errKilled = errors.New("killed")

// host is what survives a kill of the loop that drives a destination: the disk,
// the cursor and its mark.
type host struct {
	t      *testing.T
	config file.Config
	cursor int // events that the mark covers
	mark   []byte
}

func newHost(t *testing.T) *host {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	return &host{t: t, config: file.Config{Path: config.Path(path), Rotate: file.Rotate{Bytes: 60}}}
}

// run drives a destination as a loop does until it has all events, or until a step
// is killed.
func (h *host) run(events int, step file.Step) (err error) {
	d, err := file.NewOn(h.config, step)
	if err != nil {
		h.t.Fatal(err)
	}
	defer closing(h.t, d)
	ctx := h.t.Context()
	if err := d.Resume(ctx, h.mark, func(destination.Notice) {}); err != nil {
		return err
	}
	if h.mark, err = orLast(h.mark)(d.Flush(ctx)); err != nil {
		return err
	}
	for n := h.cursor; n < events; {
		for range 2 { // two sends to a flush
			next := min(n+3, events)
			if next == n {
				break
			}
			if err := d.Send(ctx, batch(n, next)); err != nil {
				return err
			}
			n = next
		}
		if h.mark, err = orLast(h.mark)(d.Flush(ctx)); err != nil {
			return err
		}
		h.cursor = n
	}
	return nil
}

func closing(t *testing.T, d *file.Destination) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// orLast keeps the last mark where there is no new one.
func orLast(last []byte) func([]byte, error) ([]byte, error) {
	return func(mark []byte, err error) ([]byte, error) {
		if err != nil {
			return last, err
		}
		return mark, nil
	}
}

// all is what the files have, from the oldest.
func (h *host) all() string {
	h.t.Helper()
	turned, err := filepath.Glob(string(h.config.Path) + ".*")
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(turned)
	var all strings.Builder
	for _, name := range append(turned, string(h.config.Path)) {
		b, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

func (h *host) check(what string, events int) {
	h.t.Helper()
	if got, want := h.all(), lines(0, events); got != want {
		h.t.Fatalf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// killAt is a step function that lets n steps happen; the next is the last one,
// not at all or, of a write, by half.
func killAt(n int, trace *[]string) file.Step {
	steps := 0
	return func(op, path string, _ *os.File) error {
		steps++
		switch {
		case steps <= n:
			if trace != nil {
				*trace = append(*trace, op+" "+filepath.Base(path))
			}
			return nil
		case steps == n+1:
			return file.HalfError{Err: errKilled}
		}
		return errKilled
	}
}

func alive(string, string, *os.File) error { return nil }

const crashEvents = 40

func TestKillAtAnyStepLosesAndDoublesNothing(t *testing.T) {
	var trace []string
	h := newHost(t)
	if err := h.run(crashEvents, killAt(1<<30, &trace)); err != nil {
		t.Fatal(err)
	}
	h.check("without a kill", crashEvents)
	for _, op := range []string{"create", "write", "sync", "rename", "syncDir"} {
		if !slices.ContainsFunc(trace, func(s string) bool { return strings.HasPrefix(s, op+" ") }) {
			t.Fatalf("no %s among the steps %q", op, trace)
		}
	}
	for n := range trace {
		h := newHost(t)
		if err := h.run(crashEvents, killAt(n, nil)); !errors.Is(err, errKilled) {
			t.Fatalf("kill before step %d (%s): %v", n, trace[n], err)
		}
		if err := h.run(crashEvents, alive); err != nil {
			t.Fatalf("start after a kill before step %d (%s): %v", n, trace[n], err)
		}
		h.check(fmt.Sprintf("kill before step %d (%s)", n, trace[n]), crashEvents)
	}
}

func TestKillsAtAnyStepOfAStartLoseAndDoubleNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 300 {
		h := newHost(t)
		var kills []int
		for {
			n := rng.IntN(30)
			kills = append(kills, n)
			err := h.run(crashEvents, killAt(n, nil))
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("round %d, kills %v: %v", round, kills, err)
			}
			if len(kills) > 100 {
				if err := h.run(crashEvents, alive); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		h.check(fmt.Sprintf("round %d, kills %v", round, kills), crashEvents)
	}
}
