package collector_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
	"github.com/wellhead-io/wellhead/sdk"
)

// host stands in for Wellhead's: it has one source, whose key is "KEY", one
// that is not running, whose key is "RESTING", and a verdict for each batch.
type host struct {
	limits  sdk.Limits
	verdict func(ctx context.Context, b sdk.Batch) (sdk.Verdict, error)
	logged  *bytes.Buffer

	mu      sync.Mutex
	batches []sdk.Batch
}

func newHost() *host {
	return &host{
		limits: sdk.Limits{EventBytes: 1 << 20, BatchBytes: 4 << 20, BatchEvents: 10_000, Window: 64},
		logged: new(bytes.Buffer),
	}
}

func (h *host) find(key string) (collector.Stream, error) {
	switch key {
	case "KEY":
		return h, nil
	case "RESTING":
		return nil, sdk.ErrNotRunning
	default:
		return nil, sdk.ErrUnknownKey
	}
}

func (h *host) Emit(ctx context.Context, b sdk.Batch) (sdk.Verdict, error) {
	kept := sdk.Batch{Violations: b.Violations}
	for _, e := range b.Events {
		kept.Events = append(kept.Events, bytes.Clone(e))
	}
	h.mu.Lock()
	h.batches = append(h.batches, kept)
	h.mu.Unlock()
	if h.verdict == nil {
		return sdk.Verdict{Violations: b.Violations}, nil
	}
	return h.verdict(ctx, b)
}

func (h *host) Limits() sdk.Limits { return h.limits }

func (h *host) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(h.logged, nil)).With("source", "website")
}

// events returns what was emitted, over all batches.
func (h *host) events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, b := range h.batches {
		for _, e := range b.Events {
			out = append(out, string(e))
		}
	}
	return out
}

func newCollector(t testing.TB, h *host, change ...func(*collector.Options)) http.Handler {
	t.Helper()
	o := collector.Options{
		Find:    h.find,
		Config:  collector.DefaultConfig(),
		Scripts: fstest.MapFS{},
		Log:     slog.New(slog.NewTextHandler(h.logged, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	c, err := collector.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// call is one request; headers are written "Name: value".
type call struct {
	method, path string
	headers      []string
	body         string
	from         string
}

func (c call) request() *http.Request {
	if c.method == "" {
		c.method = http.MethodPost
	}
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	if c.from != "" {
		r.RemoteAddr = c.from
	}
	for _, header := range c.headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func (c call) do(h http.Handler) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	return w.Result()
}

func text(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// basic is the Authorization of the key "KEY".
const basic = "Authorization: Basic S0VZOg=="
