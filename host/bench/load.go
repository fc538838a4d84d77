package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a subject is loaded with.
type load struct {
	conns int
	batch int // events in a request
	// rate is of requests a second, sent when they are due whether or not others
	// were answered: how long one that is due waits counts, too. 0: each
	// connection sends its next request when the last one is answered.
	rate float64
	took time.Duration
}

// generator sends requests over its own connections, with a new message id for
// each event. It shares the machine with what it loads, so it does little: a
// request is one buffer, in which only the ids change.
type generator struct {
	target target
	body   func(conn int) []byte

	next atomic.Uint64 // message id
	turn atomic.Uint64 // request of an open loop

	mu        sync.Mutex
	latencies []time.Duration
	events    uint64 // acknowledged since reset
	before    uint64 // and before
	failure   error
}

// target is where requests go.
type target struct {
	url string
	// headers take turns with the requests of a connection.
	headers []http.Header
}

// run loads until the load's time is over or ctx ends. Every request that was
// sent is answered when it returns.
func (g *generator) run(ctx context.Context, l load) {
	ctx, cancel := context.WithTimeout(ctx, l.took)
	defer cancel()
	began := time.Now()
	g.turn.Store(0)
	var all sync.WaitGroup
	for i := range l.conns {
		all.Go(func() {
			c, err := dial(g.target, g.body(i))
			if err != nil {
				g.add(nil, 0, err)
				return
			}
			defer c.close()
			var mine []time.Duration
			for err == nil && ctx.Err() == nil {
				sent := time.Now()
				if l.rate > 0 {
					sent = began.Add(time.Duration(float64(g.turn.Add(1)) / l.rate * float64(time.Second)))
					if !sleep(ctx, time.Until(sent)) {
						break
					}
				}
				if err = c.post(&g.next); err == nil {
					mine = append(mine, time.Since(sent))
				}
			}
			g.add(mine, len(c.ids), err)
		})
	}
	all.Wait()
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *generator) add(latencies []time.Duration, batch int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latencies = append(g.latencies, latencies...)
	g.events += uint64(len(latencies) * batch)
	if g.failure == nil {
		g.failure = err
	}
}

// acked is how many events were acknowledged since the last reset, and in all.
func (g *generator) acked() (since, all uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events, g.before + g.events, g.failure
}

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
	return g.latencies[min(len(g.latencies)-1, int(math.Ceil(p*float64(len(g.latencies))))-1)]
}

// connection is one of a generator's.
type connection struct {
	conn  net.Conn
	in    *bufio.Reader
	heads [][]byte
	body  []byte
	ids   []int // where in the body a message id begins
	sent  int
}

func dial(t target, body []byte) (*connection, error) {
	u, err := url.Parse(t.url)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", u.Host, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &connection{conn: conn, in: bufio.NewReaderSize(conn, 4<<10), body: body, ids: idsIn(body), sent: rand.IntN(len(t.headers))}
	for _, h := range t.headers {
		var head bytes.Buffer
		fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
		if err := h.Write(&head); err != nil {
			return nil, err
		}
		head.WriteString("\r\n")
		c.heads = append(c.heads, head.Bytes())
	}
	return c, nil
}

func (c *connection) close() { c.conn.Close() }

// post sends the body with new ids and waits for the answer, which must be that
// all of it is good.
func (c *connection) post(next *atomic.Uint64) error {
	for _, at := range c.ids {
		stamp(c.body[at:at+idLength], next.Add(1))
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	request := net.Buffers{c.heads[c.sent%len(c.heads)], c.body}
	c.sent++
	if _, err := request.WriteTo(c.conn); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
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

// idLength is that of the message id in the reference event; ids of the same
// length take its place, so that a body need not be made anew.
const idLength = 59

func idsIn(body []byte) (at []int) {
	mark := []byte(`"messageId":"`)
	for from := 0; ; {
		i := bytes.Index(body[from:], mark)
		if i < 0 {
			return at
		}
		from += i + len(mark)
		at = append(at, from)
	}
}

// stamp writes a number into the end of an id.
func stamp(id []byte, n uint64) {
	end := id[len(id)-20:]
	copy(end, "00000000000000000000")
	digits := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	copy(end[20-len(digits):], digits)
}
