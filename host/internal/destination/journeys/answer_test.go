package journeys_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/journeys"
)

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

// roundTripper stands for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
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
