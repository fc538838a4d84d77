// Package client speaks to one Salesforce org: REST, SOQL and Bulk API 2.0
// queries. It is the one door to simpleforce, which makes the REST requests and
// whose transport this package owns: contexts, access tokens, retries, quota,
// bounds on answers and typed errors are a chain of http.RoundTrippers.
//
// It only reads. It knows nothing of syncs, of what a record becomes, and of
// the refresh token.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/simpleforce/simpleforce"
	"github.com/wellhead-io/wellhead/sdk"
)

// DefaultVersion is the API version of Summer '26.
const DefaultVersion = "67.0"

// MaxURI is how long a request's path and query may become. Salesforce refuses
// 16,384 bytes of URI and headers together; the rest is for the headers, of
// which a JWT access token is the longest.
const MaxURI = 11_000

// Tokens gives access tokens; *sdk.Stream is one.
type Tokens interface {
	Token(ctx context.Context) (sdk.Token, error)
	RejectToken(sdk.Token)
}

// Options of a Client. Tokens is required.
type Options struct {
	Tokens     Tokens
	APIVersion string  // such as "67.0"; empty: DefaultVersion
	StopAt     float64 // share of the org's daily requests from which ErrQuota is returned; 0: never
	Transport  http.RoundTripper
	Backoff    time.Duration // before the second try, doubling; 0: 500 ms
	// Retrying is told why a request is about to be sent again, at each failed
	// try, and nil when there is none of which this is true any more. One call
	// follows another. nil: nobody is told.
	Retrying func(error)
}

// Client is safe for concurrent use.
type Client struct {
	version string
	tokens  tokenCache
	quota   quota
	hold    hold
	clock   clock
	base    http.RoundTripper
	backoff time.Duration
	again   again
}

// New returns a client. It sends nothing yet.
func New(o Options) *Client {
	if o.APIVersion == "" {
		o.APIVersion = DefaultVersion
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Retrying == nil {
		o.Retrying = func(error) {}
	}
	return &Client{
		version: o.APIVersion, base: o.Transport, backoff: o.Backoff, again: again{tell: o.Retrying},
		tokens: tokenCache{source: o.Tokens}, quota: quota{stopAt: o.StopAt},
	}
}

// Close closes idle connections.
func (c *Client) Close() {
	if t, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Usage returns the org's API requests of the last 24 hours and how many it
// may make, as the last answer told; 0, 0 before the first.
func (c *Client) Usage() (used, allowed int64) { return c.quota.get() }

// Page is one page of a query.
type Page struct {
	Total   int               `json:"totalSize"`
	Done    bool              `json:"done"`
	Next    string            `json:"nextRecordsUrl"` // for More; empty: the last page
	Records []json.RawMessage `json:"records"`
}

// Query runs SOQL. With all, rows in the recycle bin and merged ones are among
// the answer.
func (c *Client) Query(ctx context.Context, soql string, all bool) (*Page, error) {
	what := "query"
	if all {
		what = "queryAll"
	}
	return c.page(ctx, c.path(what)+"?q="+url.QueryEscape(soql))
}

// FitsURI reports whether a query can be sent by Query.
func (c *Client) FitsURI(soql string) bool {
	return len(c.path("queryAll"))+len("?q=")+len(url.QueryEscape(soql)) <= MaxURI
}

// More returns the page behind a Page's Next. Cursors live for two days.
func (c *Client) More(ctx context.Context, next string) (*Page, error) {
	if !strings.HasPrefix(next, "/services/data/") {
		return nil, fmt.Errorf("next page: %q is no path of the REST API", clip(next))
	}
	return c.page(ctx, strings.TrimPrefix(next, "/"))
}

func (c *Client) page(ctx context.Context, path string) (*Page, error) {
	var p Page
	if err := c.getJSON(ctx, path, &p); err != nil {
		return nil, err
	}
	if p.Done {
		p.Next = ""
	} else if p.Next == "" {
		return nil, errors.New("query: the answer is not done and has no next page")
	}
	return &p, nil
}

// Count returns the number of an object's live rows that match where, which
// may be empty.
func (c *Client) Count(ctx context.Context, object, where string) (int, error) {
	soql := "SELECT COUNT() FROM " + object
	if where != "" {
		soql += " WHERE (" + where + ")"
	}
	p, err := c.Query(ctx, soql, false)
	if err != nil {
		return 0, err
	}
	return p.Total, nil
}

// Describe returns the describe of an object as Salesforce answers it; nil where
// the object has not changed since a time, which is zero where it is wanted in
// any case (REST API Developer Guide, "Get Object Metadata Changes").
func (c *Client) Describe(ctx context.Context, object string, since time.Time) ([]byte, error) {
	by := c.chain(ctx)
	if !since.IsZero() {
		by = withHeader("If-Modified-Since", since.UTC().Format(http.TimeFormat), by)
	}
	b, err := c.send(by, http.MethodGet, c.path("sobjects/"+url.PathEscape(object)+"/describe"), nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotModified {
		return nil, nil
	}
	return b, err
}

// Objects returns the describe of the org as Salesforce answers it.
func (c *Client) Objects(ctx context.Context) ([]byte, error) {
	return c.rest(ctx, http.MethodGet, c.path("sobjects"), nil)
}

// Deletions is what getDeleted knows.
type Deletions struct {
	Records []Deletion
	// Since is the earliest time of which Salesforce still knows deletions: what
	// was asked for before it is a gap.
	Since time.Time
	// Covered is the start of the oldest transaction that still runs: changes
	// before it are all visible.
	Covered time.Time
}

// Deletion is one deleted record.
type Deletion struct {
	ID   string
	Time time.Time
}

// Deleted returns the records of an object that were deleted between two times,
// at most 15 days back. It looks at whole minutes.
func (c *Client) Deleted(ctx context.Context, object string, from, to time.Time) (*Deletions, error) {
	from = from.UTC().Truncate(time.Minute)
	to = to.UTC().Add(time.Minute - time.Second).Truncate(time.Minute)
	if !to.After(from) {
		to = from.Add(time.Minute)
	}
	const layout = "2006-01-02T15:04:05+00:00"
	q := url.Values{"start": {from.Format(layout)}, "end": {to.Format(layout)}}
	var a struct {
		DeletedRecords []struct {
			ID          string `json:"id"`
			DeletedDate string `json:"deletedDate"`
		} `json:"deletedRecords"`
		EarliestDateAvailable string `json:"earliestDateAvailable"`
		LatestDateCovered     string `json:"latestDateCovered"`
	}
	if err := c.getJSON(ctx, c.path("sobjects/"+url.PathEscape(object)+"/deleted/?"+q.Encode()), &a); err != nil {
		return nil, err
	}
	d := &Deletions{Records: make([]Deletion, 0, len(a.DeletedRecords))}
	var err error
	if d.Since, err = ParseTime(a.EarliestDateAvailable); err != nil {
		return nil, fmt.Errorf("deleted records: %w", err)
	}
	if d.Covered, err = ParseTime(a.LatestDateCovered); err != nil {
		return nil, fmt.Errorf("deleted records: %w", err)
	}
	for _, r := range a.DeletedRecords {
		at, err := ParseTime(r.DeletedDate)
		if err != nil {
			return nil, fmt.Errorf("deleted record %s: %w", clip(r.ID), err)
		}
		d.Records = append(d.Records, Deletion{ID: r.ID, Time: at})
	}
	return d, nil
}

// Now asks Salesforce for its time. It costs one request.
func (c *Client) Now(ctx context.Context) (time.Time, error) {
	if _, err := c.rest(ctx, http.MethodGet, "services/data/", nil); err != nil {
		return time.Time{}, err
	}
	return c.LastDate(), nil
}

// LastDate returns Salesforce's time at its last answer; zero before the first.
func (c *Client) LastDate() time.Time { return c.clock.get() }

// OrgID returns the id of the org.
func (c *Client) OrgID(ctx context.Context) (string, error) {
	p, err := c.Query(ctx, "SELECT Id FROM Organization", false)
	if err != nil {
		return "", err
	}
	var a struct{ ID string }
	if len(p.Records) != 1 || json.Unmarshal(p.Records[0], &a) != nil || !ValidID(a.ID) {
		return "", errors.New("salesforce does not tell the org's id")
	}
	return a.ID, nil
}

// Token returns the access token in use, for services beside REST, and Reject
// says that one of them did not take it.
func (c *Client) Token(ctx context.Context) (sdk.Token, error) { return c.tokens.get(ctx) }

// Reject tells that a service did not take this token.
func (c *Client) Reject(t sdk.Token) { c.tokens.reject(t) }

func (c *Client) path(rest string) string { return "services/data/v" + c.version + "/" + rest }

func (c *Client) getJSON(ctx context.Context, path string, v any) error {
	b, err := c.rest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return decode(b, v)
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("answer is not the JSON that it should be: %w", err)
	}
	return nil
}

// placeholder stands for the instance and its token until the transport knows them.
const placeholder = "https://instance.invalid"

// rest sends one request and returns the body of a 2xx answer.
func (c *Client) rest(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.send(c.chain(ctx), method, path, body)
}

// send sends one request by simpleforce. A simpleforce.Client is not safe for
// concurrent use and has no context, so each request has its own, on the shared
// transport.
func (c *Client) send(by http.RoundTripper, method, path string, body []byte) (answer []byte, err error) {
	sf := simpleforce.NewClient(placeholder, "wellhead", c.version)
	sf.SetSidLoc("placeholder", placeholder)
	sf.SetHttpClient(&http.Client{Transport: by, CheckRedirect: noRedirect})
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("simpleforce panicked: %v", p)
		}
	}()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	answer, err = sf.ApexREST(method, path, r)
	return answer, withoutURL(err)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// withoutURL drops the URL that net/http puts before an error: a query's text
// may hold data.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
