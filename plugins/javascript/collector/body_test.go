package collector_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/wellhead-io/wellhead/sdk"
)

type readSpy struct {
	io.ReadCloser
	called bool
}

func (r *readSpy) Read(b []byte) (int, error) {
	r.called = true
	return r.ReadCloser.Read(b)
}

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// sized returns a track event of exactly this many bytes.
func sized(bytes int) string {
	const frame = `{"type":"track","userId":"u","event":"E","p":""}`
	return frame[:len(frame)-2] + strings.Repeat("x", bytes-len(frame)) + frame[len(frame)-2:]
}

func TestBodyEncodingsAndLimits(t *testing.T) {
	const kib = 1 << 10
	whole := zip(`{"batch":[{"type":"page"}]}`)
	batchOf := func(bytes int) string { return `{"batch":[` + strings.Repeat(" ", bytes-len(`{"batch":[]}`)) + `]}` }
	for _, c := range []struct {
		name     string
		path     string
		encoding string
		body     string
		status   int
		code     string
		events   int
	}{
		{"gzip", "/v1/b", "gzip", whole, 200, "", 1},
		{"gzip in capitals", "/v1/b", "GZIP", whole, 200, "", 1},
		{"x-gzip", "/v1/b", "x-gzip", whole, 200, "", 1},
		{"identity", "/v1/t", "identity", `{}`, 200, "", 1},
		{"truncated gzip", "/v1/b", "gzip", whole[:len(whole)-6], 400, "bad_body", 0},
		{"gzip without its header", "/v1/b", "gzip", `{"batch":[]}`, 400, "bad_gzip", 0},
		{"gzip that is not", "/v1/b", "gzip", `{"batch":[{"type":"page"}]}`, 400, "bad_gzip", 0},
		{"gzip with a wrong checksum", "/v1/b", "gzip", whole[:len(whole)-8] + "01234567", 400, "bad_gzip", 0},
		{"gzip of nothing", "/v1/b", "gzip", zip(""), 400, "not_json", 0},
		{"gzip bomb", "/v1/b", "gzip", zip(strings.Repeat(" ", 4<<20)), 413, "too_large", 0},
		{"gzip of nothing, again and again", "/v1/b", "gzip", strings.Repeat(zip(""), 30_000), 413, "too_large", 0},
		{"gzip of a whole request", "/v1/b", "gzip", zip(batchOf(500 * kib)), 200, "", 0},
		{"gzip of a byte more", "/v1/b", "gzip", zip(batchOf(500*kib + 1)), 413, "too_large", 0},
		{"an encoding that nobody sends", "/v1/b", "br", "x", 415, "content_encoding", 0},

		{"empty", "/v1/track", "", "", 400, "not_json", 0},
		{"empty batch body", "/v1/batch", "", "", 400, "not_json", 0},
		{"not JSON", "/v1/track", "", "event=E", 400, "not_json", 0},
		{"cut short", "/v1/track", "", `{"event":`, 400, "not_json", 0},
		{"not a batch", "/v1/batch", "", `{"event":"E"}`, 400, "not_batch", 0},

		{"an event at its limit", "/v1/track", "", sized(32 * kib), 200, "", 1},
		{"an event over its limit", "/v1/track", "", sized(32*kib + 1), 413, "too_large", 0},
		{"a batch at its limit", "/v1/batch", "", batchOf(500 * kib), 200, "", 0},
		{"a batch over its limit", "/v1/batch", "", batchOf(500*kib + 1), 413, "too_large", 0},
		{"a batch of too many events", "/v1/batch", "", `{"batch":[` + strings.Repeat("1,", 10_000) + `1]}`, 413, "too_many_events", 0},
		{"a context that would be copied without end", "/v1/batch", "", `{"context":{"a":"` + strings.Repeat("x", 200*kib) + `"},"batch":[` + strings.Repeat("{},", 99) + `{}]}`, 413, "too_large", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			headers := []string{basic}
			if c.encoding != "" {
				headers = append(headers, "Content-Encoding: "+c.encoding)
			}
			got := call{path: c.path, headers: headers, body: c.body}.do(newCollector(t, h))
			answer := text(t, got)
			if got.StatusCode != c.status || !strings.Contains(answer, c.code) || len(h.events()) != c.events {
				t.Fatalf("answer %d %s, %d events; want %d %s, %d events", got.StatusCode, answer, len(h.events()), c.status, c.code, c.events)
			}
		})
	}
}

func TestGzipBombTakesNoMemory(t *testing.T) {
	bomb := zip(strings.Repeat(" ", 8<<20))
	c := newCollector(t, newHost())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := call{path: "/v1/b", headers: []string{basic, "Content-Encoding: gzip"}, body: bomb}.do(c)
	runtime.ReadMemStats(&after)
	if got.StatusCode != 413 {
		t.Fatalf("answer %d", got.StatusCode)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
		t.Fatalf("a bomb of %d bytes took %d bytes of memory", len(bomb), took)
	}
}

func TestOversizeEventOfBatchIsRefusedAlone(t *testing.T) {
	h := newHost()
	big := sized(32<<10 + 1)
	got := call{path: "/v1/batch", headers: []string{basic}, body: `{"sentAt":"S","batch":[{"type":"page"},` + `{"writeKey":"KEY",` + big[1:] + `,{"type":"page"}]}`}.do(newCollector(t, h))
	want := `{"refused":[{"index":1,"messageId":"","code":"too_large","path":"","message":"the event has 32786 bytes, and 32768 are taken","action":"quarantine"}]}`
	if answer := text(t, got); got.StatusCode != 200 || answer != want {
		t.Fatalf("answer %d %s", got.StatusCode, answer)
	}
	if e := h.events(); len(e) != 3 || e[1] != big || !strings.Contains(e[0], "sentAt") {
		t.Fatal("the oversize event is not emitted as it was sent, without its key")
	}
}

func TestRequestIsEmittedInPartsWithinLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  sdk.Limits
		events  int
		size    int
		shared  int // bytes of the context that each event gets
		batches int
	}{
		{"by events", sdk.Limits{EventBytes: 1 << 20, BatchBytes: 4 << 20, BatchEvents: 4}, 10, 100, 0, 3},
		{"by bytes", sdk.Limits{EventBytes: 1 << 20, BatchBytes: 2000, BatchEvents: 100}, 10, 100, 400, 4},
		{"without limits", sdk.Limits{}, 2000, 100, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.limits = c.limits
			h.verdict = func(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
				last := len(b.Events) - 1
				return sdk.Verdict{Violations: []sdk.Violation{{Index: last, Code: "a"}, {Index: last, Code: "b"}}}, nil
			}
			event := sized(c.size)
			got := call{path: "/v1/batch", headers: []string{basic}, body: `{"context":{"x":"` + strings.Repeat("x", c.shared) + `"},"batch":[` +
				strings.Repeat(event+",", c.events-1) + event + `]}`}.do(newCollector(t, h))
			if len(h.batches) != c.batches || len(h.events()) != c.events {
				t.Fatalf("%d batches of %d events", len(h.batches), len(h.events()))
			}
			if n := got.Header.Get("Wellhead-Refused"); n != fmt.Sprint(c.batches) {
				t.Fatalf("%s refused", n)
			}
			if last := fmt.Sprintf(`"index":%d,`, c.events-1); !strings.Contains(text(t, got), last) {
				t.Fatal("the index of the last event does not count from the first part")
			}
		})
	}
}

func TestHostWithSmallerEventLimitAnswersSingleEventWith413(t *testing.T) {
	h := newHost()
	h.limits.EventBytes = 1000
	c := newCollector(t, h)
	if got := (call{path: "/v1/track", headers: []string{basic}, body: sized(1001)}).do(c); got.StatusCode != 413 {
		t.Fatalf("answer %d", got.StatusCode)
	}
	if got := (call{path: "/v1/track", headers: []string{basic}, body: sized(1000)}).do(c); got.StatusCode != 200 {
		t.Fatalf("answer %d", got.StatusCode)
	}
}

func TestHostWithSmallerRequestLimitAnswersBatchWith413(t *testing.T) {
	h := newHost()
	h.limits.BatchBytes = 1000
	c := newCollector(t, h)
	batch := func(bytes int) call {
		return call{path: "/v1/batch", headers: []string{basic}, body: `{"batch":[` + sized(bytes-len(`{"batch":[]}`)) + `]}`}
	}
	if got := batch(1001).do(c); got.StatusCode != 413 || !strings.Contains(text(t, got), "limits.request") {
		t.Fatalf("answer %d", got.StatusCode)
	}
	if got := batch(1000).do(c); got.StatusCode != 200 {
		t.Fatalf("answer %d", got.StatusCode)
	}
}

func TestRequestsInHandHaveAMemoryBudget(t *testing.T) {
	const holders = 6 // of 10,000 events and about 10 MiB each
	h := newHost()
	emitting, verdict := make(chan struct{}, holders+2), make(chan struct{})
	h.verdict = func(ctx context.Context, _ sdk.Batch) (sdk.Verdict, error) {
		emitting <- struct{}{}
		select {
		case <-verdict:
			return sdk.Verdict{}, nil
		case <-ctx.Done():
			return sdk.Verdict{}, ctx.Err()
		}
	}
	c := newCollector(t, h)
	request := call{path: "/v1/batch", headers: []string{basic}, body: `{"batch":[` + strings.Repeat("1,", 9999) + `1]}`}
	statuses := make(chan int)
	var running sync.WaitGroup
	defer running.Wait()
	send := func() { running.Go(func() { statuses <- request.do(c).StatusCode }) }
	for range holders {
		send()
		<-emitting
	}
	got := request.do(c)
	if answer := text(t, got); got.StatusCode != 503 || !strings.Contains(answer, "busy") || got.Header.Get("Retry-After") != "1" {
		t.Errorf("answer %d %s", got.StatusCode, answer)
	}
	close(verdict)
	for range holders {
		if status := <-statuses; status != 200 {
			t.Errorf("a request that held memory: %d", status)
		}
	}
	if status := request.do(c).StatusCode; status != 200 {
		t.Errorf("a request after them: %d", status)
	}
}

func TestBodyOnTheWire(t *testing.T) {
	h := newHost()
	srv := httptest.NewServer(newCollector(t, h))
	defer srv.Close()

	t.Run("chunked, without a length", func(t *testing.T) {
		r, err := http.NewRequest(http.MethodPost, srv.URL+"/v1/b", io.MultiReader(strings.NewReader(zip(`{"writeKey":"KEY",`+strings.Repeat(" ", 100<<10)+`"batch":[{}]}`))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Encoding", "gzip")
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if r.ContentLength != 0 || got.StatusCode != 200 {
			t.Fatalf("length %d, answer %d", r.ContentLength, got.StatusCode)
		}
	})
	t.Run("shorter than its Content-Length", func(t *testing.T) {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/t HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 100\r\n\r\n{}", basic)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if got.StatusCode != 400 || !strings.Contains(text(t, got), "bad_body") {
			t.Fatalf("answer %d", got.StatusCode)
		}
	})
	t.Run("with more than is taken, is told so", func(t *testing.T) {
		got, err := http.Post(srv.URL+"/v1/b", "", strings.NewReader(strings.Repeat("x", 600<<10)))
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if got.StatusCode != 413 {
			t.Fatalf("answer %d", got.StatusCode)
		}
	})
}

// The memory of a body is used again for another request, but not before its own is
// answered.
func TestEventsKeepTheirBytesUntilTheAnswer(t *testing.T) {
	const clients, requests = 8, 40
	h := newHost()
	h.verdict = func(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
		before := make([]string, len(b.Events))
		for i, e := range b.Events {
			before[i] = string(e)
		}
		for range 20 {
			runtime.Gosched() // others read their bodies meanwhile
		}
		for i, e := range b.Events {
			if string(e) != before[i] {
				t.Errorf("event %q is now %q", before[i], e)
			}
		}
		return sdk.Verdict{}, nil
	}
	c := newCollector(t, h)
	var all sync.WaitGroup
	want := map[string]int{}
	for client := range clients {
		for request := range requests {
			want[event(client, request, "a")] = 1
			want[event(client, request, "b")] = 1
		}
		all.Go(func() {
			for request := range requests {
				body := `{"batch":[` + event(client, request, "a") + "," + event(client, request, "b") + `]}`
				if res := (call{path: "/v1/batch", headers: []string{basic}, body: body}).do(c); res.StatusCode != http.StatusOK {
					t.Errorf("answered %d", res.StatusCode)
				}
			}
		})
	}
	all.Wait()
	for _, e := range h.events() {
		want[e]--
	}
	for e, n := range want {
		if n != 0 {
			t.Fatalf("%q came %d times", e, 1-n)
		}
	}
}

// event is one of a size that is its client's and request's own.
func event(client, request int, id string) string {
	return fmt.Sprintf(`{"type":"track","userId":"%s-%d-%d","event":"E","properties":{"x":"%s"}}`,
		id, client, request, strings.Repeat("x", 100*client+10*request))
}
