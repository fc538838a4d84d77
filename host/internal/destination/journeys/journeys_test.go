package journeys_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/journeys"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api stands for the Track API: it keeps what it is asked, as method, path and
// body, and answers 200 {} unless answer does. What only asks for the region is
// not kept.
type api struct {
	answer func(w http.ResponseWriter, request string) bool

	mu       sync.Mutex
	requests []string
	headers  []http.Header
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	request := strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
	if request != region {
		a.requests, a.headers = append(a.requests, request), append(a.headers, r.Header)
	}
	if a.answer == nil || !a.answer(w, request) {
		_, _ = io.WriteString(w, "{}")
	}
}

const region = "GET /api/v1/accounts/region"

func (a *api) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

func (a *api) wants(t *testing.T, want ...string) {
	t.Helper()
	if got := a.asked(); !slices.Equal(got, want) {
		t.Errorf("requests:\n %s\nwant:\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

func settings(url string) journeys.Config {
	var c journeys.Config
	c.Default()
	c.SiteID, c.APIKey, c.URL = "s1te", config.NewSecret("s3cret"), url
	return c
}

func open(t *testing.T, c journeys.Config) *journeys.Destination {
	t.Helper()
	d, err := journeys.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// serve starts an API and returns a destination for it.
func serve(t *testing.T, a *api) *journeys.Destination {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return open(t, settings(s.URL))
}

// batch makes an event of each attachment; "" is one without.
func batch(attachments ...string) (events []destination.Event) {
	for i, a := range attachments {
		e := destination.Event{Source: "app", MessageID: fmt.Sprintf("m%d", i), JSON: []byte(`{}`)}
		if a != "" {
			e.Attachment = []byte(a)
		}
		events = append(events, e)
	}
	return events
}

// attachment is a request as a journeys source keeps it.
func attachment(method, path, body string) string {
	b, err := json.Marshal(struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Body   []byte `json:"body,omitempty"`
	}{method, path, []byte(body)})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func identify(id string) string {
	return attachment("PUT", "/api/v1/customers/"+id, `{"n":1}`)
}

func operation(n int) string {
	return attachment("POST", "/api/v2/entity", fmt.Sprintf(`{"n":%d}`, n))
}

// partial returns the failures of a batch by index.
func partial(t *testing.T, err error) destination.Partial {
	t.Helper()
	var p destination.Partial
	if !errors.As(err, &p) {
		t.Fatalf("error %#v, want a Partial", err)
	}
	return p
}

func kinds(p destination.Partial) map[int]destination.Kind {
	out := map[int]destination.Kind{}
	for i, e := range p {
		out[i] = e.Kind
	}
	return out
}

func TestRequestsAreRepeatedAsTheyWereInTheirOrder(t *testing.T) {
	a := &api{}
	d := serve(t, a)
	err := d.Send(t.Context(), batch(
		attachment("PUT", "/api/v1/customers/5%2B1?x=y&z=%20", `{"big":12345678901234567890, "é":"<>"}`),
		attachment("POST", "/api/v1/customers/5%2B1/events", `{"name":"a"}`),
		attachment("PUT", "/api/v1/customers/a%2Fb%40c.d/devices", `{"device":{}}`),
		attachment("DELETE", "/api/v1/customers/a@c.d/devices/t0:k", ""),
		attachment("DELETE", "/api/v1/customers/5%2B1", ""),
		attachment("POST", "/api/v1/customers/%C3%A9/suppress", ""),
		attachment("POST", "/api/v1/customers/cio_1/unsuppress", "{}"),
		attachment("POST", "/api/v1/events", `{"name":"b"}`),
		attachment("POST", "/api/v1/merge_customers", `{"primary":{}}`),
		attachment("POST", "/api/v1/metrics", `{"metric":"opened"}`),
		attachment("POST", "/api/v1/push/events", `{"event":"opened"}`),
		attachment("POST", "/api/v1/forms/f1/submit", `{"data":{}}`),
		attachment("POST", "/api/v1/segments/7/add_customers?id_type=email", `{"ids":["a"]}`),
		attachment("POST", "/api/v1/segments/7/remove_customers", `{"ids":["a"]}`),
		attachment("POST", "/unsubscribe/d1", `{"unsubscribe":true}`),
		attachment("POST", "/api/v2/entity", `{"type":"person"}`),
	))
	if err != nil {
		t.Fatal(err)
	}
	a.wants(t,
		`PUT /api/v1/customers/5%2B1?x=y&z=%20 {"big":12345678901234567890, "é":"<>"}`,
		`POST /api/v1/customers/5%2B1/events {"name":"a"}`,
		`PUT /api/v1/customers/a%2Fb%40c.d/devices {"device":{}}`,
		`DELETE /api/v1/customers/a@c.d/devices/t0:k`,
		`DELETE /api/v1/customers/5%2B1`,
		`POST /api/v1/customers/%C3%A9/suppress`,
		`POST /api/v1/customers/cio_1/unsuppress {}`,
		`POST /api/v1/events {"name":"b"}`,
		`POST /api/v1/merge_customers {"primary":{}}`,
		`POST /api/v1/metrics {"metric":"opened"}`,
		`POST /api/v1/push/events {"event":"opened"}`,
		`POST /api/v1/forms/f1/submit {"data":{}}`,
		`POST /api/v1/segments/7/add_customers?id_type=email {"ids":["a"]}`,
		`POST /api/v1/segments/7/remove_customers {"ids":["a"]}`,
		`POST /unsubscribe/d1 {"unsubscribe":true}`,
		`POST /api/v2/entity {"type":"person"}`,
	)
	for i, h := range a.headers {
		r := http.Request{Header: h}
		user, password, _ := r.BasicAuth()
		if user != "s1te" || password != "s3cret" || h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "Wellhead" {
			t.Errorf("request %d has the headers %v", i, h)
		}
	}
}

func TestOperationsThatFollowEachOtherGoInOneBatch(t *testing.T) {
	a := &api{}
	d := serve(t, a)
	err := d.Send(t.Context(), batch(
		operation(0), operation(1), operation(2),
		identify("5"),
		operation(4),
		attachment("POST", "/api/v2/entity", `[{"n":5}]`), // no operation: it is not put into a batch
		operation(6), operation(7),
		attachment("POST", "/api/v2/entity?x=y", `{"n":8}`),
		attachment("POST", "/api/v2/entity", `{"n":9}]},{"batch":[{}`),
		operation(10),
	))
	if err != nil {
		t.Fatal(err)
	}
	a.wants(t,
		`POST /api/v2/batch {"batch":[{"n":0},{"n":1},{"n":2}]}`,
		`PUT /api/v1/customers/5 {"n":1}`,
		`POST /api/v2/entity {"n":4}`,
		`POST /api/v2/entity [{"n":5}]`,
		`POST /api/v2/batch {"batch":[{"n":6},{"n":7}]}`,
		`POST /api/v2/entity?x=y {"n":8}`,
		`POST /api/v2/entity {"n":9}]},{"batch":[{}`,
		`POST /api/v2/entity {"n":10}`,
	)
}

func TestBatchIsAtMost500KB(t *testing.T) {
	a := &api{}
	d := serve(t, a)
	var attachments []string
	for n := range 32 {
		attachments = append(attachments, attachment("POST", "/api/v2/entity", fmt.Sprintf(`{"n":%d,"text":"%s"}`, n, strings.Repeat("x", 32_000))))
	}
	if err := d.Send(t.Context(), batch(attachments...)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, request := range a.asked() {
		body := strings.TrimPrefix(request, "POST /api/v2/batch ")
		var b struct{ Batch []struct{ N int } }
		if err := json.Unmarshal([]byte(body), &b); err != nil || len(body) > 500_000 {
			t.Fatalf("a body of %d bytes: %v", len(body), err)
		}
		for _, op := range b.Batch {
			if op.N != sent {
				t.Errorf("operation %d at the place of %d", op.N, sent)
			}
			sent++
		}
	}
	if n := len(a.asked()); n != 3 || sent != 32 {
		t.Errorf("%d operations in %d requests", sent, n)
	}
	if events, bytes := d.Batch(); events > 1000 || bytes > 4<<20 {
		t.Errorf("a batch of %d events and %d bytes", events, bytes)
	}
}

func TestEventsWithoutARequestAreNotTakenAndToldOncePerSource(t *testing.T) {
	d := open(t, settings("http://127.0.0.1:1"))
	var notices []destination.Notice
	takes := func(source, attachment string) bool {
		e := batch(attachment)[0]
		e.Source = event.SourceID(source)
		return d.Takes(e, func(n destination.Notice) { notices = append(notices, n) })
	}
	for range 3 {
		if !takes("app", identify("5")) || takes("app", "") {
			t.Error("of a group its first event is taken, and no later one")
		}
	}
	if len(notices) != 0 {
		t.Errorf("notices %v of a journeys source", notices)
	}
	for range 3 {
		if takes("web", "") {
			t.Error("an event of another source is taken")
		}
	}
	if len(notices) != 1 || notices[0].Code != "no_request" || !strings.Contains(notices[0].Text, "source web") {
		t.Errorf("notices %v", notices)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(&api{})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	d := open(t, settings(s.URL))
	for range 10 {
		if err := d.Send(t.Context(), batch(identify("5"), attachment("DELETE", "/api/v1/customers/5", ""))); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 requests", n)
	}
}

func TestSilentServerIsATimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	c := settings(s.URL)
	c.Timeout = config.Duration(50 * time.Millisecond)
	var e *destination.Error
	if err := open(t, c).Send(t.Context(), batch(identify("5"))); !errors.As(err, &e) || e.Code != "timeout" || e.Kind != destination.Unavailable {
		t.Errorf("error %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*journeys.Config){
		"site_id: is missing":         func(c *journeys.Config) { c.SiteID = "" },
		"site_id: holds a colon":      func(c *journeys.Config) { c.SiteID = "a:b" },
		"api_key: is missing":         func(c *journeys.Config) { c.APIKey = config.Secret{} },
		"api_key: holds a space":      func(c *journeys.Config) { c.APIKey = config.NewSecret("t0ken\n") },
		`region: no region "asia"`:    func(c *journeys.Config) { c.Region = "asia" },
		`url: the scheme "ftp"`:       func(c *journeys.Config) { c.URL = "ftp://example.com/t0ken" },
		"url: it names no host":       func(c *journeys.Config) { c.URL = "https:///t0ken" },
		"url: is not a URL":           func(c *journeys.Config) { c.URL = "https://exa mple.com/t0ken" },
		"url: it holds a password":    func(c *journeys.Config) { c.URL = "https://me:t0ken@example.com" },
		"url: it has a query":         func(c *journeys.Config) { c.URL = "https://example.com/?t0ken" },
		"timeout: 0s is out of range": func(c *journeys.Config) { c.Timeout = 0 },
		"timeout: 1h is out of range": func(c *journeys.Config) { c.Timeout = config.Duration(time.Hour) },
	} {
		c := settings("")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%v, want %q", err, want)
		}
		if _, nerr := journeys.New(c); nerr == nil {
			t.Errorf("New takes a config with %v", err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", settings(""), settings(""), settings("")); strings.Contains(text, "s3cret") {
		t.Error(text)
	}
}

// roundTripper stands for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestRegionOrURLSaysWhereRequestsGo(t *testing.T) {
	for want, change := range map[string]func(*journeys.Config){
		"https://track.customer.io/api/v1/events":    func(*journeys.Config) {},
		"https://track-eu.customer.io/api/v1/events": func(c *journeys.Config) { c.Region = journeys.EU },
		"http://127.0.0.1:81/cio/api/v1/events":      func(c *journeys.Config) { c.URL = "http://127.0.0.1:81/cio/" },
	} {
		c := settings("")
		change(&c)
		d := open(t, c)
		got := ""
		d.SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return reply(200, "{}"), nil
		}))
		if err := d.Send(t.Context(), batch(attachment("POST", "/api/v1/events", "{}"))); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

// An attachment says where on the host a request goes, and never to which host.
func TestHostileAttachmentIsRefusedAndNeverSent(t *testing.T) {
	a := &api{}
	elsewhere := httptest.NewServer(&api{answer: func(http.ResponseWriter, string) bool {
		t.Error("a request went elsewhere")
		return false
	}})
	t.Cleanup(elsewhere.Close)
	host := strings.TrimPrefix(elsewhere.URL, "http://")
	d := serve(t, a)
	attachments := []string{
		`{`, `null`, `[]`, `"x"`, `{}`, "\xff", `{"method":"PUT"}`, `{"method":1,"path":"/api/v1/customers/5"}`,
		`{"method":"PUT","path":"/api/v1/customers/5","body":"no base64!"}`,
		`{"method":"PUT","path":"/api/v1/customers/5","body":{}}`,
	}
	for _, path := range []string{
		"", "/", elsewhere.URL + "/api/v1/events", "//" + host + "/api/v1/events", "@" + host + "/api/v1/events", ":80@" + host + "/", ".evil.com/api/v1/events",
		"api/v1/events", "/api/v1/events/", "/api//v1/events", "//api/v1/events", "/api/v1/./events", "/api/v1/x/../events", "/api/v1/events#x", `/api\v1\events`,
		"/api/v1/%65vents", "/api/v1/EVENTS", "/api/v3/events", "/api/v1/accounts/region", "/auth", "/api/v2/batch",
		"/api/v1/customers//events", "/api/v1/customers/../events", "/api/v1/customers/./events", "/api/v1/customers/%2e%2e/events", "/api/v1/customers/..%2F..%2fx/events",
		"/api/v1/customers/a%5c..%5cb/events", "/api/v1/customers/%zz/events", "/api/v1/customers/%/events",
		"/api/v1/customers/a b/events", "/api/v1/customers/a\r\nHost: x/events", "/api/v1/customers/a\x00/events", "/api/v1/customers/a\x7f/events", "/api/v1/customers/é/events",
		"/api/v1/events?a b", "/api/v1/events?a\r\nX: y", "/api/v1/events?#",
	} {
		attachments = append(attachments, attachment("POST", path, "{}"))
	}
	for _, method := range []string{"", "GET", "post", "PATCH", "CONNECT", "POST ", "POST /x HTTP/1.1\r\nHost: " + host + "\r\n\r\nPOST", "PUT", "DELETE"} {
		attachments = append(attachments, attachment(method, "/api/v1/events", "{}"))
	}
	p := partial(t, d.Send(t.Context(), batch(attachments...)))
	for i, text := range attachments {
		if e := p[i]; e == nil || e.Kind != destination.Refused || e.Code != "attachment" || strings.Contains(e.Error(), host) {
			t.Errorf("%s: %v", text, e)
		}
	}
	a.wants(t)

	// Those between good ones do not take them along.
	p = partial(t, d.Send(t.Context(), batch(operation(0), attachments[5], operation(2), attachments[20], identify("5"))))
	if len(p) != 2 || p[1] == nil || p[3] == nil {
		t.Errorf("failures %v", kinds(p))
	}
	a.wants(t, `POST /api/v2/batch {"batch":[{"n":0},{"n":2}]}`, `PUT /api/v1/customers/5 {"n":1}`)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := &api{}
	other := httptest.NewServer(elsewhere)
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		a := &api{answer: func(w http.ResponseWriter, _ string) bool {
			w.Header().Set("Location", other.URL+"/api/v1/events")
			w.WriteHeader(status)
			return true
		}}
		d := serve(t, a)
		var e *destination.Error
		if err := d.Send(t.Context(), batch(identify("5"))); !errors.As(err, &e) || e.Kind != destination.Unavailable || !e.Attention || !strings.Contains(e.Hint, "set url") {
			t.Errorf("%d: %v", status, err)
		}
		if n := len(a.asked()); n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
	elsewhere.wants(t)

	for region, want := range map[journeys.Region]string{journeys.US: "set region: eu", journeys.EU: "set region: us"} {
		c := settings("")
		c.Region = region
		d := open(t, c)
		d.SetTransport(roundTripper(func(*http.Request) (*http.Response, error) { return reply(307, ""), nil }))
		var e *destination.Error
		if err := d.Send(t.Context(), batch(identify("5"))); !errors.As(err, &e) || !strings.Contains(e.Hint, want) {
			t.Errorf("region %s: %v", region, err)
		}
	}
}

func TestHugeAnswersAreNotRead(t *testing.T) {
	for _, status := range []int{200, 400, 207} {
		a := &api{answer: func(w http.ResponseWriter, _ string) bool {
			w.WriteHeader(status)
			n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
			if n > 100<<20 {
				t.Errorf("%d bytes of the answer were taken", n)
			}
			return true
		}}
		err := serve(t, a).Send(t.Context(), batch(identify("5")))
		if (err != nil) != (status == 400) || err != nil && len(err.Error()) > 500 {
			t.Errorf("%d: %v", status, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func status(code int, body string) func(http.ResponseWriter, string) bool {
	return func(w http.ResponseWriter, request string) bool {
		if request == region && code != http.StatusServiceUnavailable {
			return false
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func TestAnswerDecidesWhatHappensNext(t *testing.T) {
	const (
		waits     = destination.Unavailable
		fails     = destination.Failed
		refuses   = destination.Refused
		attention = true
	)
	for code, want := range map[int]struct {
		kind      destination.Kind
		attention bool
	}{
		301: {waits, attention}, 304: {waits, attention}, 307: {waits, attention}, 308: {waits, attention},
		401: {waits, attention}, 403: {waits, attention}, 407: {waits, attention},
		408: {waits, false}, 425: {waits, false}, 429: {waits, false}, 503: {waits, false},
		500: {fails, false}, 502: {fails, false}, 504: {fails, false}, 520: {fails, false},
		400: {refuses, false}, 402: {refuses, false}, 404: {refuses, false}, 405: {refuses, false}, 413: {refuses, false}, 422: {refuses, false},
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			d := serve(t, &api{answer: status(code, `{"meta":{"error":"name cannot\n be blank"}}`)})
			err := d.Send(t.Context(), batch(identify("pers0n")))
			e := destination.AsError(err)
			if want.kind == refuses {
				e = partial(t, err)[0]
			}
			if e.Kind != want.kind || e.Attention != want.attention || e.Code != fmt.Sprintf("http_%d", code) || e.RetryAfter != 7*time.Second {
				t.Errorf("%#v; want %v, attention %v", e, want.kind, want.attention)
			}
			if want.attention && e.Hint == "" {
				t.Error("no hint for an operator")
			}
			if text := e.Error(); code != 304 && !strings.Contains(text, ": name cannot be blank") || strings.Contains(text, "pers0n") || strings.Contains(text, "s3cret") {
				t.Error(text)
			}
		})
	}
	for _, code := range []int{200, 201, 202, 204} {
		if err := serve(t, &api{answer: status(code, "")}).Send(t.Context(), batch(identify("5"))); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestErrorShowsCustomerIOsMessageAndNoOtherText(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for body, want := range map[string]string{
		`{"meta":{"error":"event name must not be blank"}}`:                               "400: event name must not be blank",
		`{"meta":{"errors":["one","two"]}}`:                                               "400: one; two",
		`{"errors":[{"reason":"required","field":"identifiers","message":"is missing"}]}`: "400: required: identifiers: is missing",
		`{"meta":{"error":"` + long + `"}}`:                                               "400: long long",
		`<html>no such page: /api/v1/customers/5</html>`:                                  "400",
		`{"path":"/api/v1/customers/5"}`:                                                  "400",
		`{"meta":"x"}`:                                                                    "400",
		``:                                                                                "400",
	} {
		e := partial(t, serve(t, &api{answer: status(400, body)}).Send(t.Context(), batch(identify("5"))))[0]
		if text := e.Err.Error(); !strings.Contains(text, " answered "+want) || want == "400" && !strings.HasSuffix(text, "400") || len(text) > 300 {
			t.Errorf("%s: %s", body, text)
		}
	}
}

// A 5xx while the API is down is no verdict on a request, and takes no part in the
// search for one that cannot be answered, which would change the order.
func TestServerErrorIsTheRequestsFaultOnlyIfTheAPIAnswersAnother(t *testing.T) {
	a := &api{answer: func(w http.ResponseWriter, _ string) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}}
	if e := destination.AsError(serve(t, a).Send(t.Context(), batch(identify("5")))); e.Kind != destination.Unavailable || e.Code != "http_502" {
		t.Errorf("in an outage: %#v", e)
	}
	if e := destination.AsError(serve(t, &api{answer: status(502, "")}).Send(t.Context(), batch(identify("5")))); e.Kind != destination.Failed {
		t.Errorf("of one request: %#v", e)
	}
}

func TestWhatFollowsARequestThatIsNotDecidedWaits(t *testing.T) {
	for _, code := range []int{429, 500, 503} {
		a := &api{answer: func(w http.ResponseWriter, request string) bool {
			switch {
			case strings.Contains(request, "/bad"):
				w.WriteHeader(http.StatusBadRequest)
			case strings.Contains(request, "/busy"):
				w.WriteHeader(code)
			default:
				return false
			}
			return true
		}}
		events := batch(identify("a"), identify("bad"), identify("c"), identify("busy"), identify("e"), "{", identify("g"))
		p := partial(t, serve(t, a).Send(t.Context(), events))
		want := map[int]destination.Kind{1: destination.Refused, 3: destination.Unavailable, 4: destination.Unavailable, 5: destination.Refused, 6: destination.Unavailable}
		if got := kinds(p); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: %v, want %v", code, got, want)
		}
		if p[3].Code != fmt.Sprintf("http_%d", code) || p[3].Code != p[6].Code {
			t.Errorf("%v, %v", p[3], p[6])
		}
		if n := len(a.asked()); n != 4 {
			t.Errorf("%d requests: what follows is not to overtake", n)
		}
	}
}

func TestAnswerToABatch(t *testing.T) {
	const (
		whole = `POST /api/v2/batch {"batch":[{"n":0},{"n":1},{"n":2}]}`
		one   = `POST /api/v2/entity {"n":`
	)
	oneByOne := []string{whole, one + "0}", one + "1}", one + "2}"}
	for name, c := range map[string]struct {
		code     int
		body     string
		requests []string
		refused  map[int]string // and what the error ends with
	}{
		"all are good":    {200, `{}`, []string{whole}, nil},
		"an empty answer": {200, ``, []string{whole}, nil},
		"some are refused": {
			207, `{"errors":[{"batch_index":2,"reason":"invalid","field":"id","message":"is odd"},{"batch_index":0}]}`,
			[]string{whole}, map[int]string{0: "refused it", 2: "refused it: invalid: id: is odd"},
		},
		"some are refused with 200": {
			200, `{"errors":[{"batch_index":1,"message":"is odd"}]}`, []string{whole}, map[int]string{1: ": is odd"},
		},
		"all are refused": {
			207, `{"errors":[{"batch_index":0},{"batch_index":1},{"batch_index":2}]}`, []string{whole}, map[int]string{0: "", 1: "", 2: ""},
		},
		"the batch is refused":       {400, `{"errors":[{"reason":"malformed"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"the batch is too large":     {413, ``, oneByOne, map[int]string{1: ": no odd ones"}},
		"there is no batch":          {404, ``, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 names none":             {207, `{}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 is no JSON":             {207, `{"errors":[{"batch_index":1`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has no index":           {207, `{"errors":[{"batch_index":0},{"message":"no"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has an index beyond":    {207, `{"errors":[{"batch_index":3}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has a negative index":   {207, `{"errors":[{"batch_index":-1}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has an index of a text": {207, `{"errors":[{"batch_index":"1"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{answer: func(w http.ResponseWriter, request string) bool {
				switch request {
				case whole:
					w.WriteHeader(c.code)
					_, _ = io.WriteString(w, c.body)
				case one + "1}":
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, `{"errors":[{"message":"no odd ones"}]}`)
				default:
					return false
				}
				return true
			}}
			err := serve(t, a).Send(t.Context(), batch(operation(0), operation(1), operation(2)))
			a.wants(t, c.requests...)
			if c.refused == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			p := partial(t, err)
			if len(p) != len(c.refused) {
				t.Errorf("failures %v", kinds(p))
			}
			for i, text := range c.refused {
				if e := p[i]; e == nil || e.Kind != destination.Refused || !strings.HasSuffix(e.Err.Error(), text) {
					t.Errorf("operation %d: %v, want it refused %q", i, e, text)
				}
			}
		})
	}
}

func TestBatchThatIsNotDecidedWaitsAsAWhole(t *testing.T) {
	for code, kind := range map[int]destination.Kind{500: destination.Failed, 503: destination.Unavailable, 401: destination.Unavailable} {
		a := &api{answer: status(code, "")}
		if e := destination.AsError(serve(t, a).Send(t.Context(), batch(operation(0), operation(1)))); e.Kind != kind {
			t.Errorf("%d: %#v", code, e)
		}
		if n := len(a.asked()); n != 1 {
			t.Errorf("%d: %d requests", code, n)
		}
	}
	// The batch is refused, and then an operation meets an outage.
	a := &api{answer: func(w http.ResponseWriter, request string) bool {
		switch {
		case strings.Contains(request, "/batch"):
			w.WriteHeader(http.StatusBadRequest)
		case strings.Contains(request, `"n":1`):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}}
	p := partial(t, serve(t, a).Send(t.Context(), batch(operation(0), operation(1), operation(2))))
	if len(p) != 2 || p[1].Kind != destination.Unavailable || p[2].Kind != destination.Unavailable {
		t.Errorf("failures %v", kinds(p))
	}
}
