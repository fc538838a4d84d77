package client_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/sdk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // simpleforce logs there
	goleak.VerifyTestMain(m)
}

// tokens are the host's side: token n is "token-n", rejected means n+1.
type tokens struct {
	url      string
	n        atomic.Int32
	rejected atomic.Int32
}

func (t *tokens) Token(context.Context) (sdk.Token, error) {
	return sdk.Token{AccessToken: fmt.Sprintf("token-%d", t.n.Load()), InstanceURL: t.url}, nil
}

func (t *tokens) RejectToken(sdk.Token) { t.n.Add(1); t.rejected.Add(1) }

// dial returns a client of an org that answers by h.
func dial(t *testing.T, stopAt float64, h http.HandlerFunc) (*client.Client, *tokens) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	tk := &tokens{url: srv.URL}
	c := client.New(client.Options{Tokens: tk, StopAt: stopAt, Backoff: time.Millisecond})
	t.Cleanup(c.Close)
	return c, tk
}

const noRows = `{"totalSize":0,"done":true,"records":[]}`

// answers gives one answer after another, the last one for ever.
func answers(n *atomic.Int32, list ...http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(list)) - 1
		list[i](w, r)
	}
}

func status(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// airbyte#71024, elastic/beats#50149, PipedreamHQ#4222, PipedreamHQ#21174, cerb#836
func TestALongSyncSurvivesItsTokensEnd(t *testing.T) {
	for _, code := range []string{"INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT"} {
		c, tk := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer token-1" {
				status(401, "application/json", `[{"message":"Session expired or invalid","errorCode":"`+code+`"}]`)(w, r)
				return
			}
			_, _ = io.WriteString(w, noRows)
		})
		if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", true); err != nil {
			t.Errorf("%s: %v", code, err)
		}
		if n := tk.rejected.Load(); n != 1 {
			t.Errorf("%s: %d tokens rejected, want 1", code, n)
		}
	}
}

// airbyte#10236
func TestRequestsGoToTheCustomDomainThatTheTokenNames(t *testing.T) {
	asked := map[string]int{}
	instance := func(name string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[name]++
			if name == "old" {
				status(401, "application/json", `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)(w, r)
				return
			}
			_, _ = io.WriteString(w, noRows)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	tk := &moving{urls: []string{instance("old"), instance("new")}}
	c := client.New(client.Options{Tokens: tk, Backoff: time.Millisecond})
	t.Cleanup(c.Close)
	for range 2 {
		if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", false); err != nil {
			t.Fatal(err)
		}
	}
	if asked["old"] != 1 || asked["new"] != 2 {
		t.Errorf("asked %v", asked)
	}
}

// moving is an org that is at another URL with each token.
type moving struct{ urls []string }

func (m *moving) Token(context.Context) (sdk.Token, error) {
	return sdk.Token{AccessToken: "t" + m.urls[0], InstanceURL: m.urls[0]}, nil
}

func (m *moving) RejectToken(sdk.Token) { m.urls = m.urls[1:] }

func TestATokenIsReplacedOnlyOnce(t *testing.T) {
	var n atomic.Int32
	c, _ := dial(t, 0, answers(&n, status(401, "application/json", `[{"message":"no","errorCode":"INVALID_SESSION_ID"}]`)))
	_, err := c.Query(t.Context(), "SELECT Id FROM Contact", true)
	if !client.Is(err, client.SessionRefused) || n.Load() != 2 {
		t.Errorf("got %v after %d requests, want session_refused after 2", err, n.Load())
	}
}

func TestATokenThatManyFindRefusedIsReplacedOnce(t *testing.T) {
	const many = 8
	var together sync.WaitGroup
	together.Add(many)
	c, tk := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-0" {
			together.Done()
			together.Wait() // all are refused before one renews
			status(401, "application/json", `[{"message":"no","errorCode":"INVALID_SESSION_ID"}]`)(w, r)
			return
		}
		_, _ = io.WriteString(w, noRows)
	})
	var done sync.WaitGroup
	for range many {
		done.Go(func() {
			if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", true); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if n := tk.rejected.Load(); n != 1 {
		t.Errorf("%d tokens rejected", n)
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = ' '
	}
	c, _ := dial(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		for range 65 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, noRows)
	})
	if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", true); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("65 MiB: %v", err)
	}
}

func TestWhatPassesByItselfIsAskedAgain(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{
		"503":              status(503, "application/json", `[{"message":"down","errorCode":"SERVER_UNAVAILABLE"}]`),
		"HTML for JSON":    status(200, "text/html", "<html>We are down for maintenance.</html>"),
		"unlabelled HTML":  status(200, "application/json", "<html>We are down for maintenance.</html>"),
		"empty 406":        status(406, "", ""),
		"empty 420":        status(420, "", ""),
		"concurrent limit": status(403, "application/json", `[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`),
		"truncated answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"totalSize":0,`)
		},
		"reset connection": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var n atomic.Int32
		c, _ := dial(t, 0, answers(&n, failure, failure, status(200, "application/json", noRows)))
		if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// airbyte#26520
func TestErrorsHaveACodeAndAFix(t *testing.T) {
	for _, e := range []struct {
		status     int
		body       string
		kind       client.Kind
		fix        string
		contentTyp string
	}{
		{400, `[{"message":"\nSELECT Id FROM X\n ^ unexpected token","errorCode":"MALFORMED_QUERY"}]`, client.MalformedQuery, "where", ""},
		{400, `[{"message":"No such column 'X'","errorCode":"INVALID_FIELD"}]`, client.UnknownField, "Set Field-Level Security", ""},
		{400, `[{"message":"sObject type 'XYZZY' is not supported.","errorCode":"INVALID_TYPE"}]`, client.UnknownObject, "Object Settings", ""},
		{403, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, client.DailyLimit, "API Requests, Last 24 Hours", ""},
		{403, `[{"message":"x","errorCode":"API_DISABLED_FOR_ORG"}]`, client.APIDisabled, "API Enabled", ""},
		{403, `[{"message":"x","errorCode":"INSUFFICIENT_ACCESS"}]`, client.NoPermission, "Permission Sets", ""},
		{414, "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", client.URITooLong, "fewer fields", "text/html"},
		{400, `[{"message":"Your query request was running for too long.","errorCode":"QUERY_TIMEOUT"}]`, client.QueryTimeout, "index", ""},
		{400, `[{"message":"invalid query locator","errorCode":"INVALID_QUERY_LOCATOR"}]`, client.LocatorLost, "", ""},
		{400, `[{"message":"Selecting compound data not supported in Bulk Query","errorCode":"API_ERROR"}]`, client.BulkUnsupported, "REST", ""},
		{400, `[{"message":"Max bulk v2 query jobs (10000) per 24 hrs has been reached (10021)","errorCode":"LIMIT_EXCEEDED"}]`, client.BulkLimit, "24 hours", ""},
		{410, `[{"message":"x","errorCode":"GONE"}]`, client.VersionRetired, "api_version", ""},
		{302, ``, client.WrongHost, "My Domain", ""},
		{404, `<html>no</html>`, client.WrongHost, "My Domain", "text/html"},
		{400, `[]`, client.Refused, "", ""}, // on which simpleforce panics
		{400, `{"error":"invalid_request","error_description":"x"}`, client.Refused, "", ""},
		{400, ``, client.Refused, "", ""},
	} {
		c, _ := dial(t, 0, status(e.status, e.contentTyp, e.body))
		_, err := c.Query(t.Context(), "SELECT Id FROM Contact WHERE Email = 'secret'", true)
		if !client.Is(err, e.kind) {
			t.Errorf("%d %s: got %v, want %s", e.status, e.body, err, e.kind)
			continue
		}
		p := client.Problem(err, "/x")
		if p.Code != string(e.kind) || !strings.Contains(p.Fix, e.fix) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d %s: got %+v", e.status, e.body, p)
		}
	}
}

func TestAnErrorOfTheWayDoesNotTellTheQuery(t *testing.T) {
	c := client.New(client.Options{Tokens: &tokens{url: "http://127.0.0.1:1"}, Backoff: time.Millisecond})
	_, err := c.Query(t.Context(), "SELECT Id FROM Contact WHERE Email = 'secret'", true)
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "token-") {
		t.Errorf("got %v", err)
	}
}

func TestTheSourceStopsAtItsShareOfTheQuota(t *testing.T) {
	for header, wantUsed := range map[string]int64{
		"api-usage=80/100": 80, "per-app-api-usage=99/100(appName=x); api-usage=79/100": 79,
		"api-usage=81/100, per-app-api-usage=1/250(appName=MyConnectedApp)": 81, "per-app-api-usage=99/100(appName=x)": 0,
	} {
		var n atomic.Int32
		c, _ := dial(t, 0.8, func(w http.ResponseWriter, _ *http.Request) {
			n.Add(1)
			w.Header().Set("Sforce-Limit-Info", header)
			_, _ = io.WriteString(w, noRows)
		})
		if _, err := c.Query(t.Context(), "SELECT Id FROM Contact", true); err != nil {
			t.Fatal(err)
		}
		if used, _ := c.Usage(); used != wantUsed {
			t.Errorf("%s: got %d, want %d", header, used, wantUsed)
		}
		_, err := c.Query(t.Context(), "SELECT Id FROM Contact", true)
		if _, stopped := errors.AsType[*client.QuotaError](err); stopped != (wantUsed >= 80) {
			t.Errorf("%s: second query: %v", header, err)
		}
		if stopped := wantUsed >= 80; stopped && n.Load() != 1 {
			t.Errorf("%s: %d requests were sent", header, n.Load())
		}
	}
}

func TestBulkPagesKeepTheirBytes(t *testing.T) {
	page := "\"Id\",\"Text\"\n\"1\",\"a,\"\"b\"\"\r\nc\"\n\"2\",\"\"\n3,plain\n"
	c, _ := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sforce-Locator", "null")
		w.Header().Set("Sforce-NumberOfRecords", "3")
		_, _ = io.WriteString(w, page)
	})
	rows, err := c.Rows(t.Context(), c.RowsPath("750", "", 10))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(row[0])+"="+string(row[1]))
	}
	if want := "1=a,\"b\"\r\nc|2=|3=plain"; strings.Join(got, "|") != want || rows.Next != "" {
		t.Errorf("got %q, next %q", got, rows.Next)
	}
}

func TestADescribeIsAskedForIfItHasChanged(t *testing.T) {
	seen := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	c, _ := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") == "Sun, 01 Mar 2026 11:00:00 GMT" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, `{"name":"Contact"}`)
	})
	for since, want := range map[time.Time]string{{}: `{"name":"Contact"}`, seen.Add(-time.Second): `{"name":"Contact"}`, seen: ""} {
		b, err := c.Describe(t.Context(), "Contact", since)
		if err != nil || string(b) != want || (b == nil) != (want == "") {
			t.Errorf("%s: got %q, %v", since, b, err)
		}
	}
}

func TestATruncatedBulkPageIsNoticed(t *testing.T) {
	const whole = "\"Id\",\"Text\"\n\"1\",\"a\"\n\"2\",\"b\"\n"
	for cut := len("\"Id\",\"Text\"\n"); cut < len(whole)-1; cut++ { // the last LF may be missing
		c, _ := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Sforce-NumberOfRecords", "2")
			_, _ = io.WriteString(w, whole[:cut])
		})
		rows, err := c.Rows(t.Context(), c.RowsPath("750", "", 10))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = rows.Read()
		}
		rows.Close()
		if !errors.Is(err, client.ErrTruncated) {
			t.Errorf("cut at %d: got %v", cut, err)
		}
	}
}

func FuzzCSVReadsAsTheStandardLibrary(f *testing.F) {
	for _, s := range []string{"a,b\n\"1\",\"2\"\n", "a\n\"x\"\"y\"\n", "a,b\n\"\n\",\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, page string) {
		if !strings.HasSuffix(page, "\n") || strings.ContainsAny(page, "\r") || strings.Contains(page, "\n\n") || strings.HasPrefix(page, "\n") {
			return // where the standard library drops bytes or lines
		}
		r := csv.NewReader(strings.NewReader(page))
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		got, err := client.ReadCSV(strings.NewReader(page))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %q, %v, want %q", page, got, err, want)
		}
	})
}

func TestSalesforceIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"31536000": 15 * time.Minute, "60": time.Minute, "-1": 0, "soon": 0,
		time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat): 15 * time.Minute,
	} {
		var n atomic.Int32
		c, _ := dial(t, 0, func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			w.Header().Set("Retry-After", header)
			status(503, "application/json", `[{"message":"down","errorCode":"SERVER_UNAVAILABLE"}]`)(w, r)
		})
		for range 3 {
			_, err := c.Query(t.Context(), "SELECT Id FROM Contact", true)
			if got := client.RetryAfter(err); !client.Is(err, client.Unavailable) || got > want || got < want-10*time.Second {
				t.Errorf("%s: wait %s after %v, want %s", header, got, err, want)
			}
		}
		if asked := n.Load(); want > 0 && asked != 1 || want == 0 && asked != 15 {
			t.Errorf("%s: asked %d times", header, asked)
		}
	}
}

func TestAnEndlessAnswerIsHeldOnce(t *testing.T) {
	block := make([]byte, 1<<20)
	c, _ := dial(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Query(t.Context(), "SELECT Id FROM Contact", true)
	runtime.ReadMemStats(&after)
	if made := (after.TotalAlloc - before.TotalAlloc) >> 20; err == nil || made > 100 {
		t.Errorf("%d MiB were made of an answer, %v", made, err)
	} else {
		t.Logf("%d MiB", made)
	}
}

// What is tried again is told at each failed try, and its end when the last of
// the requests has one: an answer, an error that stays, or the caller's own end.
func TestWhatIsTriedAgainIsTold(t *testing.T) {
	told := make(chan error, 16)
	said := func() (s []string) {
		for len(told) > 0 {
			s = append(s, fmt.Sprint(<-told))
		}
		return s
	}
	ask := func(backoff time.Duration, h http.HandlerFunc) *client.Client {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		c := client.New(client.Options{Tokens: &tokens{url: srv.URL}, Backoff: backoff, Retrying: func(err error) { told <- err }})
		t.Cleanup(c.Close)
		return c
	}
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }
	rows := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, noRows) }
	const busy = "salesforce: unavailable: busy"
	for name, w := range map[string]struct {
		org  []http.HandlerFunc
		want []string
		ok   bool
	}{
		"none":              {[]http.HandlerFunc{rows}, nil, true},
		"until it succeeds": {[]http.HandlerFunc{refuse, refuse, rows}, []string{busy, busy, "<nil>"}, true},
		"until it fails":    {[]http.HandlerFunc{refuse}, []string{busy, busy, busy, busy, "<nil>"}, false},
	} {
		var n atomic.Int32
		_, err := ask(time.Millisecond, answers(&n, w.org...)).Query(t.Context(), "SELECT Id FROM A", false)
		if got := said(); !slices.Equal(got, w.want) || (err == nil) != w.ok {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	// One that is tried again outlasts another, and ends with its caller.
	var n atomic.Int32
	c := ask(time.Hour, answers(&n, refuse, refuse, rows))
	var ended [2]chan error
	var end [2]context.CancelFunc
	for i := range ended {
		ctx, cancel := context.WithCancel(t.Context())
		end[i], ended[i] = cancel, make(chan error, 1)
		go func() {
			_, err := c.Query(ctx, "SELECT Id FROM A", false)
			ended[i] <- err
		}()
		if err := <-told; err == nil {
			t.Error("a request that failed is not told")
		}
	}
	for i, want := range [][]string{nil, {"<nil>"}} {
		if _, err := c.Query(t.Context(), "SELECT Id FROM B", false); err != nil {
			t.Error(err)
		}
		if got := said(); got != nil {
			t.Errorf("%q while a request is tried again", got)
		}
		end[i]()
		if err := <-ended[i]; err == nil {
			t.Error("a request whose caller ended it succeeded")
		}
		if got := said(); !slices.Equal(got, want) {
			t.Errorf("%q after the end of request %d, want %q", got, i, want)
		}
	}
}
