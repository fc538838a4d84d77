package console_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

var update = flag.Bool("update", false, "write what is got into the golden files")

// everything is a status with something in every field.
func everything() console.Status {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	return console.Status{
		Version: "v1.2.3", PID: 4711, Started: at, DataDir: "/var/lib/wellhead",
		Problems: []console.Problem{
			{Code: "plugin_crash_loop", Where: "plugin crm", What: "it failed 3 times in a row", Hint: "look", Unready: true},
			{Code: "consent", Where: "source crm", What: "one"},
			{Code: "consent", Where: "source crm", What: "two"},
		},
		Sources: []console.Source{{
			Name: "website", Plugin: "javascript", State: "running", Restarts: 1,
			Progress: []console.Progress{{Stream: "contacts", Done: 3, Total: 9, Message: "reading"}},
			Syncs: []console.Sync{{
				Name: "contacts", State: "running", Due: at, Succeeded: at, Progress: &console.Progress{Stream: "contacts", Done: 3, Total: 9},
				Done: 40, Failed: 41, RowsRead: 42, RowsEmitted: 43, RowsRefused: 44,
				Runs: []console.SyncRun{{
					ID: "1", Kind: "backfill", State: "failed", Started: at, Ended: at, Read: 45, Emitted: 46, Refused: 47,
					Error: &console.SyncError{Code: "gone", Path: "/a", Message: "it is gone", Fix: "look"},
				}},
			}},
			Accepted: 2, Duplicates: 3, Refused: 4, Dropped: 5, NotStored: 6, Violating: 7,
			RefusedBy: map[string]uint64{"plan": 8, "no_id": 1}, ClockIgnored: 9,
			Quarantine: console.Quarantine{Open: 10, Count: 11, Bytes: 12, Limit: 13, Full: true, Expired: 14, Dropped: 15},
		}},
		Plugins: []console.Plugin{{
			Name: "javascript", State: "crash_loop", RetryAt: at, Path: "/bin/javascript", PID: 5, Version: "1.0.0",
			Generation: 7, Restarts: 16, Listen: "127.0.0.1:8080", LastError: "it exited", ErrorAt: at,
		}},
		Destinations: []console.Destination{{
			Name: "archive", Type: "file", State: "running", Full: true, Cursor: event.At(3, 1), LagBytes: 17, LagFrames: 18,
			LagSeconds: 19, Rate: 20, Delivered: 21, Retried: 22, Quarantined: 23, Skipped: 24, GapFrames: 25,
			LastDelivered: at, Notice: "a file was moved", NoticeAt: at,
		}},
		Journal: console.Journal{
			Open: true, First: 26, Last: 27, Bytes: 28, Oldest: at, Queued: 29, LostFrames: 30, CutBytes: 31,
			SyncP50: 0.5, SyncP99: 0.75, Free: 32, Reserve: 33, DedupIDs: 34, DedupWindow: 35,
		},
	}
}

func TestReadyTellsWhyNot(t *testing.T) {
	h := &fake{status: everything()}
	r := start(t, h, shortDir(t))
	got := r.ask(t, http.MethodGet, "/readyz", nil)
	var readiness console.Readiness
	if err := json.Unmarshal([]byte(got.body), &readiness); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	if got.status != http.StatusServiceUnavailable || readiness.Ready || len(readiness.Problems) != 3 || readiness.Problems[0].Code != "plugin_crash_loop" {
		t.Errorf("%d %+v", got.status, readiness)
	}
	h.set(console.Status{Ready: true, Problems: []console.Problem{}})
	if got := r.ask(t, http.MethodGet, "/readyz", nil); got.status != http.StatusOK || got.body != "{\"ready\":true,\"problems\":[]}\n" {
		t.Errorf("%+v", got)
	}
}

func TestOnlyPublicPathsAnswer(t *testing.T) {
	r := start(t, &fake{status: everything(), consents: consents{err: &console.Error{Code: "consent_state", Message: "no"}}}, shortDir(t))
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/healthz", 200}, {"HEAD", "/healthz", 200}, {"POST", "/healthz", 405}, {"GET", "/metrics", 200},
		{"GET", "/", 200}, {"POST", "/", 405}, {"GET", "/status", 404}, {"POST", "/send/website", 404}, {"GET", "/tail", 404},
		{"GET", "/oauth/callback", 400}, {"HEAD", "/oauth/callback", 405}, {"POST", "/oauth/callback", 405}, {"GET", "/oauth", 404},
		{"GET", "/quarantine", 404}, {"GET", "/healthz/", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "/consent/crm", 404}, {"POST", "/consent/crm/token", 404},
	} {
		if got := r.ask(t, c.method, c.path, nil); got.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got.status, c.status)
		}
	}
	if got := r.ask(t, "GET", "/healthz", nil); got.body != "ok\n" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%+v", got)
	}
}

func TestWebPagesAreKeptOut(t *testing.T) {
	r := start(t, &fake{status: everything()}, shortDir(t))
	for _, c := range []struct {
		host, origin string // empty: as the client has it
		status       int
	}{
		{"", "", 200},
		{"localhost:8090", "", 200},
		{"LocalHost", "", 200},
		{"127.0.0.1:9999", "", 200}, // through a tunnel
		{"[::1]:8090", "", 200},
		{"127.8.9.10", "", 200},
		{"evil.example:8090", "", 421},
		{"localhost.evil.example", "", 421},
		{"127.0.0.1.evil.example", "", 421},
		{"192.168.0.7:8090", "", 421},
		{"0.0.0.0:8090", "", 421},
		{"localhost:8090", "http://localhost:8090", 200},
		{"localhost:8090", "http://localhost:3000", 403},
		{"localhost:8090", "https://evil.example", 403},
		{"localhost:8090", "null", 403},
		{"evil.example", "http://evil.example", 421},
	} {
		got := r.ask(t, http.MethodGet, "/healthz", func(req *http.Request) {
			if c.host != "" {
				req.Host = c.host
			}
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
		})
		if got.status != c.status {
			t.Errorf("Host %q, Origin %q: %d, want %d", c.host, c.origin, got.status, c.status)
		}
	}
}

func TestMetricsKeepTheirNames(t *testing.T) {
	const golden = "testdata/metrics.txt"
	r := start(t, &fake{status: everything()}, shortDir(t))
	got := r.ask(t, http.MethodGet, "/metrics", nil)
	if got.status != http.StatusOK || !strings.Contains(got.body, "\nprocess_resident_memory_bytes ") && !strings.Contains(got.body, "\ngo_goroutines ") {
		t.Errorf("%d, and the process's own metrics are missing", got.status)
	}
	lines := regexp.MustCompile(`(?m)^(?:# (?:HELP|TYPE) )?wellhead_.*\n`).FindAllString(got.body, -1)
	ours := strings.Join(lines, "")
	if *update {
		if err := os.WriteFile(golden, []byte(ours), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if ours != string(want) {
		t.Errorf("got\n%s\nwant\n%s", ours, want)
	}
}

func TestATakenAddressIsNamedWithItsKey(t *testing.T) {
	r := start(t, &fake{}, shortDir(t))
	o := options(t, &fake{}, shortDir(t))
	o.Address = r.Address()
	_, err := console.Listen(t.Context(), o)
	want := "console.listen: " + r.Address() + " is taken by another program; stop that program, or give another port [console_listen]"
	var p config.Problem
	if !errors.As(err, &p) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// Nothing of the failed one is left behind.
	if _, err := os.Stat(console.SocketPath(o.Dir)); !os.IsNotExist(err) {
		t.Errorf("a socket is left: %v", err)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	r := start(t, &fake{status: everything()}, shortDir(t))
	got := r.ask(t, http.MethodGet, "/healthz", func(req *http.Request) { req.Header.Set("X", strings.Repeat("x", 64<<10)) })
	if got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d, want 431", got.status)
	}
}
