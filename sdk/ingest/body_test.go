package ingest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// conn is a connection's deadlines.
type conn struct {
	http.ResponseWriter
	read []time.Time
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
	if _, p := new(Bodies).Read(c, r, 1<<20, NewBudget(1<<20).Share()); p != nil {
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
}
