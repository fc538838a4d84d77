package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// idLength is that of the message id in the reference event; ids of the same
// length take its place, so that a body need not be made anew.
const idLength = 59

// referenceEvent is the event of 840 bytes that every figure is about.
func referenceEvent() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join("host", "bench", "testdata", "event.json"))
	if err != nil {
		return nil, fmt.Errorf("reference event: %w (run it from the repository's folder)", err)
	}
	return bytes.TrimSpace(b), nil
}

// generator sends one body again and again, with new message ids each time.
type generator struct {
	url    string
	header http.Header
	body   []byte
	ids    []int // where in the body a message id begins
	client *http.Client

	next atomic.Uint64

	mu        sync.Mutex
	latencies []time.Duration
	events    uint64 // acknowledged since reset
	before    uint64 // and before
	failure   error
}

func newGenerator(url string, header http.Header, body []byte) *generator {
	g := &generator{url: url, header: header, body: body,
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}}
	mark := []byte(`"messageId":"`)
	for at := 0; ; {
		i := bytes.Index(body[at:], mark)
		if i < 0 {
			return g
		}
		at += i + len(mark)
		g.ids = append(g.ids, at)
	}
}

// run loads with this many connections until ctx ends.
func (g *generator) run(ctx context.Context, conns int) {
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			body := bytes.Clone(g.body)
			var mine []time.Duration
			for ctx.Err() == nil {
				began := time.Now()
				if err := g.send(body); err != nil {
					g.fail(err)
					break
				}
				mine = append(mine, time.Since(began))
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.latencies = append(g.latencies, mine...)
			g.events += uint64(len(mine) * len(g.ids))
		})
	}
	all.Wait()
}

func (g *generator) send(body []byte) error {
	for _, at := range g.ids {
		stamp(body[at:at+idLength], g.next.Add(1))
	}
	req, err := http.NewRequest(http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = g.header
	res, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || bytes.Contains(answer, []byte("refused")) {
		return fmt.Errorf("answered %d: %.200s", res.StatusCode, answer)
	}
	return nil
}

// stamp writes a number into the end of an id.
func stamp(id []byte, n uint64) {
	digits := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	for i := range 20 - len(digits) {
		id[len(id)-20+i] = '0'
	}
	copy(id[len(id)-len(digits):], digits)
}

func (g *generator) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		g.failure = err
	}
}

func (g *generator) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

func (g *generator) acked() uint64 { g.mu.Lock(); defer g.mu.Unlock(); return g.events }

func (g *generator) total() uint64 { g.mu.Lock(); defer g.mu.Unlock(); return g.events + g.before }

func (g *generator) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before += g.events
	g.events, g.latencies = 0, nil
}

func (g *generator) percentile(p float64) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.latencies) == 0 {
		return 0
	}
	slices.Sort(g.latencies)
	return g.latencies[min(len(g.latencies)-1, int(p*float64(len(g.latencies))))]
}
