package sdk

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// crowded serves with room for two connections.
func crowded(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(l, 2)
	srv := &http.Server{Handler: handler, ConnState: c.track, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(c) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for c.open > 0 { // the server tells of each when it has noticed
			c.changed.Wait()
		}
		if len(c.at) > 0 || len(c.evicted) > 0 {
			t.Errorf("%d idle and %d evicted connections are remembered", len(c.at), len(c.evicted))
		}
	})
	return l.Addr().String()
}

type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return client{conn, bufio.NewReader(conn)}
}

func (c client) get() error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	addr := crowded(t, func(http.ResponseWriter, *http.Request) {})
	first, second := dial(t, addr), dial(t, addr)
	for _, c := range []client{first, second} {
		if err := c.get(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if err := dial(t, addr).get(); err != nil {
			t.Fatalf("beside two idle connections: %v", err)
		}
	}
	if _, err := first.in.ReadByte(); err != io.EOF {
		t.Errorf("the longest idle connection is not closed: %v", err)
	}
}

func TestConnectionsWithARequestAreNotClosedForOthers(t *testing.T) {
	entered, answer := make(chan struct{}), make(chan struct{})
	addr := crowded(t, func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	})
	got := make(chan error, 3)
	for range 2 {
		c := dial(t, addr)
		go func() { got <- c.get() }()
		<-entered
	}
	third := dial(t, addr) // in the backlog
	go func() { got <- third.get() }()
	select {
	case <-entered:
		t.Fatal("the third was served beyond the bound")
	case <-time.After(100 * time.Millisecond):
	}
	answer <- struct{}{}
	<-entered // one of the two has become idle and made room
	answer <- struct{}{}
	answer <- struct{}{}
	for range 3 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}
