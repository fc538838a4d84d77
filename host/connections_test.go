package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// call is one attempt of a client, on a connection of its own.
type call struct {
	began, ended time.Time
	status       int // 0: no answer
	err          error
}

// A collector that is killed again and again refuses no connection: they wait in
// the socket's backlog for the next process. Only what was already accepted is
// reset, and a client that tries again is answered and delivered once.
func TestKillsUnderNewConnectionsRefuseNone(t *testing.T) {
	kills, sources := 25, 50
	if os.Getenv("WELLHEAD_LONG") != "" {
		kills = 100
	}
	s := newSite(t, manySources(sources))
	h := s.start()
	c := newCallers(s.listen, sources)
	// The first request waits until the collector serves, as all later ones may.
	c.arrive(t.Context(), 0)
	c.calls = nil

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var arrivals sync.WaitGroup
	arrivals.Go(func() { c.run(ctx, 200) })
	var killed []span
	serving := collectorGeneration(t, s.listen, 0)
	for range kills {
		// Healthy for so long, the next launch is at once: no kill can come
		// sooner and find the back-off at its start.
		wait(t, healthyAfter+100*time.Millisecond)
		before := time.Now()
		if killPlugins(t, h) != 1 {
			t.Error("there was no collector to kill")
		}
		killed = append(killed, span{before, time.Now()})
		serving = collectorGeneration(t, s.listen, serving)
	}
	cancel()
	arrivals.Wait()
	c.callers.Wait()

	c.check(t, killed)
	eventually(t, "every acknowledged event in the file", func() bool { return len(s.archived()) >= len(c.acked) })
	h.stop()
	archived := s.archived()
	checkLedger(t, "file", c.acked, archived)
	for id, n := range archived {
		if n > 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
}

// healthyAfter is the host's: a plugin that ran for so long is launched again at
// once.
const healthyAfter = 5 * time.Second

// collectorGeneration waits until a process younger than the given one serves.
func collectorGeneration(t *testing.T, addr string, after uint64) uint64 {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var probe struct{ Generation uint64 }
	eventually(t, "the next collector serves", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/.well-known/wellhead", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return json.NewDecoder(res.Body).Decode(&probe) == nil && probe.Generation > after
	})
	return probe.Generation
}

func manySources(n int) string {
	var b strings.Builder
	b.WriteString(`
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
destinations:
  archive: {type: file, path: events.jsonl}
sources:
`)
	for i := range n {
		fmt.Fprintf(&b, "  s%d: {plugin: javascript, keys: [key-of-source-%d], destinations: [archive]}\n", i, i)
	}
	return b.String()
}

// callers make one-event requests, each on a new connection.
type callers struct {
	addr    string
	sources int
	callers sync.WaitGroup

	mu    sync.Mutex
	calls []call
	acked map[string]bool
	lost  []string
}

func newCallers(addr string, sources int) *callers {
	return &callers{addr: addr, sources: sources, acked: map[string]bool{}}
}

// run lets callers arrive at a rate per second until ctx ends.
func (c *callers) run(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
			c.callers.Go(func() { c.arrive(context.WithoutCancel(ctx), n) })
		case <-ctx.Done():
			return
		}
	}
}

// arrive sends one event until it is acknowledged.
func (c *callers) arrive(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id := fmt.Sprintf("call-%d", n)
	lc := newLoadClient(c.addr, fmt.Sprintf("key-of-source-%d", n%c.sources), 1)
	lc.http.Transport = &http.Transport{DisableKeepAlives: true}
	for ctx.Err() == nil {
		a := call{began: time.Now()}
		var retry time.Duration
		a.status, retry, a.err = lc.send(ctx, []string{id})
		a.ended = time.Now()
		c.mu.Lock()
		c.calls = append(c.calls, a)
		if a.status == http.StatusOK {
			c.acked[id] = true
		}
		c.mu.Unlock()
		if a.status == http.StatusOK {
			return
		}
		time.Sleep(retry) // a client's wait, not a test's
	}
	c.mu.Lock()
	c.lost = append(c.lost, id)
	c.mu.Unlock()
}

func (c *callers) check(t *testing.T, killed []span) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	resets := 0
	statuses := map[int]int{}
	var took []time.Duration
	for _, a := range c.calls {
		if a.status != 0 {
			statuses[a.status]++
			took = append(took, a.ended.Sub(a.began))
			continue
		}
		resets++
		if strings.Contains(a.err.Error(), "dial ") {
			t.Errorf("a connection was not made: %v", a.err)
		} else if !killedBetween(killed, a.began, a.ended) {
			t.Errorf("a connection that no kill met ended: %v", a.err)
		}
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d calls through %d kills: statuses %v, %d resets, connect to answer p50 %s, p99 %s, max %s",
		len(c.calls), len(killed), statuses, resets, took[len(took)/2], p99, took[len(took)-1])
	for status, n := range statuses {
		if status != http.StatusOK && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			t.Errorf("%d calls were answered %d", n, status)
		}
	}
	if p99 >= time.Second {
		t.Errorf("connect to answer: p99 is %s, want under a second", p99)
	}
	for _, id := range c.lost {
		t.Errorf("%s was never acknowledged", id)
	}
}

// span is the time in which something happened.
type span struct{ from, to time.Time }

func killedBetween(killed []span, began, ended time.Time) bool {
	return slices.ContainsFunc(killed, func(k span) bool { return !k.to.Before(began) && !k.from.After(ended) })
}
