package ingest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// conn is a connection's deadlines.
type conn struct {
	http.ResponseWriter
	read  []time.Time
	write time.Time
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write = t
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read = append(c.read, t)
	return nil
}

func TestABodyKeepsNoMoreThanTwiceWhatHasArrived(t *testing.T) {
	const size = 300 << 10
	budget := NewBudget(1 << 20)
	held := budget.Share()
	arrived := 0
	src := readerFunc(func(b []byte) (int, error) {
		if most := max(2*arrived, firstRead) + 1; held.held > int64(most) {
			t.Fatalf("%d bytes are charged when %d have arrived", held.held, arrived)
		}
		n := min(len(b), 1000, size-arrived)
		arrived += n
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	})
	got, p := readAll(src, 500<<10, size, held)
	if p != nil || len(got) != size {
		t.Fatalf("%d bytes, %v", len(got), p)
	}
	held.Release()
	if left := budget.left.Load(); left != 1<<20 {
		t.Errorf("%d of %d bytes are left of the budget", left, 1<<20)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestABodysDeadlineMovesWithWhatArrives(t *testing.T) {
	c := &conn{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(
		strings.NewReader(strings.Repeat("x", 10)), bytes.NewReader(make([]byte, 20*paceBytes))))
	before := time.Now()
	if _, p := new(Bodies).Read(t.Context(), c, r, 1<<20, NewBudget(1<<20).Share()); p != nil {
		t.Fatal(p)
	}
	first, last, after := c.read[0], c.read[len(c.read)-2], c.read[len(c.read)-1]
	if first.Before(before.Add(grace)) || first.After(time.Now().Add(grace)) {
		t.Errorf("the first deadline is after %s", first.Sub(before))
	}
	if got := last.Sub(first); got != 20*time.Second {
		t.Errorf("20 times %d bytes move the deadline by %s", paceBytes, got)
	}
	if !after.IsZero() {
		t.Errorf("the deadline stays: %v", after)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c.read = nil
	r = httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, 20*paceBytes)))
	if _, p := new(Bodies).Read(soon, c, r, 1<<20, NewBudget(1<<20).Share()); p != nil {
		t.Fatal(p)
	}
	for _, d := range c.read {
		if d.After(time.Now().Add(time.Second)) {
			t.Errorf("a deadline is %s beyond the caller's", time.Until(d)-time.Second)
		}
	}
}

func TestAnAnswerHasToBeRead(t *testing.T) {
	w := httptest.NewRecorder()
	c := &conn{ResponseWriter: w}
	WriteJSON(c, http.StatusOK, struct{}{})
	if left := time.Until(c.write); left <= 0 || left > answerTime || w.Body.String() != "{}" {
		t.Errorf("%q may be read for %s", w.Body, left)
	}
}

func TestAStalledBodyIsAnswered(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		_, p := new(Bodies).Read(ctx, w, r, 1<<20, NewBudget(1<<20).Share())
		if p == nil {
			t.Error("it is whole")
			return
		}
		WriteJSON(w, p.Status, struct{}{})
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("%v, answer %q", err, answer)
	}
}

func TestABodysMemoryIsUsedAgainOnceItIsReleased(t *testing.T) {
	read := func(body string) ([]byte, *Share) {
		held := NewBudget(1 << 20).Share()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		b, p := new(Bodies).Read(t.Context(), httptest.NewRecorder(), r, 1<<20, held)
		if p != nil {
			t.Fatal(p)
		}
		return b, held
	}
	one, two := strings.Repeat("1", 9000), strings.Repeat("2", 9000)
	again := false
	for range 100 { // the pool may drop any of them
		first, held := read(one)
		second, other := read(two)
		if string(first) != one || string(second) != two {
			t.Fatal("two bodies share their memory")
		}
		held.Release()
		other.Release()
		third, held := read(one)
		again = again || &third[0] == &first[0] || &third[0] == &second[0]
		held.Release()
		held.Release()
	}
	if !again {
		t.Error("no memory was used again")
	}
}
