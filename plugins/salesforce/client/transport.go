package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

const (
	// maxAnswer bounds an answer that is held in memory: a page of 2,000 rows
	// with several long text areas stays below it.
	maxAnswer = 64 << 20
	maxTries  = 5
	// requestTime is longer than the two minutes after which Salesforce itself
	// ends a query.
	requestTime = 3 * time.Minute
	// idleTime bounds the silence within a streamed answer.
	idleTime = 2 * time.Minute
	// quotaPause is how long the client is silent when the org's quota is used
	// up to its mark; then one request may look again.
	quotaPause = 15 * time.Minute
	// longestRetryAfter bounds for how long Salesforce can have the client be
	// silent; then one request looks again.
	longestRetryAfter = 15 * time.Minute
	// An answer is read into pieces that grow from the first to the largest.
	firstPiece, answerPiece = 4 << 10, 1 << 20
	// shortRetryAfter is what a request waits for by itself; longer is its
	// caller's.
	shortRetryAfter = 5 * time.Second
)

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.ResponseHeaderTimeout = requestTime
	t.MaxIdleConnsPerHost = 8
	return t
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// chain is the way of a request whose answer is held in memory.
func (c *Client) chain(ctx context.Context) http.RoundTripper {
	return withContext(ctx, c.retry(c.withinQuota(c.withToken(withTimeout(requestTime, c.judge(buffered))))))
}

// withContext gives the request the context that simpleforce cannot.
func withContext(ctx context.Context, next trip) trip {
	return func(r *http.Request) (*http.Response, error) { return next(r.WithContext(ctx)) }
}

// withHeader sets a header that simpleforce cannot.
func withHeader(name, value string, next http.RoundTripper) trip {
	return func(r *http.Request) (*http.Response, error) {
		r.Header.Set(name, value)
		return next.RoundTrip(r)
	}
}

// withTimeout bounds a try whose answer is buffered.
func withTimeout(d time.Duration, next trip) trip {
	return func(r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		return next(r.WithContext(ctx))
	}
}

// retry sends a request again where Salesforce or the way to it failed for a
// while. Every request of this package can be repeated: at worst a Bulk job is
// made twice and expires unused.
func (c *Client) retry(next trip) trip {
	return func(r *http.Request) (*http.Response, error) {
		pause := c.backoff
		for try := 1; ; try++ {
			if try > 1 && r.GetBody != nil {
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				r.Body = body
			}
			resp, err := next(r)
			if err == nil || try == maxTries || r.Context().Err() != nil || !temporary(err) {
				return resp, err
			}
			after := RetryAfter(err)
			if after > shortRetryAfter {
				return nil, err
			}
			c.again.failed(err, try == 1)
			if try == 1 {
				defer c.again.end()
			}
			t := time.NewTimer(max(after, pause/2+rand.N(pause)))
			select {
			case <-t.C:
			case <-r.Context().Done():
				t.Stop()
				return nil, err
			}
			pause *= 2
		}
	}
}

// again counts the requests that are sent again, and tells.
type again struct {
	tell func(error)
	mu   sync.Mutex // held while it tells
	n    int
}

func (a *again) failed(err error, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first {
		a.n++
	}
	a.tell(err)
}

func (a *again) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 {
		a.tell(nil)
	}
}

func temporary(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Temporary()
	}
	if errors.Is(err, errTooLarge) || errors.Is(err, sdk.ErrNeedsConsent) || errors.Is(err, sdk.ErrNoToken) || errors.Is(err, sdk.ErrEnded) {
		return false
	}
	if _, ok := errors.AsType[*QuotaError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false
	}
	return true // the connection
}

// withinQuota refuses requests while the org's daily requests are used up to
// the mark, or while Salesforce has asked for silence.
func (c *Client) withinQuota(next trip) trip {
	return func(r *http.Request) (*http.Response, error) {
		if err := c.hold.ask(time.Now()); err != nil {
			return nil, err
		}
		if err := c.quota.ask(time.Now()); err != nil {
			return nil, err
		}
		resp, err := next(r)
		c.hold.note(err, time.Now())
		return resp, err
	}
}

// withToken sends the request to the instance that the token belongs to. A
// token that is refused is replaced once: Salesforce gives no time at which it
// ends.
func (c *Client) withToken(next trip) trip {
	send := func(r *http.Request) (sdk.Token, *http.Response, error) {
		t, err := c.tokens.get(r.Context())
		if err != nil {
			return t, nil, err
		}
		instance, err := url.Parse(t.InstanceURL)
		if err != nil || instance.Host == "" {
			return t, nil, fmt.Errorf("instance %q of the access token is no URL", clip(t.InstanceURL))
		}
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = instance.Scheme, instance.Host, instance.Host
		r.Header.Set("Authorization", "Bearer "+t.AccessToken)
		r.Header.Set("Sforce-Query-Options", "batchSize=2000")
		resp, err := next(r)
		return t, resp, err
	}
	return func(r *http.Request) (*http.Response, error) {
		t, resp, err := send(r)
		if e, ok := errors.AsType[*Error](err); !ok || !e.sessionLost() {
			return resp, err
		}
		c.tokens.reject(t)
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r.Body = body
		}
		_, resp, err = send(r)
		return resp, err
	}
}

// judge sends the request, notes what the headers tell, and makes an error of
// every answer that is not what was asked for.
func (c *Client) judge(accept func(*http.Response) error) trip {
	return func(r *http.Request) (*http.Response, error) {
		resp, err := c.base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		c.quota.note(resp.Header.Get("Sforce-Limit-Info"))
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.clock.set(date)
		}
		html := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
		if resp.StatusCode < 200 || resp.StatusCode > 299 || html {
			defer resp.Body.Close()
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what is missing only shortens the message
			return nil, after(parseError(resp.StatusCode, html, body), resp.Header.Get("Retry-After"))
		}
		if err := accept(resp); err != nil {
			resp.Body.Close()
			return nil, err
		}
		return resp, nil
	}
}

var errTooLarge = errors.New("answer is larger than 64 MiB")

// buffered reads the whole answer, so that one which breaks off is asked for
// again.
func buffered(resp *http.Response) error {
	defer resp.Body.Close()
	b, err := readAll(resp.Body)
	if err != nil {
		return err
	}
	if t := bytes.TrimLeft(b, " \r\n\t"); len(t) > 0 && t[0] == '<' {
		return parseError(resp.StatusCode, true, t[:min(len(t), 64<<10)])
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return nil
}

// readAll reads an answer in pieces: a slice that grows is there twice, and as
// garbage more often, before an endless answer is known to be one.
func readAll(body io.Reader) ([]byte, error) {
	var pieces [][]byte
	size := 0
	for room := firstPiece; ; room = min(2*room, answerPiece) {
		piece, n := make([]byte, room), 0
		for n < len(piece) {
			k, err := body.Read(piece[n:])
			n += k
			if size+n > maxAnswer {
				return nil, errTooLarge
			}
			if errors.Is(err, io.EOF) {
				return slices.Concat(append(pieces, piece[:n])...), nil
			}
			if err != nil {
				return nil, fmt.Errorf("read answer: %w", err)
			}
		}
		pieces, size = append(pieces, piece), size+n
	}
}

// stream sends a request whose answer is read as it comes. The answer ends with
// an error when it is silent for idleTime.
func (c *Client) stream(ctx context.Context, path string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, placeholder+"/"+path, nil)
	if err != nil {
		cancel()
		return nil, withoutURL(err)
	}
	idle := time.AfterFunc(requestTime*maxTries, cancel)
	resp, err := c.retry(c.withinQuota(c.withToken(c.judge(func(*http.Response) error { return nil }))))(r)
	if err != nil {
		idle.Stop()
		cancel()
		return nil, withoutURL(err)
	}
	idle.Stop() // the time until it is read is the reader's
	resp.Body = &idleBody{ReadCloser: resp.Body, idle: idle, cancel: cancel}
	return resp, nil
}

type idleBody struct {
	io.ReadCloser
	idle   *time.Timer
	cancel context.CancelFunc
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.idle.Reset(idleTime)
	n, err := b.ReadCloser.Read(p)
	b.idle.Stop() // the reader may take its time
	return n, err
}

func (b *idleBody) Close() error {
	b.idle.Stop()
	b.cancel()
	return b.ReadCloser.Close()
}

// tokenCache holds the access token that works.
type tokenCache struct {
	source Tokens
	mu     sync.Mutex // held while a token is asked for, so that it is asked for once
	token  sdk.Token
}

func (c *tokenCache) get(ctx context.Context) (sdk.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.AccessToken != "" {
		return c.token, nil
	}
	t, err := c.source.Token(ctx)
	if err != nil {
		return sdk.Token{}, err
	}
	c.token = t
	return t, nil
}

func (c *tokenCache) reject(t sdk.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != t {
		return // another request has replaced it
	}
	c.source.RejectToken(t)
	c.token = sdk.Token{}
}

// clock is Salesforce's time at its last answer.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) set(t time.Time) { c.mu.Lock(); c.at = t; c.mu.Unlock() }
func (c *clock) get() time.Time  { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

// quota is what Sforce-Limit-Info tells of the org's daily requests.
type quota struct {
	stopAt float64

	mu            sync.Mutex
	used, allowed int64
	asked         time.Time // the last request that was let through
}

func (q *quota) get() (used, allowed int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used, q.allowed
}

func (q *quota) ask(now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopAt <= 0 || q.allowed == 0 || float64(q.used) < q.stopAt*float64(q.allowed) {
		q.asked = now
		return nil
	}
	if wait := quotaPause - now.Sub(q.asked); wait > 0 {
		return &QuotaError{Used: q.used, Allowed: q.allowed, StopAt: q.stopAt, RetryAfter: wait}
	}
	q.asked = now
	return nil
}

func (q *quota) note(header string) {
	used, allowed, ok := parseLimitInfo(header)
	if !ok {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used, q.allowed = used, allowed
}

// parseLimitInfo reads "api-usage=150/15000; per-app-api-usage=17/250(appName=X)",
// whose parts come in any order and number.
func parseLimitInfo(header string) (used, allowed int64, ok bool) {
	for part := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == ';' || r == ',' }) {
		value, found := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !found {
			continue
		}
		a, b, _ := strings.Cut(value, "/")
		u, err1 := strconv.ParseInt(a, 10, 64)
		m, err2 := strconv.ParseInt(b, 10, 64)
		if err1 == nil && err2 == nil && m > 0 {
			return u, m, true
		}
	}
	return 0, 0, false
}
