package customerio_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/customerio"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "k3y-c4nary"

// settings returns a config for a URL.
func settings(url string) customerio.Config {
	var c customerio.Config
	c.Default()
	c.Key, c.URL = config.NewSecret(key), url
	return c
}

func open(t *testing.T, c customerio.Config) *customerio.Destination {
	t.Helper()
	d, err := customerio.New(c)
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

// serve starts a server and returns a destination for it.
func serve(t *testing.T, h http.HandlerFunc, configure ...func(*customerio.Config)) *customerio.Destination {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := settings(s.URL)
	for _, f := range configure {
		f(&c)
	}
	return open(t, c)
}

// batch has n events, as the gate leaves them.
func batch(n int) (events []destination.Event) {
	for i := range n {
		events = append(events, eventOf(i, `{"type":"track","userId":"u","event":"E","n":12345678901234567890,"messageId":"m`+strconv.Itoa(i)+`","receivedAt":"2026-11-24T08:00:00.000Z","sourceId":"web"}`))
	}
	return events
}

func eventOf(i int, text string) destination.Event {
	return destination.Event{Position: event.At(1042, i), Source: "web", MessageID: "m" + strconv.Itoa(i), JSON: []byte(text)}
}

// request is what a receiver sees of one.
type request struct {
	Batch  []json.RawMessage
	SentAt time.Time
}

func read(t testing.TB, r *http.Request) (got request, raw string) {
	t.Helper()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Error(err)
			return got, ""
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err = errors.Join(err, json.Unmarshal(b, &got)); err != nil {
		t.Errorf("body %.200s: %v", b, err)
	}
	return got, string(b)
}

func TestRequestIsAsDocumented(t *testing.T) {
	for _, compressed := range []bool{true, false} {
		var method, path, raw string
		var header http.Header
		var got request
		d := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			method, path, header = r.Method, r.URL.RequestURI(), r.Header
			got, raw = read(t, r)
		}, func(c *customerio.Config) {
			c.URL += "/base/"
			c.Gzip = compressed
		})
		if err := d.Send(t.Context(), batch(2)); err != nil {
			t.Fatal(err)
		}
		if method != "POST" || path != "/base/v1/batch" {
			t.Errorf("%s %s", method, path)
		}
		want := `{"batch":[{"type":"track","userId":"u","event":"E","n":12345678901234567890,"messageId":"m0"},{"type":"track","userId":"u","event":"E","n":12345678901234567890,"messageId":"m1"}],"sentAt":"` +
			got.SentAt.Format("2006-01-02T15:04:05.000Z") + `"}`
		if raw != want {
			t.Errorf("body %s\nwant %s", raw, want)
		}
		if age := time.Since(got.SentAt); age < -time.Second || age > time.Minute {
			t.Errorf("sentAt is %v ago", age)
		}
		encoding := map[bool]string{true: "gzip"}[compressed]
		for name, want := range map[string]string{
			"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")), "Content-Type": "application/json",
			"Content-Encoding": encoding, "User-Agent": "Wellhead", "X-Strict-Mode": "1",
		} {
			if value := header.Get(name); value != want {
				t.Errorf("%s: %q, want %q", name, value, want)
			}
		}
	}
}

func TestEventsKeepTheirBytesButForFourMembers(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: `{}`,
		`{"receivedAt":"r","a":1,"sourceId":"s"}`:                        `{"a":1}`,
		`{"sentAt":"s","originalTimestamp":"o","timestamp":"t"}`:         `{"timestamp":"t"}`,
		`{"a":{"sentAt":"s","receivedAt":[{"sourceId":1}]},"sentAt":{}}`: `{"a":{"sentAt":"s","receivedAt":[{"sourceId":1}]}}`,
		`{"sent\u0041t":"s","\u0061":"\u00e9é\/","b":1.50e+300}`:         `{"\u0061":"\u00e9é\/","b":1.50e+300}`,
		` { "a" : [ 1 , 2 ] , "sourceId" : { } , "b" : "x,}" } `:         `{"a":[ 1 , 2 ],"b":"x,}"}`,
		`{"n":-0.0,"big":123456789012345678901234567890,"e":1E5}`:        `{"n":-0.0,"big":123456789012345678901234567890,"e":1E5}`,
	} {
		var got request
		d := serve(t, func(_ http.ResponseWriter, r *http.Request) { got, _ = read(t, r) })
		if err := d.Send(t.Context(), []destination.Event{eventOf(0, in)}); err != nil {
			t.Fatal(err)
		}
		if len(got.Batch) != 1 || string(got.Batch[0]) != want {
			t.Errorf("%s was sent as %s, want %s", in, got.Batch, want)
		}
	}
}

func TestAnswerDecidesWhatHappensNext(t *testing.T) {
	const (
		waits     = destination.Unavailable
		halves    = destination.Failed
		refuses   = destination.Refused
		attention = true
	)
	for status, want := range map[int]struct {
		kind      destination.Kind
		attention bool
	}{
		301: {waits, attention}, 302: {waits, attention}, 304: {waits, attention}, 307: {waits, attention}, 308: {waits, attention},
		401: {waits, attention}, 402: {waits, attention}, 403: {waits, attention}, 404: {waits, attention}, 405: {waits, attention},
		407: {waits, attention}, 410: {waits, attention}, 415: {waits, attention},
		408: {waits, false}, 425: {waits, false}, 429: {waits, false}, 460: {waits, false}, 503: {waits, false},
		500: {halves, false}, 501: {halves, false}, 502: {halves, false}, 504: {halves, false}, 522: {halves, false}, 599: {halves, false},
		400: {refuses, false}, 406: {refuses, false}, 409: {refuses, false}, 413: {refuses, false}, 422: {refuses, false},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			var requests atomic.Int32
			d := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if body, _ := read(t, r); len(body.Batch) == 0 {
					return // it is up
				}
				requests.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = fmt.Fprint(w, `{"meta":{"errors":["because\n of  <this>"]}}`)
			})
			e := sendError(t, d)
			if e.Kind != want.kind || e.Attention != want.attention || e.Code != fmt.Sprintf("http_%d", status) {
				t.Errorf("%v, attention %v, code %s; want %v, %v", e.Kind, e.Attention, e.Code, want.kind, want.attention)
			}
			if want.attention == (e.Hint == "") {
				t.Errorf("hint %q", e.Hint)
			}
			if status != 304 && !strings.Contains(e.Error(), "because of <this>") {
				t.Errorf("what the receiver says is not in %q", e)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
	for status, body := range map[int]string{200: `{}`, 201: `{"success":true}`, 202: `thanks`, 204: ``} {
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
		if err := d.Send(t.Context(), batch(1)); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// An outage must not take a batch apart.
func TestA500IsTheBatchsOwnFaultOnlyWhereAnEmptyOnePasses(t *testing.T) {
	for status, want := range map[int]destination.Kind{
		200: destination.Failed, 400: destination.Failed, 401: destination.Failed, 500: destination.Unavailable, 503: destination.Unavailable,
	} {
		d := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if body, _ := read(t, r); len(body.Batch) > 0 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.WriteHeader(status)
		})
		if e := sendError(t, d); e.Kind != want || e.Code != "http_500" {
			t.Errorf("with an empty batch answered %d: %v, %s; want %v", status, e.Kind, e.Code, want)
		}
	}
}

func sendError(t *testing.T, d *customerio.Destination) *destination.Error {
	t.Helper()
	err := d.Send(t.Context(), batch(2))
	var e *destination.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %#v", err)
	}
	return e
}

func TestRetryAfterIsReadInSecondsAndAsADate(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "soon": 0, "": 0,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if got := sendError(t, d).RetryAfter; got > want || got < want-5*time.Second {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

// refused is the answer of a Wellhead that refused the events at some indexes.
func refused(w http.ResponseWriter, status int, indexes ...int) {
	type refusal struct {
		Index               int
		Code, Path, Message string
	}
	var all []refusal
	for _, i := range indexes {
		all = append(all, refusal{i, "plan", "/properties/total", "it is no number"})
	}
	w.Header().Set("Wellhead-Refused", strconv.Itoa(len(indexes)))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": "refused", "message": "some were refused", "refused": all})
}

func TestOnlyWhatAReceiverNamesIsRefused(t *testing.T) {
	for _, status := range []int{200, 400} {
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) { refused(w, status, 1, 3) })
		events := batch(6)
		// Index 1 of what the receiver sees is index 2 of the batch.
		events[0].JSON = fmt.Appendf(nil, `{"n":"%s"}`, strings.Repeat("x", 33<<10))
		var p destination.Partial
		if err := d.Send(t.Context(), events); !errors.As(err, &p) {
			t.Fatalf("%d: error %#v", status, err)
		}
		var indexes []int
		for i, e := range p {
			indexes = append(indexes, i)
			if e.Kind != destination.Refused {
				t.Errorf("%d: event %d: %v", status, i, e)
			}
		}
		if slices.Sort(indexes); !slices.Equal(indexes, []int{0, 2, 4}) {
			t.Errorf("%d: the events %v are refused, want 0, 2 and 4", status, indexes)
		}
		if !strings.HasSuffix(p[2].Error(), " refused it: plan at /properties/total: it is no number") || p[0].Code != "too_large" {
			t.Errorf("%d: %v", status, p)
		}
	}
}

func TestRefusalsThatNameNoneRefuseTheWhole(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"beyond the batch": func(w http.ResponseWriter, _ *http.Request) { refused(w, 400, 0, 2) },
		"negative":         func(w http.ResponseWriter, _ *http.Request) { refused(w, 200, -1) },
		"not the number": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Wellhead-Refused", "2")
			_, _ = io.WriteString(w, `{"refused":[{"index":0}]}`)
		},
		"no index": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Wellhead-Refused", "1")
			_, _ = io.WriteString(w, `{"refused":[{"messageId":"m0"}]}`)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Wellhead-Refused", "1")
			_, _ = io.WriteString(w, `{"refused":[{"index":0,"message":"`+strings.Repeat("x", 2<<20)+`"}]}`)
		},
	} {
		if e := sendError(t, serve(t, answer)); e.Kind != destination.Refused || e.Code != "refused" {
			t.Errorf("%s: %v", name, e)
		}
	}
	// The header of another receiver says nothing about an outage.
	d := serve(t, func(w http.ResponseWriter, _ *http.Request) { refused(w, 503, 0) })
	if e := sendError(t, d); e.Kind != destination.Unavailable {
		t.Errorf("a 503 with refusals: %v", e)
	}
}

func TestAnEventThatIsTooLargeIsRefusedAlone(t *testing.T) {
	sized := func(i, n int) destination.Event {
		const around = len(`{"n":""}`)
		return eventOf(i, `{"n":"`+strings.Repeat("x", n-around)+`"}`)
	}
	var got []request
	d := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := read(t, r)
		got = append(got, body)
	})
	err := d.Send(t.Context(), []destination.Event{sized(0, 32<<10), sized(1, 32<<10+1), eventOf(2, `{"b":2}`), eventOf(3, `[]`), eventOf(4, `{"b":`)})
	var p destination.Partial
	if !errors.As(err, &p) || len(p) != 3 || p[1] == nil || p[1].Code != "too_large" || p[1].Hint == "" || p[3] == nil || p[4] == nil {
		t.Errorf("error %v, want that event 1 is too large, and 3 and 4 no objects", err)
	}
	if len(got) != 1 || len(got[0].Batch) != 2 || string(got[0].Batch[1]) != `{"b":2}` {
		t.Errorf("%d requests", len(got))
	}
	if err := d.Send(t.Context(), []destination.Event{sized(0, 40<<10)}); !errors.As(err, &p) || len(p) != 1 {
		t.Errorf("error %v", err)
	}
	if len(got) != 1 {
		t.Error("a request without events was sent")
	}
}

// The loop adds events up to Batch; what stands around them must fit too.
func TestAFullBatchIsWithinCustomerIOsLimit(t *testing.T) {
	var size int
	d := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, raw := read(t, r)
		size = len(raw)
	})
	events, bytes := d.Batch()
	var full []destination.Event
	for i := range events {
		full = append(full, eventOf(i, `{"n":"`+strings.Repeat("x", bytes/events-len(`{"n":""}`))+`"}`))
	}
	if err := d.Send(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if size < bytes || size > 500_000 {
		t.Errorf("a body of %d bytes for %d of events", size, bytes)
	}
}

func TestSilentServerIsATimeout(t *testing.T) {
	release := make(chan struct{})
	d := serve(t, func(http.ResponseWriter, *http.Request) { <-release }, func(c *customerio.Config) { c.Timeout = config.Duration(50 * time.Millisecond) })
	t.Cleanup(func() { close(release) })
	if e := sendError(t, d); e.Code != "timeout" || e.Kind != destination.Unavailable {
		t.Errorf("error %v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Send(ctx, batch(1)); err == nil {
		t.Error("a Send whose context has ended took the events")
	}
}

func TestConnectionThatBreaksIsNoAnswer(t *testing.T) {
	t.Run("before the answer", func(t *testing.T) {
		d := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
				panic(err)
			}
		})
		if e := sendError(t, d); e.Code != "reset_connection" || e.Kind != destination.Unavailable {
			t.Errorf("error %v", e)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		if e := sendError(t, open(t, settings(s.URL))); e.Code != "refused_connection" || e.Kind != destination.Unavailable {
			t.Errorf("error %v", e)
		}
	})
	t.Run("an unknown certificate", func(t *testing.T) {
		s := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(s.Close)
		if e := sendError(t, open(t, settings(s.URL))); e.Code != "tls" || !e.Attention {
			t.Errorf("error %v", e)
		}
	})
}

func TestHugeAnswersAreNotRead(t *testing.T) {
	for _, status := range []int{200, 500} {
		wrote := make(chan int64, 1)
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			n, _ := io.Copy(w, io.LimitReader(endless{}, 1<<30))
			wrote <- n
		})
		err := d.Send(t.Context(), batch(1))
		if (status == 200) != (err == nil) || err != nil && len(err.Error()) > 500 {
			t.Errorf("%d: %.600v", status, err)
		}
		if n := <-wrote; n > 100<<20 {
			t.Errorf("%d bytes of the answer were taken", n)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestConnectionIsUsedAgain(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, "{}")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	d := open(t, settings(s.URL))
	for range 20 {
		if err := d.Send(t.Context(), batch(5)); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 batches", n)
	}
}

func TestRegionSaysWhereItGoes(t *testing.T) {
	for region, want := range map[customerio.Region]string{
		customerio.US: "https://cdp.customer.io/v1/batch", customerio.EU: "https://cdp-eu.customer.io/v1/batch",
	} {
		c := settings("")
		c.Region = region
		d := open(t, c)
		var got string
		d.SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return reply(200, nil, "{}"), nil
		}))
		if err := d.Send(t.Context(), batch(1)); err != nil || got != want {
			t.Errorf("%s: %v, sent to %s", region, err, got)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*customerio.Config){
		"":                               func(c *customerio.Config) { c.URL = "http://127.0.0.1:8080" },
		" ":                              func(c *customerio.Config) { c.URL, c.Plaintext = "http://events.example.com", true },
		"  ":                             func(c *customerio.Config) { c.URL, c.MaxEvent, c.Batch.Bytes = "https://example.com", 1<<20, 4<<20 },
		"key: is missing":                func(c *customerio.Config) { c.Key = config.Secret{} },
		"key: is empty":                  func(c *customerio.Config) { c.Key = config.NewSecret("") },
		"key: holds a colon":             func(c *customerio.Config) { c.Key = config.NewSecret(key + ":") },
		"key: holds a colon, a space or": func(c *customerio.Config) { c.Key = config.NewSecret(key + "\n") },
		`region: no region "asia"`:       func(c *customerio.Config) { c.Region = "asia" },
		`url: the scheme "ftp"`:          func(c *customerio.Config) { c.URL = "ftp://example.com" },
		"url: it names no host":          func(c *customerio.Config) { c.URL = "https://" },
		"url: its port is out of range":  func(c *customerio.Config) { c.URL = "https://example.com:70000" },
		"url: is not a URL":              func(c *customerio.Config) { c.URL = "https://exa mple.com" },
		"url: it holds a password":       func(c *customerio.Config) { c.URL = "https://" + key + "@example.com" },
		"url: it has a query":            func(c *customerio.Config) { c.URL = "https://example.com?a=" + key },
		"url: it ends with the path":     func(c *customerio.Config) { c.URL = "https://example.com/v1/" },
		"url: it ends with the path that is added to it; remove /v1 or": func(c *customerio.Config) { c.URL = "https://example.com/v1/batch" },
		"url: by http the key and the events can be read":               func(c *customerio.Config) { c.URL = "http://events.example.com" },
		"timeout: 0s is out of range":                                   func(c *customerio.Config) { c.Timeout = 0 },
		"batch.events: 0 is out of range":                               func(c *customerio.Config) { c.Batch.Events = 0 },
		"batch.bytes: 1MiB is out of range; want 1 byte to 475KB: Cus":  func(c *customerio.Config) { c.Batch.Bytes = config.MiB },
		"max_event: 33KiB is out of range; want 1 byte to 32KiB: Cust":  func(c *customerio.Config) { c.MaxEvent = 33 * config.KiB },
		"max_event: 1MiB is out of range; want 1 byte to 475KB, which":  func(c *customerio.Config) { c.URL, c.MaxEvent = "https://example.com", config.MiB },
	} {
		c := settings("")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		err := c.Validate()
		if want = strings.TrimSpace(want); want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), key) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, nerr := customerio.New(c); nerr == nil {
			t.Errorf("New takes a config with %v", err)
		}
	}
}

func TestTheKeyIsNotPrinted(t *testing.T) {
	hidden := func(what, text string) {
		t.Helper()
		for _, canary := range []string{key, base64.StdEncoding.EncodeToString([]byte(key + ":"))} {
			if strings.Contains(text, canary) {
				t.Errorf("%s: %s", what, text)
			}
		}
	}
	c := settings("http://127.0.0.1:1")
	hidden("config", fmt.Sprintf("%v %+v %#v", c, c, c))
	for name, echo := range map[string]func(http.ResponseWriter, string){
		"meta.errors": func(w http.ResponseWriter, secret string) {
			w.WriteHeader(401)
			_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]any{"errors": []string{"no source has " + secret}}})
		},
		"message": func(w http.ResponseWriter, secret string) {
			w.WriteHeader(400)
			_ = json.NewEncoder(w).Encode(map[string]any{"message": secret})
		},
		"a page": func(w http.ResponseWriter, secret string) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<p>"+secret)
		},
		"a refusal": func(w http.ResponseWriter, secret string) {
			w.Header().Set("Wellhead-Refused", "1")
			_ = json.NewEncoder(w).Encode(map[string]any{"refused": []any{map[string]any{"index": 0, "code": secret, "path": secret, "message": secret}}})
		},
		"redirect": func(w http.ResponseWriter, secret string) {
			w.Header().Set("Location", "/"+secret)
			w.WriteHeader(302)
		},
	} {
		d := serve(t, func(w http.ResponseWriter, r *http.Request) {
			user, _, _ := r.BasicAuth()
			if user != key {
				t.Errorf("%s: the user is %q", name, user)
			}
			echo(w, user+" "+r.Header.Get("Authorization"))
		})
		err := d.Send(t.Context(), batch(1))
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		hidden(name, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
	hidden("no answer", sendError(t, open(t, c)).Error())
}

func BenchmarkSend(b *testing.B) {
	text, err := os.ReadFile("../../../bench/testdata/event.json")
	if err != nil {
		b.Fatal(err)
	}
	d, err := customerio.New(settings(""))
	if err != nil {
		b.Fatal(err)
	}
	d.SetTransport(roundTripper(func(*http.Request) (*http.Response, error) { return reply(200, nil, "{}"), nil }))
	var events []destination.Event
	for i := range 300 {
		events = append(events, eventOf(i, string(bytes.TrimSpace(text))))
	}
	b.SetBytes(int64(300 * len(events[0].JSON)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Send(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
}
