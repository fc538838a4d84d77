package sdk

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// crowd is a listener with a bound on open connections. At the bound, the one
// that has waited for longest for its next request makes room, and where none
// waits, the next stays in the socket's backlog: idle connections keep nobody out,
// and none is refused. One that has not sent its first request has headerTimeout.
type crowd struct {
	net.Listener
	most int

	mu      sync.Mutex
	changed sync.Cond
	closed  bool
	open    int
	idle    list.List // of net.Conn, the longest idle first
	at      map[net.Conn]*list.Element
	evicted map[net.Conn]bool // closed, but the server has not noticed yet
}

func newCrowd(l net.Listener, most int) *crowd {
	c := &crowd{Listener: l, most: most, at: map[net.Conn]*list.Element{}, evicted: map[net.Conn]bool{}}
	c.changed.L = &c.mu
	return c
}

// Accept waits for room first, so that a connection for which there is none is
// left to whoever serves the socket next.
func (c *crowd) Accept() (net.Conn, error) {
	if !c.enter() {
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.open++
		c.mu.Unlock()
	}
	return conn, err
}

// enter waits for room, and makes some; false: the listener is closed.
func (c *crowd) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.most && !c.closed {
		longest := c.idle.Front()
		if longest == nil || c.open-len(c.evicted) < c.most {
			c.changed.Wait()
			continue
		}
		conn := longest.Value.(net.Conn)
		c.forget(conn)
		c.evicted[conn] = true
		c.mu.Unlock()
		_ = conn.Close() // TLS says good-bye first, which may take its time
		c.mu.Lock()
	}
	return !c.closed
}

// Close ends Accept. The connections stay.
func (c *crowd) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Signal()
	c.mu.Unlock()
	return c.Listener.Close()
}

// track is the server's ConnState.
func (c *crowd) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateIdle:
		c.at[conn] = c.idle.PushBack(conn)
	case http.StateActive:
		c.forget(conn)
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
		delete(c.evicted, conn)
		c.open--
	}
	c.changed.Signal()
}

func (c *crowd) forget(conn net.Conn) {
	if e := c.at[conn]; e != nil {
		c.idle.Remove(e)
		delete(c.at, conn)
	}
}
