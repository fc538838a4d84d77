package collector_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
	"github.com/wellhead-io/wellhead/sdk"
)

// The vendors' own clients, run against the collector. Nothing here imitates
// one.

const clients = "../testdata/clients"

// report is what the scripts in testdata/clients print.
type report struct {
	Browser string
	Sent    []struct {
		Type      string
		MessageID string
		Status    int
	}
	Failed  []struct{ Type, MessageID, Error string }
	Missing []string
	Errors  []string
}

// run runs one of the scripts with the collector's URL and key.
func run(t *testing.T, script, client, url string, more ...string) report {
	t.Helper()
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		t.Fatal("the clients are not installed: npm ci --ignore-scripts --prefix plugins/javascript/testdata/clients")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{script, client, url, "KEY"}, more...)...)
	cmd.Dir = clients
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Errorf("%s %s: %v\n%s", script, client, err, exit.Stderr)
	} else if err != nil {
		t.Fatalf("%s needs node: %v", script, err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%s printed %q: %v", script, out, err)
	}
	if len(r.Failed)+len(r.Missing)+len(r.Errors) > 0 {
		t.Errorf("%s %s: failed %v, missing %v, errors %v", script, client, r.Failed, r.Missing, r.Errors)
	}
	return r
}

// served is what an event in a batch says of itself.
type served struct {
	Type      string
	MessageID string
	WriteKey  *string
	Context   struct {
		IP      string
		Library struct{ Name, Version string }
	}
}

func servedBy(t *testing.T, h *host) map[string]served {
	t.Helper()
	out := map[string]served{}
	for _, e := range h.events() {
		var s served
		if err := json.Unmarshal([]byte(e), &s); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		if s.WriteKey != nil {
			t.Errorf("the write key is still in %s", e)
		}
		out[s.MessageID] = s
	}
	return out
}

// failFirst makes the host store nothing of the first batches.
func failFirst(h *host, batches int, reason sdk.Reason) {
	var mu sync.Mutex
	h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		if batches > 0 {
			batches--
			return sdk.Verdict{}, &sdk.NotStored{Reason: reason, RetryAfter: time.Second}
		}
		return sdk.Verdict{}, nil
	}
}

func TestServerClients(t *testing.T) {
	for _, c := range []struct {
		client, library string
		first           sdk.Reason // why the first batch is not stored; empty: it is
	}{
		{"analytics-node", "@segment/analytics-node", ""},
		{"analytics-node", "@segment/analytics-node", sdk.DiskFull},
		{"analytics-node", "@segment/analytics-node", sdk.RateLimited},
		{"cdp-analytics-node", "@customerio/cdp-analytics-node", ""},
		{"cdp-analytics-node", "@customerio/cdp-analytics-node", sdk.DiskFull},
		{"cdp-analytics-node", "@customerio/cdp-analytics-node", sdk.RateLimited},
		{"customerio-node", "customerio-node", ""},
		{"customerio-node", "customerio-node", sdk.DiskFull},
		{"customerio-node", "customerio-node", sdk.RateLimited},
		{"customerio-node-strict", "customerio-node", ""},
	} {
		t.Run(c.client+" "+string(c.first), func(t *testing.T) {
			t.Parallel()
			h := newHost()
			if c.first != "" {
				failFirst(h, 1, c.first)
			}
			srv := httptest.NewServer(newCollector(t, h))
			defer srv.Close()
			r := run(t, "server-clients.mjs", c.client, srv.URL, "3")
			got := servedBy(t, h)
			if len(r.Sent) < 18 || len(got) != len(r.Sent) {
				t.Fatalf("%d events sent, %d came", len(r.Sent), len(got))
			}
			for _, s := range r.Sent {
				e := got[s.MessageID]
				if e.Type != s.Type || e.Context.Library.Name != c.library || e.Context.IP != "" {
					t.Errorf("sent %+v, came %+v", s, e)
				}
			}
		})
	}
}

func TestStrictServerClientReadsWhatWasRefused(t *testing.T) {
	h := newHost()
	h.verdict = func(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
		return sdk.Verdict{Violations: []sdk.Violation{{MessageID: "m", Code: "plan", Path: "/traits", Message: "no such event"}}}, nil
	}
	srv := httptest.NewServer(newCollector(t, h))
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "node", "server-clients.mjs", "customerio-node-strict", srv.URL, "KEY", "1")
	cmd.Dir = clients
	out, _ := cmd.Output() // exits with 1: the events failed
	var r report
	if err := json.Unmarshal(out, &r); err != nil || len(r.Sent) > 0 || len(r.Failed) != 12 {
		t.Fatalf("%s: %v", out, err)
	}
	if want := "event 0/traits: plan: no such event"; !strings.Contains(r.Failed[0].Error, want) {
		t.Fatalf("the client read %q, want %q", r.Failed[0].Error, want)
	}
}

func TestBrowserClients(t *testing.T) {
	scripts := os.DirFS("../dist")
	for _, c := range []struct {
		client, version string
		first           sdk.Reason
	}{
		{"analytics-next", "next-1.84.3", ""},
		{"analytics-next", "next-1.84.3", sdk.DiskFull},
		{"analytics-next", "next-1.84.3", sdk.RateLimited},
		{"cdp-analytics-browser", "next-0.5.11", ""},
		{"cdp-analytics-browser", "next-0.5.11", sdk.DiskFull},
		{"cdp-analytics-browser", "next-0.5.11", sdk.RateLimited},
	} {
		t.Run(c.client+" "+string(c.first), func(t *testing.T) {
			h := newHost()
			if c.first != "" {
				failFirst(h, 3, c.first)
			}
			collect := newCollector(t, h, func(o *collector.Options) { o.Scripts = scripts })
			var mu sync.Mutex
			var requests []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				requests = append(requests, r.Method+" "+r.URL.Path+" "+fmt.Sprint(r.Header.Get("Authorization") != ""))
				mu.Unlock()
				collect.ServeHTTP(w, r)
			}))
			defer srv.Close()
			r := run(t, "browser-clients.mjs", c.client, srv.URL)
			got := servedBy(t, h)
			types := map[string]bool{}
			for _, s := range r.Sent {
				e := got[s.MessageID]
				types[s.Type] = true
				if e.Type != s.Type || e.Context.Library.Version != c.version || e.Context.IP != "127.0.0.1" {
					t.Errorf("sent %+v, came %+v", s, e)
				}
			}
			if len(types) != 6 || len(got) != 6 {
				t.Errorf("sent %v, %d came", types, len(got))
			}
			if retried := len(r.Sent) > 6; retried != (c.first != "") {
				t.Errorf("%d requests for 6 events", len(r.Sent))
			}
			mu.Lock()
			defer mu.Unlock()
			if preflight := slices.Contains(requests, "OPTIONS /v1/t false"); preflight != (c.client == "analytics-next") {
				t.Errorf("preflight %v: %q", preflight, requests)
			}
			t.Log(r.Browser, requests)
		})
	}
}
