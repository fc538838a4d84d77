package forwarder_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/journeys/forwarder"
	"github.com/wellhead-io/wellhead/sdk"
)

// host stands in for Wellhead's: it has one source, app, whose key is
// "SITE:KEY", one that is not running, resting, whose key is "SITE:RESTING",
// and a verdict for each batch.
type host struct {
	config  forwarder.Config
	verdict func(ctx context.Context, b sdk.Batch) (sdk.Verdict, error)
	alone   bool // app is the only source
	logged  *bytes.Buffer

	mu      sync.Mutex
	batches []sdk.Batch
}

func newHost() *host {
	return &host{config: forwarder.DefaultConfig(), logged: new(bytes.Buffer)}
}

func (h *host) app() *forwarder.Source {
	return &forwarder.Source{Name: "app", Stream: h, Config: func() (forwarder.Config, error) { return h.config, nil }}
}

func (h *host) byKey(key string) (*forwarder.Source, error) {
	switch key {
	case "SITE:KEY":
		return h.app(), nil
	case "SITE:RESTING":
		return nil, sdk.ErrNotRunning
	}
	return nil, sdk.ErrUnknownKey
}

func (h *host) byName(name string) (*forwarder.Source, error) {
	switch name {
	case "app":
		return h.app(), nil
	case "resting":
		return nil, sdk.ErrNotRunning
	}
	return nil, sdk.ErrUnknownKey
}

func (h *host) only() (*forwarder.Source, error) {
	if h.alone {
		return h.app(), nil
	}
	return nil, sdk.ErrUnknownKey
}

func (h *host) Emit(ctx context.Context, b sdk.Batch) (sdk.Verdict, error) {
	h.mu.Lock()
	h.batches = append(h.batches, b)
	h.mu.Unlock()
	if h.verdict == nil {
		return sdk.Verdict{}, nil
	}
	return h.verdict(ctx, b)
}

func (h *host) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(h.logged, nil)).With("source", "app")
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

// attachments returns what was emitted beside the events, decoded.
func (h *host) attachments(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, b := range h.batches {
		for _, g := range b.Groups {
			var a struct {
				Method, Path string
				Body         []byte
			}
			if err := json.Unmarshal(g.Attachment, &a); err != nil {
				t.Fatal(err)
			}
			out = append(out, a.Method+" "+a.Path+" "+string(a.Body))
		}
	}
	return out
}

func newForwarder(h *host) http.Handler {
	return forwarder.New(forwarder.Options{
		ByKey: h.byKey, ByName: h.byName, Only: h.only,
		Log: slog.New(slog.NewTextHandler(h.logged, nil)),
	})
}

// call is one request; headers are written "Name: value".
type call struct {
	method, path string
	headers      []string
	body         string
}

func (c call) request() *http.Request {
	if c.method == "" {
		c.method = http.MethodPost
	}
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
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

func credentials(key string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key))
}

var basic = []string{credentials("SITE:KEY")}

// demand holds an event to what the common spec demands of it, as the host's
// schemas have it.
func demand(t *testing.T, event string) {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	filled := func(name string) bool { s, ok := e[name].(string); return ok && s != "" }
	object := func(name string) bool { _, ok := e[name].(map[string]any); return ok || e[name] == nil }
	typ, _ := e["type"].(string)
	named := filled("userId") || filled("anonymousId") || typ == "group" && filled("groupId")
	whole := map[string]bool{
		"identify": true, "page": true, "screen": true,
		"track": filled("event"),
		"group": filled("groupId"),
		"alias": filled("previousId") && filled("userId"),
	}
	_, timed := e["timestamp"].(string)
	id, _ := e["messageId"].(string)
	if !named || !whole[typ] || !timed && e["timestamp"] != nil || len(id) > 100 || !object("properties") || !object("traits") || !object("context") {
		t.Errorf("the host would refuse %s", event)
	}
}
