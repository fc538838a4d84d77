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
