package org

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// maxRequest is Salesforce's bound on a request's URI and headers, in bytes.
	maxRequest = 16_384
	// maxBody bounds what is read of a request's body, in bytes.
	maxBody = 1 << 20
	// oldest and newest are the API versions that are supported.
	oldest, newest = 31, 67
)

// call is one request of the API, after its token was found good.
type call struct {
	http.ResponseWriter
	r *http.Request
	// version is what the path names: 67.0. path is what comes after.
	version string
	path    []string
	user    uint32
}

// Unwrap lets http.ResponseController flush.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Stats counts what was asked of the org's API since it was made.
type Stats struct {
	Requests  int `json:"requests"`
	Queries   int `json:"queries"`
	Pages     int `json:"pages"`
	BulkJobs  int `json:"bulkJobs"`
	BulkPages int `json:"bulkPages"`
	// Rows are those of all pages, Bulk pages included.
	Rows int `json:"rows"`
	// Describes are those with a body.
	Describes int `json:"describes"`
	// Tokens are the access tokens given out.
	Tokens int `json:"tokens"`
}

type counters struct {
	requests, queries, pages, bulkJobs, bulkPages, rows, describes, tokens atomic.Int64
}

// Stats is a copy of the counts.
func (o *Org) Stats() Stats {
	c := &o.stats
	return Stats{int(c.requests.Load()), int(c.queries.Load()), int(c.pages.Load()), int(c.bulkJobs.Load()), int(c.bulkPages.Load()),
		int(c.rows.Load()), int(c.describes.Load()), int(c.tokens.Load())}
}

// SetUsage sets how many of the day's API requests are used. At Options.DailyRequests
// the org refuses all others.
func (o *Org) SetUsage(used int) { o.used.Store(int64(used)) }

// ServeHTTP answers as an org's host does; below /admin it is the simulator
// that is spoken to, from this machine only.
func (o *Org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", o.Now().UTC().Format(http.TimeFormat))
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case path[0] == "admin":
		o.admin(w, r, path[1:])
	case strings.HasPrefix(r.URL.Path, "/services/oauth2/") || path[0] == "id" || path[0] == ".well-known":
		o.serveOAuth(w, r, path)
	case strings.HasPrefix(r.URL.Path, "/services/data"):
		o.serveData(w, r, path[2:])
	default:
		notFound(w)
	}
}

func notFound(w http.ResponseWriter) {
	fail(w, failure("NOT_FOUND", "The requested resource does not exist"))
}

func fail(w http.ResponseWriter, err error) {
	f := asFailure(err)
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(f.Status)
	_, _ = w.Write(f.body()) //nolint:gosec // JSON, and said to be
}

func requestSize(r *http.Request) int {
	size := len(r.RequestURI)
	for k, values := range r.Header {
		for _, v := range values {
			size += len(k) + len(v) + 4
		}
	}
	return size
}

func (o *Org) serveData(w http.ResponseWriter, r *http.Request, path []string) {
	if requestSize(r) > maxRequest {
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(http.StatusRequestURITooLong)
		_, _ = w.Write([]byte(tooLong))
		return
	}
	if len(path) == 0 {
		o.versions(w, r)
		return
	}
	o.stats.requests.Add(1)
	if o.failed(w, r, atAPI) {
		return
	}
	s, err := o.oauth.session(r)
	if err != nil {
		fail(w, err)
		return
	}
	used := o.used.Add(1)
	w.Header().Set("Sforce-Limit-Info", o.limitInfo(s, used))
	if used > int64(o.options.DailyRequests) {
		o.used.Add(-1)
		fail(w, failure("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
		return
	}
	if r.Body, err = plainBody(w, r); err != nil {
		fail(w, err)
		return
	}
	version, err := readVersion(path[0])
	if err != nil {
		fail(w, err)
		return
	}
	o.route(&call{w, r, version, path[1:], s.user})
}

// plainBody is a request's body, without compression.
func plainBody(w http.ResponseWriter, r *http.Request) (io.ReadCloser, error) {
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if r.Header.Get("Content-Encoding") != "gzip" || r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return body, nil
	}
	z, err := gzip.NewReader(body)
	if err != nil {
		return nil, failure("JSON_PARSER_ERROR", "the body is not gzip: "+err.Error())
	}
	return http.MaxBytesReader(w, z, maxBody), nil
}

func (o *Org) limitInfo(s *session, used int64) string {
	info := fmt.Sprintf("api-usage=%d/%d", min(used, int64(o.options.DailyRequests)), o.options.DailyRequests)
	if s.app != nil && s.app.Quota > 0 {
		info += fmt.Sprintf("; per-app-api-usage=%d/%d(appName=%s)", used, s.app.Quota, s.app.ClientID)
	}
	return info
}

func readVersion(segment string) (string, error) {
	v := strings.TrimPrefix(segment, "v")
	n, err := strconv.ParseFloat(v, 64)
	switch {
	case err != nil || v == segment || n > newest || !strings.HasSuffix(v, ".0"):
		return "", failure("NOT_FOUND", "The requested resource does not exist")
	case n < oldest:
		return "", &Failure{http.StatusGone, "UNSUPPORTED_API_VERSION", "The API version " + v + " is no longer supported", nil}
	}
	return v, nil
}

// route finds what answers a path below the version.
func (o *Org) route(c *call) {
	one := func(i int) string {
		if i < len(c.path) {
			return c.path[i]
		}
		return ""
	}
	switch one(0) {
	case "":
		o.resources(c)
	case "query", "queryAll":
		o.serveQuery(c, one(0) == "queryAll", one(1))
	case "sobjects":
		o.serveObjects(c)
	case "limits":
		o.serveLimits(c)
	case "jobs":
		if one(1) != "query" {
			notFound(c)
			return
		}
		o.serveJobs(c, c.path[2:])
	case "composite":
		if one(1) != "batch" {
			notFound(c)
			return
		}
		o.serveBatch(c)
	default:
		notFound(c)
	}
}

// marshal is json.Marshal without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// json answers with a value.
func (o *Org) json(w http.ResponseWriter, r *http.Request, status int, v any) {
	b, err := marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	o.send(w, r, status, b)
}

// releases names versions as the list of them does.
func release(version int) string {
	season := []string{"Winter", "Spring", "Summer"}[(version+1)%3]
	year := 26 + (version-65)/3
	if version < 65 {
		year = 26 - (67-version)/3
	}
	return fmt.Sprintf("%s '%02d", season, year)
}

func (o *Org) versions(w http.ResponseWriter, r *http.Request) {
	var out []map[string]string
	for v := oldest; v <= newest; v++ {
		out = append(out, map[string]string{"label": release(v), "url": fmt.Sprintf("/services/data/v%d.0", v), "version": fmt.Sprintf("%d.0", v)})
	}
	o.json(w, r, http.StatusOK, out)
}

func (o *Org) resources(c *call) {
	base := "/services/data/v" + c.version + "/"
	o.json(c, c.r, http.StatusOK, map[string]string{"composite": base + "composite", "jobs": base + "jobs", "limits": base + "limits",
		"query": base + "query", "queryAll": base + "queryAll", "sobjects": base + "sobjects", "identity": o.base() + "/id/" + DefaultOrgID + "/" + makeID(userPrefix, uint64(c.user))})
}

// limits are those of a Developer Edition org; the daily API requests are
// counted.
var limits = map[string]int{"ConcurrentAsyncGetReportInstances": 200, "DailyAsyncApexExecutions": 250_000, "DailyBulkApiBatches": 15_000,
	"DailyBulkV2QueryFileStorageMB": 976_562, "DailyBulkV2QueryJobs": 10_000, "DailyDurableStreamingApiEvents": 10_000,
	"DailyStandardVolumePlatformEvents": 10_000, "DailyStreamingApiEvents": 10_000, "DataStorageMB": 45, "FileStorageMB": 20,
	"HourlyPublishedPlatformEvents": 50_000, "StreamingApiConcurrentClients": 20}

func (o *Org) serveLimits(c *call) {
	out := map[string]map[string]int{}
	for name, n := range limits {
		out[name] = map[string]int{"Max": n, "Remaining": n}
	}
	out["DailyApiRequests"] = map[string]int{"Max": o.options.DailyRequests, "Remaining": max(0, o.options.DailyRequests-int(o.used.Load()))}
	out["DailyBulkV2QueryJobs"]["Remaining"] -= int(o.stats.bulkJobs.Load())
	o.json(c, c.r, http.StatusOK, out)
}

// serveBatch answers composite/batch: up to 25 requests, of which each is one
// of the API's own.
func (o *Org) serveBatch(c *call) {
	var in struct {
		BatchRequests []struct{ Method, URL string } `json:"batchRequests"`
	}
	if err := json.NewDecoder(c.r.Body).Decode(&in); err != nil || len(in.BatchRequests) == 0 || len(in.BatchRequests) > 25 {
		fail(c, failure("JSON_PARSER_ERROR", "batchRequests must have between 1 and 25 entries"))
		return
	}
	type result struct {
		StatusCode int             `json:"statusCode"`
		Result     json.RawMessage `json:"result"`
	}
	var results []result
	failed := false
	for _, b := range in.BatchRequests {
		inner, err := http.NewRequestWithContext(c.r.Context(), b.Method, "/"+strings.TrimPrefix(b.URL, "/"), http.NoBody)
		if err != nil {
			fail(c, failure("JSON_PARSER_ERROR", "bad url in batchRequests"))
			return
		}
		answer := &buffer{header: http.Header{}}
		path := strings.Split(strings.Trim(strings.TrimPrefix(inner.URL.Path, "/services/data"), "/"), "/")
		if version, err := readVersion(path[0]); err != nil {
			fail(answer, err)
		} else {
			o.route(&call{answer, inner, version, path[1:], c.user})
		}
		failed = failed || answer.status >= 400
		if len(answer.body) == 0 {
			answer.body = []byte("null")
		}
		results = append(results, result{answer.status, answer.body})
	}
	o.json(c, c.r, http.StatusOK, map[string]any{"hasErrors": failed, "results": results})
}

// buffer is an answer that becomes part of another.
type buffer struct {
	header http.Header
	status int
	body   []byte
}

func (b *buffer) Header() http.Header    { return b.header }
func (b *buffer) WriteHeader(status int) { b.status = status }
func (b *buffer) Write(p []byte) (int, error) {
	b.body = append(b.body, p...)
	return len(p), nil
}
