package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/journal/powercut"
)

const powerCutConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  web: {plugin: javascript, keys: [power-cut-test], destinations: [archive]}
destinations:
  archive: {type: file, path: data/events.jsonl, rotate: {bytes: 40KB, keep: 1000}}
`

// acknowledged is an event and when its client heard so.
type acknowledged struct {
	id string
	at time.Time
}

// recording is a real host's life: its file-system calls, and what it
// acknowledged meanwhile.
type recording struct {
	*powercut.Trace
	root   string
	events []powercut.Event
	acks   []acknowledged
}

func record(t *testing.T) recording {
	t.Helper()
	s := newSite(t, powerCutConfig)
	trace := s.path("trace")
	var r recording
	r.root = s.path("data")
	h := s.startUnder("strace", powercut.Args(powercut.Recording{Log: trace})...)
	client := newLoadClient(s.listen, "power-cut-test", 5)
	for n := range 60 {
		ids := make([]string, 5)
		for i := range ids {
			ids[i] = fmt.Sprintf("p%d-%d", n, i)
		}
		if err := client.sendUntilAcked(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for _, id := range ids {
			r.acks = append(r.acks, acknowledged{id, now})
		}
	}
	h.kill()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r.Trace, err = powercut.Parse(f, r.root, s.dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(r.root); err != nil {
		t.Fatal(err)
	}
	if r.events, err = r.Events(); err != nil {
		t.Fatal(err)
	}
	return r
}

// cut rebuilds the disk as it may be when the power fails after n calls, and
// returns what had been acknowledged by then.
func (r *recording) cut(t *testing.T, n int, into string, l powercut.Loss) map[string]bool {
	t.Helper()
	if err := r.Rebuild(n, into, l); err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	for _, a := range r.acks {
		// What a client heard before a call began was synced by calls that
		// had ended before it.
		if n == len(r.events) || a.at.Before(r.events[n].Began) {
			acked[a.id] = true
		}
	}
	return acked
}

// Whatever a power cut leaves of what was not synced, a host starts on it, and
// nothing that was acknowledged is missing.
func TestNothingAcknowledgedIsLostInAPowerCut(t *testing.T) {
	cuts := 30
	if os.Getenv("WELLHEAD_LONG") != "" {
		cuts = 300
	}
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 1))
	rec := record(t)
	t.Logf("%d calls, %d events acknowledged", len(rec.events), len(rec.acks))
	if len(rec.acks) == 0 || len(rec.events) == 0 {
		t.Fatal("nothing was recorded")
	}
	for i := range cuts {
		n := 1 + r.IntN(len(rec.events))
		loss := powercut.Loss{}
		if i%2 == 1 {
			loss = powercut.Loss{Random: r, Keep: 0.5}
		}
		t.Run(fmt.Sprintf("after call %d, keeping %v", n, loss.Keep), func(t *testing.T) {
			s := newSite(t, powerCutConfig)
			acked := rec.cut(t, n, s.path("data"), loss)
			h := s.start()
			data := &site{t: t, dir: s.path("data")}
			eventually(t, fmt.Sprintf("all %d acknowledged events in the file", len(acked)), func() bool {
				there := data.wholeLines()
				for id := range acked {
					if !there[id] {
						return false
					}
				}
				return true
			})
			// It takes new events as well, and delivers them.
			client := newLoadClient(s.listen, "power-cut-test", 1)
			if err := client.sendUntilAcked(t.Context(), []string{"after-the-cut"}); err != nil {
				t.Error(err)
			}
			eventually(t, "a new event in the file", func() bool { return data.wholeLines()["after-the-cut"] })
			h.stop()
		})
	}
}

// wholeLines returns the message ids in the events file and those set aside. The
// rebuilt file is another one than the destination wrote, for it has another
// inode: it is set aside, torn as the cut left it, and not continued.
func (s *site) wholeLines() map[string]bool {
	s.t.Helper()
	names, err := filepath.Glob(s.path("events.jsonl*"))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]bool{}
	for _, name := range names {
		for _, line := range s.lines(filepath.Base(name)) {
			var e struct {
				MessageID string `json:"messageId"`
			}
			if json.Unmarshal(line, &e) == nil {
				out[e.MessageID] = true
			}
		}
	}
	return out
}

// The test above can fail: with one kind of sync taken away, acknowledged events
// are missing from the journal.
func TestAPowerCutWithoutASyncLosesEvents(t *testing.T) {
	rec := record(t)
	for name, noSync := range map[string]func(string) bool{
		"of the journal's blocks":        func(path string) bool { return strings.HasSuffix(path, ".blk") },
		"of the directory of blocks":     func(path string) bool { return strings.HasSuffix(path, "/msgs") },
		"of the journal's own directory": func(path string) bool { return path == filepath.Join(rec.root, "journal") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			acked := rec.cut(t, len(rec.events), dir, powercut.Loss{NoSync: noSync})
			have := journalled(t, filepath.Join(dir, "journal"))
			missing := 0
			for id := range acked {
				if !slices.Contains(have, id) {
					missing++
				}
			}
			if missing == 0 {
				t.Errorf("all %d acknowledged events are there without the sync %s", len(acked), name)
			}
			t.Logf("without the sync %s %d of %d acknowledged events are missing", name, missing, len(acked))
		})
	}
}

// journalled lists the message ids in a journal.
func journalled(t *testing.T, dir string) []string {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	var ids []string
	for seq, last := j.Extent().First, j.Extent().Last; seq <= last; seq++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		f, err := j.Next(ctx, seq)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			ids = append(ids, f.Event(i).MessageID())
		}
		seq = f.Seq()
	}
	return ids
}
