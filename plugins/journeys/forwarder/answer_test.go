package forwarder_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

const (
	identify = `{"type":"person","identifiers":{"id":"42"},"action":"identify","attributes":{"big":9007199254740993}}`
	twice    = `{"type":"person","identifiers":{"id":"42"},"action":"identify","cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"acme"}}]}`
	nameless = `{"type":"person","identifiers":{"id":"42"},"action":"event"}`
	nothing  = `{"type":"person","identifiers":{"id":"42"},"action":"add_relationships","cio_relationships":[]}`
)

func TestCredentials(t *testing.T) {
	const track, public = "/api/v2/entity", "/api/v1/metrics"
	metric := `{"delivery_id":"d1","metric":"opened"}`
	for _, c := range []struct {
		name    string
		path    string
		headers []string
		alone   bool
		status  int
		code    string
	}{
		{"site id and API key", track, basic, false, 200, ""},
		{"unknown", track, []string{credentials("SITE:OTHER")}, false, 401, "unknown_key"},
		{"site id alone", track, []string{credentials("SITE")}, false, 401, "unknown_key"},
		{"none", track, nil, true, 401, "unknown_key"},
		{"another scheme", track, []string{"Authorization: Bearer SITE:KEY"}, true, 401, "unknown_key"},
		{"of a source that is not running", track, []string{credentials("SITE:RESTING")}, false, 503, "not_running"},
		{"none where none are needed", public, nil, true, 200, ""},
		{"none, and several sources", public, nil, false, 401, "no_key"},
		{"some where none are needed", public, basic, false, 200, ""},
		{"wrong ones where none are needed", public, []string{credentials("SITE:OTHER")}, true, 401, "unknown_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.alone = c.alone
			body := identify
			if c.path == public {
				body = metric
			}
			got := call{path: c.path, headers: c.headers, body: body}.do(newForwarder(h))
			answer := text(t, got)
			if got.StatusCode != c.status || (c.status == 200) != (len(h.events()) == 1) || (c.status == 503) != (got.Header.Get("Retry-After") == "1") {
				t.Errorf("answer %d %s, %d events", got.StatusCode, answer, len(h.events()))
			}
			if c.status != 200 && !documented(answer, c.status, c.path) {
				t.Errorf("answer %s", answer)
			}
			if !strings.Contains(h.logged.String(), c.code) || strings.Contains(h.logged.String(), "SITE") {
				t.Errorf("log %s", h.logged)
			}
		})
	}
}

func TestPathsAreAsTheyWereSent(t *testing.T) {
	for path, user := range map[string]string{
		"/api/v1/customers/5%2B1":               "5+1",
		"/api/v1/customers/5+1":                 "5+1",
		"/api/v1/customers/a%2Fb":               "a/b",
		"/api/v1/customers/a%252Fb":             "a%2Fb",
		"/api/v1/customers/a@example.com":       "a@example.com",
		"/api/v1/customers/a%40example.com":     "a@example.com",
		"/api/v1/customers/cio_d9c106000001":    "cio_d9c106000001",
		"/api/v1/customers/%C3%A9%20%22?x=y&z=": `é "`,
		"//api/v1/customers/42":                 "42",
		"/api/v1/customers/42/":                 "42",
	} {
		h := newHost()
		got := call{method: http.MethodDelete, path: path, headers: basic}.do(newForwarder(h))
		if got.StatusCode != 200 {
			t.Fatalf("%s: answer %d", path, got.StatusCode)
		}
		var e struct{ UserID string }
		if err := json.Unmarshal([]byte(h.events()[0]), &e); err != nil || e.UserID != user {
			t.Errorf("%s: userId %q, want %q", path, e.UserID, user)
		}
		want := "DELETE /" + strings.TrimSuffix(strings.TrimLeft(path, "/"), "/") + " "
		if a := h.attachments(t); !slices.Equal(a, []string{want}) {
			t.Errorf("attachment %q, want %q", a, want)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"POST", "/api/v3/entity", 404, ""},
		{"GET", "/api/v2/entity", 405, "POST"},
		{"POST", "/api/v1/customers/42", 405, "PUT, DELETE"},
		{"GET", "/webhooks/", 405, "POST"},
	} {
		h := newHost()
		got := call{method: c.method, path: c.path, headers: basic}.do(newForwarder(h))
		if got.StatusCode != c.status || got.Header.Get("Allow") != c.allow || !documented(text(t, got), c.status, c.path) {
			t.Errorf("%s %s: answer %d, Allow %q", c.method, c.path, got.StatusCode, got.Header.Get("Allow"))
		}
	}
}

func TestBatchIsOneEmitOfAGroupForEachCall(t *testing.T) {
	h := newHost()
	got := call{path: "/api/v2/batch", headers: basic, body: `{"batch":[` + identify + `, ` + nameless + `,` + twice + ",\n" + nothing + `,5]}`}.do(newForwarder(h))
	want := `{"errors":[{"batch_index":1,"reason":"required","field":"name","message":"event name must not be blank"},` +
		`{"batch_index":4,"reason":"invalid","message":"the body must be a JSON object"}]}`
	if answer := text(t, got); got.StatusCode != 207 || answer != want {
		t.Errorf("answer %d %s", got.StatusCode, answer)
	}
	if len(h.batches) != 1 {
		t.Fatalf("%d batches", len(h.batches))
	}
	var counts []int
	for _, g := range h.batches[0].Groups {
		counts = append(counts, g.First, g.Count)
	}
	if !slices.Equal(counts, []int{0, 1, 1, 2}) {
		t.Errorf("groups %v", counts)
	}
	if a := h.attachments(t); !slices.Equal(a, []string{"POST /api/v2/entity " + identify, "POST /api/v2/entity " + twice}) {
		t.Errorf("attachments %q", a)
	}
	if !strings.Contains(h.events()[0], "9007199254740993") {
		t.Errorf("event %s", h.events()[0])
	}
}

func TestWhatTheHostRefusesIsNamed(t *testing.T) {
	refusing := func(h *host) {
		h.verdict = func(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
			var v sdk.Verdict
			for i := range b.Events {
				if i > 0 {
					v.Violations = append(v.Violations, sdk.Violation{Index: i, Code: "plan", Path: "/traits", Message: "first"}, sdk.Violation{Index: i, Code: "schema", Message: "second"})
				}
			}
			return v, nil
		}
	}
	for _, c := range []struct {
		path, body, answer string
		status             int
		refused            string
	}{
		{"/api/v2/batch", `{"batch":[` + identify + `,` + twice + `]}`, `{"errors":[{"batch_index":1,"reason":"plan","field":"/traits","message":"first"}]}`, 207, "2"},
		{"/api/v2/batch", `{"batch":[` + identify + `]}`, `{}`, 200, ""},
		{"/api/v2/entity", twice, `{}`, 200, "1"},
		{"/api/v1/forms/7/submit", `{"data":{"id":"42"}}`, ``, 204, "1"},
	} {
		h := newHost()
		refusing(h)
		got := call{path: c.path, headers: basic, body: c.body}.do(newForwarder(h))
		if answer := text(t, got); got.StatusCode != c.status || answer != c.answer || got.Header.Get("Wellhead-Refused") != c.refused {
			t.Errorf("%s %s: answer %d %s, refused %s", c.path, c.body, got.StatusCode, answer, got.Header.Get("Wellhead-Refused"))
		}
	}
}

func TestWhatIsNotStoredIsToBeSentAgain(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		retry  string
	}{
		{&sdk.NotStored{Reason: sdk.RateLimited, RetryAfter: 7 * time.Second}, 429, "7"},
		{&sdk.NotStored{Reason: sdk.JournalBehind, RetryAfter: 1500 * time.Millisecond}, 429, "2"},
		{&sdk.NotStored{Reason: sdk.DiskFull, RetryAfter: time.Second}, 503, "1"},
		{&sdk.NotStored{Reason: sdk.DestinationFull}, 503, "1"},
		{&sdk.NotStored{Reason: sdk.QuarantineFull, RetryAfter: time.Minute}, 503, "60"},
		{&sdk.NotStored{Reason: sdk.Closed, RetryAfter: time.Second}, 503, "1"},
		{fmt.Errorf("%w: gone", sdk.ErrEnded), 503, "1"},
		{errors.New("anything else"), 503, "1"},
		{&sdk.TooLarge{What: "bytes", Have: 9, Allowed: 8}, 413, ""},
	} {
		for path, body := range map[string]string{
			"/api/v2/batch": `{"batch":[` + identify + `,` + nameless + `]}`, "/api/v2/entity": identify, "/api/v1/forms/7/submit": `{"data":{"id":"42"}}`,
		} {
			h := newHost()
			h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) { return sdk.Verdict{}, c.err }
			got := call{path: path, headers: basic, body: body}.do(newForwarder(h))
			if got.StatusCode != c.status || got.Header.Get("Retry-After") != c.retry || !documented(text(t, got), c.status, path) {
				t.Errorf("%s: %v: answer %d, Retry-After %q", path, c.err, got.StatusCode, got.Header.Get("Retry-After"))
			}
		}
	}
}

func TestSlowVerdictIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.verdict = func(ctx context.Context, _ sdk.Batch) (sdk.Verdict, error) {
			<-ctx.Done()
			return sdk.Verdict{}, ctx.Err()
		}
		start := time.Now()
		got := call{path: "/api/v2/entity", headers: basic, body: identify}.do(newForwarder(h))
		if got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" || time.Since(start) != 10*time.Second {
			t.Fatalf("answer %d after %s", got.StatusCode, time.Since(start))
		}
	})
}

// filled returns a body with a string of x that makes it exactly this long.
func filled(frame string, bytes int) string {
	return strings.Replace(frame, "*", strings.Repeat("x", bytes-len(frame)+1), 1)
}

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestLimits(t *testing.T) {
	const event = `{"type":"person","identifiers":{"id":"42"},"action":"event","name":"e","attributes":{"a":"*"}}`
	attributes := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(`"a%d":1`, i))
		}
		return `{"_timestamp":1,"anonymous_id":"x",` + strings.Join(out, ",") + `}`
	}
	ids := func(n int) string { return `{"ids":["1"` + strings.Repeat(`,"1"`, n-1) + `]}` }
	const kib = 1 << 10
	for _, c := range []struct {
		name, method, path, body string
		gzip                     bool
		status                   int
		says                     string
	}{
		{"a call of 32 KiB", "POST", "/api/v2/entity", filled(event, 32*kib), false, 200, ""},
		{"a call of a byte more", "POST", "/api/v2/entity", filled(event, 32*kib+1), false, 413, "32768"},
		{"the same, compressed", "POST", "/api/v2/entity", filled(event, 32*kib+1), true, 413, "32768"},
		{"a compressed call", "POST", "/api/v2/entity", identify, true, 200, ""},
		{"an operation of 32 KiB", "POST", "/api/v2/batch", `{"batch":[` + filled(event, 32*kib) + `]}`, false, 200, ""},
		{"an operation of a byte more", "POST", "/api/v2/batch", `{"batch":[` + filled(event, 32*kib+1) + `]}`, false, 207, "32768"},
		{"a batch of 500 KiB", "POST", "/api/v2/batch", `{"batch":[` + identify + strings.Repeat(" ", 500*kib-len(identify)-len(`{"batch":[]}`)) + `]}`, false, 200, ""},
		{"a batch of a byte more", "POST", "/api/v2/batch", `{"batch":[` + strings.Repeat(" ", 500*kib+1-len(`{"batch":[]}`)) + `]}`, false, 413, "512000"},
		{"a batch of 10,001", "POST", "/api/v2/batch", `{"batch":[` + strings.Repeat("1,", 10_000) + `1]}`, false, 400, "batch cannot have more than 10000 elements"},
		{"no batch", "POST", "/api/v2/batch", `{}`, false, 400, "batch must be present"},
		{"a batch that is none", "POST", "/api/v2/batch", `{"batch":{}}`, false, 400, "batch must be an array"},
		{"300 attributes", "PUT", "/api/v1/customers/42", attributes(300), false, 200, ""},
		{"301 attributes", "PUT", "/api/v1/customers/42", attributes(301), false, 400, "cannot identify more than 300 attributes in one request"},
		{"a name of 150 bytes", "PUT", "/api/v1/customers/42", `{"` + strings.Repeat(`é`, 75) + `":1}`, false, 200, ""},
		{"a name of 151 bytes", "PUT", "/api/v1/customers/42", `{"x` + strings.Repeat(`\u00e9`, 75) + `":1}`, false, 400, "attribute name cannot be longer than 150 bytes"},
		{"a value of 1000 bytes", "PUT", "/api/v1/customers/42", `{"v":"` + strings.Repeat(`\u00e9`, 500) + `"}`, false, 200, ""},
		{"a value of 1001 bytes", "PUT", "/api/v1/customers/42", `{"v":"x` + strings.Repeat(`\u00e9`, 500) + `"}`, false, 400, "value for attribute 'v' cannot be longer than 1000 bytes"},
		{"a list of 1001 bytes", "PUT", "/api/v1/customers/42", `{"v":["` + strings.Repeat("x", 997) + `"]}`, false, 400, "value for attribute 'v' cannot be longer than 1000 bytes"},
		{"an id of 150 bytes", "DELETE", "/api/v1/customers/" + strings.Repeat("x", 150), "", false, 200, ""},
		{"an id of 151 bytes", "DELETE", "/api/v1/customers/" + strings.Repeat("x", 151), "", false, 400, "id attribute cannot be longer than 150 bytes"},
		{"an event's name of 100 bytes", "POST", "/api/v1/customers/42/events", `{"name":" ` + strings.Repeat("é", 50) + `"}`, false, 200, ""},
		{"an event's name of 101 bytes", "POST", "/api/v1/customers/42/events", `{"name":"x` + strings.Repeat("é", 50) + `"}`, false, 400, "event name cannot be longer than 100 bytes"},
		{"a page's name of 499 characters", "POST", "/api/v1/customers/42/events", `{"type":"page","name":"` + strings.Repeat("é", 499) + `"}`, false, 200, ""},
		{"data of 100000 bytes", "POST", "/api/v1/customers/42/events", `{"name":"e","data":` + filled(`{"a":"*"}`, 100_000) + `}`, false, 200, ""},
		{"data of 100001 bytes", "POST", "/api/v1/customers/42/events", `{"name":"e","data":` + filled(`{"a":"*"}`, 100_001) + `}`, false, 400, "event data cannot be longer than 100000 bytes"},
		{"1000 people", "POST", "/api/v1/segments/7/add_customers", ids(1000), false, 200, ""},
		{"1001 people", "POST", "/api/v1/segments/7/add_customers", ids(1001), false, 400, "ids cannot have more than 1000 elements"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			headers := basic
			if c.gzip {
				headers, c.body = append([]string{"Content-Encoding: gzip"}, headers...), zip(c.body)
			}
			got := call{method: c.method, path: c.path, headers: headers, body: c.body}.do(newForwarder(h))
			answer := text(t, got)
			if got.StatusCode != c.status || !strings.Contains(answer, c.says) || (len(h.events()) > 0) != (c.status == 200) {
				t.Errorf("answer %d %.300s, %d events", got.StatusCode, answer, len(h.events()))
			}
			if c.status != 200 && !documented(answer, c.status, c.path) {
				t.Errorf("answer %.300s", answer)
			}
		})
	}
}

func TestRegionIsHere(t *testing.T) {
	h := newHost()
	h.config.Region = "eu"
	for forwarded, scheme := range map[string]string{"": "http", "https": "https", "gopher": "http"} {
		c := call{method: http.MethodGet, path: "http://cio.example.org:8081/api/v1/accounts/region", headers: append([]string{"X-Forwarded-Proto: " + forwarded}, basic...)}
		got := c.do(newForwarder(h))
		want := `{"url":"` + scheme + `://cio.example.org:8081","region":"eu","environment_id":` // of app
		if answer := text(t, got); got.StatusCode != 200 || answer != want+"527074093}" {
			t.Errorf("answer %d %s", got.StatusCode, answer)
		}
	}
	got := call{method: http.MethodGet, path: "/auth", headers: basic}.do(newForwarder(h))
	if got.StatusCode != 200 || len(h.events()) > 0 {
		t.Errorf("answer %d", got.StatusCode)
	}
}

func TestNothingOfTheClientIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		f := newForwarder(h)
		for range 3 {
			for _, c := range []call{
				{method: "PUT", path: "/api/v1/customers/PRIVATE", body: `{"PRIVATE":"` + strings.Repeat("PRIVATE", 200) + `"}`},
				{path: "/api/v2/entity", body: `{"PRIVATE":`},
				{path: "/api/v2/batch", body: `{"batch":[{"type":"PRIVATE"}]}`},
				{path: "/api/v1/merge_customers", body: `{"primary":"PRIVATE"}`},
				{path: "/PRIVATE"},
			} {
				c.headers = basic
				if got := c.do(f); got.StatusCode < 207 {
					t.Errorf("answer %d", got.StatusCode)
				}
			}
		}
		log := h.logged.String()
		if strings.Contains(log, "PRIVATE") || strings.Contains(log, "KEY") || !strings.Contains(log, "source=app code=too_long") {
			t.Errorf("log %s", log)
		}
		if lines := strings.Count(log, "\n"); lines != 4 { // too_long, not_json, invalid, no_such_path
			t.Errorf("%d lines: %s", lines, log)
		}
	})
}
