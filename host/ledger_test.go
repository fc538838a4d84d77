package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const ledgerConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  web: {plugin: javascript, keys: [ledger-test-key], destinations: [archive, hook]}
destinations:
  archive: {type: file, path: events.jsonl, rotate: {bytes: 4MB, keep: 1000}}
  hook: {type: webhook, url: "http://$RECEIVER/", secret: ledger-test-secret}
`

// Every event that was acknowledged reaches both destinations, however host,
// plugin and receiver are killed: the file without a duplicate or a torn line,
// the webhook with at most the batch in flight of each kill twice.
func TestNothingAcknowledgedIsLostUnderKills(t *testing.T) {
	rounds := 10
	if os.Getenv("WELLHEAD_LONG") != "" {
		rounds = 200
	}
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	hook := startReceiver(t, filepath.Join(dir, "received"))
	s := newSite(t, strings.ReplaceAll(ledgerConfig, "$RECEIVER", hook.addr))
	h := s.start()
	client := newLoadClient(s.listen, "ledger-test-key", 20)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients errgroup.Group
	for i := range 4 {
		clients.Go(func() error { return client.run(ctx, fmt.Sprintf("c%d", i)) })
	}
	kills := 0
	for round := range rounds {
		wait(t, time.Duration(200+r.IntN(1300))*time.Millisecond)
		victim := []string{"host", "plugin", "receiver"}[r.IntN(3)]
		t.Logf("round %d: kill %s, %d acknowledged", round, victim, len(client.ids()))
		switch victim {
		case "host":
			h.kill()
			kills++
			h = s.start()
		case "plugin":
			killPlugins(t, h)
		case "receiver":
			hook.kill()
			kills++
			wait(t, time.Duration(r.IntN(500))*time.Millisecond)
			hook.start()
		}
	}
	cancel()
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	acked := client.ids()
	t.Logf("seed %d: %d events acknowledged through %d kills", seed, len(acked), rounds)
	if len(acked) < 20*rounds {
		t.Errorf("only %d events were acknowledged: the load did not run", len(acked))
	}
	eventually(t, "everything acknowledged in the file", func() bool { return len(s.archived()) >= len(acked) })
	eventually(t, "everything acknowledged at the webhook", func() bool { return len(hook.arrived()) >= len(acked) })
	h.stop()

	archived := s.archived()
	checkLedger(t, "file", acked, archived)
	for id, n := range archived {
		if n > 1 {
			t.Errorf("file: %s stands there %d times", id, n)
		}
	}
	received := hook.arrived()
	checkLedger(t, "webhook", acked, received)
	twice := 0
	for _, n := range received {
		twice += n - 1
	}
	const batch = 100 // the webhook's events in flight at most
	if twice > kills*batch {
		t.Errorf("webhook: %d events came again after %d kills, at most %d may", twice, kills, kills*batch)
	}
}

// archived counts the message ids in the events file and those rotated away.
// A line that is not whole JSON fails the test.
func (s *site) archived() map[string]int {
	s.t.Helper()
	names, err := filepath.Glob(s.path("events.jsonl*"))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]int{}
	for _, name := range names {
		for i, line := range s.lines(filepath.Base(name)) {
			var e struct {
				MessageID string `json:"messageId"`
			}
			if err := json.Unmarshal(line, &e); err != nil {
				s.t.Fatalf("%s:%d: %v: %.200s", name, i+1, err, line)
			}
			out[e.MessageID]++
		}
	}
	return out
}

// seedOf returns the seed of a random test: a new one, or $WELLHEAD_SEED.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("WELLHEAD_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("WELLHEAD_SEED: %v", err)
		}
	}
	t.Logf("seed %d: repeat with WELLHEAD_SEED=%d", seed, seed)
	return seed
}

// wait lets load run for a while.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// killPlugins kills the plugin processes of a host, if there are any now.
func killPlugins(t *testing.T, h *hostProcess) int {
	t.Helper()
	n := 0
	for _, pid := range children(t, h.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			n++
		} else if !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	return n
}

// children lists the processes whose parent is pid.
func children(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, name := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if state, parent := processStat(child); parent == pid && state != "Z" {
			out = append(out, child)
		}
	}
	return out
}

// stateOf returns the letter that stands for a process's state; "": there is no
// such process.
func stateOf(pid int) string {
	state, _ := processStat(pid)
	return state
}

func processStat(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0 // it has ended
	}
	// The name in parentheses may hold anything; what follows does not.
	rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(rest) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(rest[1])
	return rest[0], parent
}
