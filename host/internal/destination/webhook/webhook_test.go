package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/webhook"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a destination for a URL; configure may change its config.
func open(t *testing.T, url string, configure ...func(*webhook.Config)) *webhook.Destination {
	t.Helper()
	var c webhook.Config
	c.Default()
	c.URL, c.Secret = config.NewSecret(url), config.NewSecret("s3cret")
	for _, f := range configure {
		f(&c)
	}
	d, err := webhook.New(c)
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
func serve(t *testing.T, h http.HandlerFunc, configure ...func(*webhook.Config)) *webhook.Destination {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return open(t, s.URL+"/hook?token=t0ken", configure...)
}

func batch(n int) (events []destination.Event) {
	for i := range n {
		events = append(events, destination.Event{
			Position: event.At(1042, 7+i), JSON: fmt.Appendf(nil, `{"messageId":"m%d","n":12345678901234567890}`, i),
		})
	}
	return events
}

func TestRequestIsAsDocumented(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
		body         []byte
	}
	var got request
	d := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Method, r.URL.RequestURI(), r.Header, body}
	})
	if err := d.Send(t.Context(), batch(3)); err != nil {
		t.Fatal(err)
	}
	if got.method != "POST" || got.path != "/hook?token=t0ken" {
		t.Errorf("%s %s", got.method, got.path)
	}
	want := `{"events":[{"messageId":"m0","n":12345678901234567890},{"messageId":"m1","n":12345678901234567890},{"messageId":"m2","n":12345678901234567890}]}`
	if string(got.body) != want || !json.Valid(got.body) {
		t.Errorf("body %s", got.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Wellhead-Batch": "1042.7-1042.9", "User-Agent": "Wellhead",
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("%s: %s, want %s", name, value, want)
		}
	}
	checkSignature(t, got.header.Get("Wellhead-Signature"), "s3cret", got.body)
}

// checkSignature checks a signature as a receiver is told to.
func checkSignature(t *testing.T, header, secret string, body []byte) {
	t.Helper()
	stamp, signature, ok := strings.Cut(header, ",v1=")
	stamp, ok2 := strings.CutPrefix(stamp, "t=")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || !ok2 || err != nil {
		t.Fatalf("signature %q", header)
	}
	if age := time.Since(time.Unix(unix, 0)); age < -time.Second || age > time.Minute {
		t.Errorf("the signature's time is %v ago", age)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + string(body)))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("v1=%s, want %s", signature, want)
	}
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	var header http.Header
	d := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header }, func(c *webhook.Config) { c.Secret = config.Secret{} })
	if err := d.Send(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}
	if _, signed := header["Wellhead-Signature"]; signed {
		t.Errorf("headers %v", header)
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
		401: {waits, attention}, 403: {waits, attention}, 404: {waits, attention}, 405: {waits, attention}, 407: {waits, attention}, 410: {waits, attention},
		408: {waits, false}, 425: {waits, false}, 429: {waits, false}, 503: {waits, false},
		500: {halves, false}, 501: {halves, false}, 502: {halves, false}, 504: {halves, false}, 599: {halves, false},
		400: {refuses, false}, 402: {refuses, false}, 409: {refuses, false}, 413: {refuses, false}, 415: {refuses, false}, 422: {refuses, false},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = fmt.Fprint(w, "because\n\x00of  <this>")
			})
			e := sendError(t, d)
			if e.Kind != want.kind || e.Attention != want.attention || e.Code != fmt.Sprintf("http_%d", status) {
				t.Errorf("%v, attention %v, code %s; want %v, %v", e.Kind, e.Attention, e.Code, want.kind, want.attention)
			}
			if want.attention && e.Hint == "" {
				t.Error("no hint for an operator")
			}
			if status != 304 && !strings.Contains(e.Error(), "because of <this>") {
				t.Errorf("the answer's beginning is not in %q", e)
			}
			if strings.Contains(e.Error(), "t0ken") {
				t.Errorf("the url's token is in %q", e)
			}
		})
	}
	for _, status := range []int{200, 201, 202, 204} {
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if err := d.Send(t.Context(), batch(1)); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func sendError(t *testing.T, d *webhook.Destination) *destination.Error {
	t.Helper()
	err := d.Send(t.Context(), batch(2))
	var e *destination.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %#v", err)
	}
	return e
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var requests atomic.Int32
	d := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_ = sendError(t, d)
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestRetryAfterIsReadInSecondsAndAsADate(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-3": 0, "soon": 0, "": 0, "1.5": 0,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):  time.Hour,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
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

func TestSilentServerIsATimeout(t *testing.T) {
	for name, before := range map[string]func(http.ResponseWriter){
		"no answer": func(http.ResponseWriter) {},
		"500 whose body never ends": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				before(w)
				<-release
			}, func(c *webhook.Config) { c.Timeout = config.Duration(50 * time.Millisecond) })
			t.Cleanup(func() { close(release) })
			began := time.Now()
			e := sendError(t, d)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if want := map[string]string{"no answer": "timeout"}[name]; want != "" && (e.Code != want || e.Kind != destination.Unavailable) {
				t.Errorf("error %#v", e)
			}
		})
	}
}

func TestConnectionThatBreaksIsNoAnswer(t *testing.T) {
	reset := func(w http.ResponseWriter, after string) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, err = io.WriteString(conn, after)
		if err := errors.Join(err, conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
			panic(err)
		}
	}
	t.Run("before the answer", func(t *testing.T) {
		d := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 5)
			reset(w, "")
		})
		if e := sendError(t, d); e.Code != "reset_connection" || e.Kind != destination.Unavailable || strings.Contains(e.Error(), "t0ken") {
			t.Errorf("error %v", e)
		}
	})
	t.Run("in the body of a 200", func(t *testing.T) {
		d := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			reset(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
		})
		if err := d.Send(t.Context(), batch(1)); err != nil {
			t.Errorf("the answer was 200, but Send says %v", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		e := sendError(t, open(t, "http://"+l.Addr().String()))
		want := "refused_connection: " + l.Addr().String() + ": connect: connection refused (nobody listens there: start the receiver, or mend the url)"
		if e.Error() != want || e.Kind != destination.Unavailable {
			t.Errorf("error %v, want %s", e, want)
		}
	})
	t.Run("no such host", func(t *testing.T) {
		if e := sendError(t, open(t, "http://nobody.invalid/t0ken")); e.Code != "unknown_host" || e.Kind != destination.Unavailable || strings.Contains(e.Error(), "t0ken") {
			t.Errorf("error %v", e)
		}
	})
	t.Run("an unknown certificate", func(t *testing.T) {
		s := httptest.NewTLSServer(http.NotFoundHandler())
		s.Config.ErrorLog = nil
		t.Cleanup(s.Close)
		if e := sendError(t, open(t, s.URL)); e.Code != "tls" || !e.Attention {
			t.Errorf("error %v", e)
		}
	})
}

func TestHugeAnswersAreNotRead(t *testing.T) {
	for _, status := range []int{200, 500} {
		wrote := make(chan int64, 1)
		d := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
			wrote <- n
		})
		err := d.Send(t.Context(), batch(1))
		if status == 200 && err != nil {
			t.Error(err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if n := <-wrote; n > 100<<20 {
			t.Errorf("%d bytes of the answer were taken", n)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A server may answer before it has read the body, which the transport then
// still reads while the next batch is made.
func TestBodyThatIsStillReadIsNotOverwritten(t *testing.T) {
	var requests []*http.Request
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		requests = append(requests, r)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
	})
	d := open(t, "http://example.com")
	d.SetTransport(transport)
	send := func(text string) {
		t.Helper()
		if err := d.Send(t.Context(), []destination.Event{{JSON: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(body io.Reader, want string) {
		t.Helper()
		if got, err := io.ReadAll(body); err != nil || string(got) != want {
			t.Errorf("body %s, %v; want %s", got, err, want)
		}
	}
	send(`{"n":1}`)
	first := requests[0]
	again, err := first.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Body.Close()
	_ = first.Body.Close() // counts once
	send(`{"n":2}`)
	read(again, `{"events":[{"n":1}]}`)
	read(requests[1].Body, `{"events":[{"n":2}]}`)
	_ = again.Close()
	_ = requests[1].Body.Close()
	send(`{"n":3}`)
	read(requests[2].Body, `{"events":[{"n":3}]}`)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestConnectionIsUsedAgain(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, "thanks")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	d := open(t, s.URL)
	for range 20 {
		if err := d.Send(t.Context(), batch(5)); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 batches", n)
	}
}

func TestPasswordInTheURLIsBasicAuthentication(t *testing.T) {
	var user, password string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
	t.Cleanup(s.Close)
	d := open(t, strings.Replace(s.URL, "http://", "http://me:pa55@", 1))
	if err := d.Send(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}
	if user != "me" || password != "pa55" {
		t.Errorf("user %q, password %q", user, password)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	d := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Send(ctx, batch(1)); err == nil {
		t.Error("no error")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*webhook.Config){
		"url: is missing":                func(c *webhook.Config) { c.URL = config.Secret{} },
		`url: the scheme "ftp"`:          func(c *webhook.Config) { c.URL = config.NewSecret("ftp://example.com/t0ken") },
		"url: it names no host":          func(c *webhook.Config) { c.URL = config.NewSecret("https:///t0ken") },
		"url: is empty":                  func(c *webhook.Config) { c.URL = config.NewSecret("") },
		"url: its port is out of range":  func(c *webhook.Config) { c.URL = config.NewSecret("https://example.com:70000/t0ken") },
		"secret: is empty; give one, or": func(c *webhook.Config) { c.Secret = config.NewSecret("") },
		"url: is not a URL":              func(c *webhook.Config) { c.URL = config.NewSecret("https://exa mple.com/t0ken") },
		"timeout: 0s is out of range":    func(c *webhook.Config) { c.Timeout = 0 },
		"batch.events: 0 is out of":      func(c *webhook.Config) { c.Batch.Events = 0 },
		"batch.bytes: 1GiB is out of":    func(c *webhook.Config) { c.Batch.Bytes = config.GiB },
		"batch.events: 100000 is out of": func(c *webhook.Config) { c.Batch.Events = 100_000 },
	} {
		var c webhook.Config
		c.Default()
		c.URL = config.NewSecret("https://example.com")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%v, want %q", err, want)
		}
		if _, nerr := webhook.New(c); nerr == nil {
			t.Errorf("New takes a config with %v", err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	var c webhook.Config
	c.URL, c.Secret = config.NewSecret("https://example.com/t0ken"), config.NewSecret("s3cret")
	text := fmt.Sprintf("%v %+v %#v", c, c, c)
	if b := []byte(text); bytes.Contains(b, []byte("t0ken")) || bytes.Contains(b, []byte("s3cret")) {
		t.Error(text)
	}
}
