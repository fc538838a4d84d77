package org

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is a failure that the org is to show.
type Fault struct {
	// Name is one of Faults.
	Name string `json:"name"`
	// Path strikes only requests whose path and query contain it; of Pub/Sub,
	// whose topic does.
	Path string `json:"path"`
	// After lets so many requests pass which the fault would strike.
	After int `json:"after"`
	// Times is how often it strikes; zero is until ClearFaults.
	Times int `json:"times"`
	// Delay is of slow, on the wall's clock.
	Delay time.Duration `json:"delay"`
	// Status, Code and Message are of error; Code and Message of oauth_error.
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// place is where a fault strikes.
type place int

const (
	// atAPI is a request of the REST or Bulk API, before anything else of it.
	atAPI place = iota
	// atQuery is one that runs a query, atPage one that asks for a page by its
	// locator.
	atQuery
	atPage
	// atBody is an answer that is ready to be sent.
	atBody
	atJob
	// atResultsHeader is a page of a Bulk job's result before its header is made,
	// atResults the rows of one.
	atResultsHeader
	atResults
	atAuthorize
	atToken
	// atSubscribe is the start of a Pub/Sub subscription, atReplay one with a
	// replay id, atDelivery an answer of one, keepalives included.
	atSubscribe
	atReplay
	atDelivery
	// atEvent is an answer that has events.
	atEvent
)

// fault is a kind of failure: where it strikes and the answer that it makes,
// nil for those that the place itself makes.
type fault struct {
	at     place
	answer func(f Fault) answer
}

// answer is an HTTP answer.
type answer struct {
	status int
	kind   string
	body   []byte
}

func refuse(status int, code, message string) func(Fault) answer {
	body := (&Failure{Code: code, Message: message}).body()
	return func(Fault) answer { return answer{status, "application/json;charset=UTF-8", body} }
}

func html(status int, body string) func(Fault) answer {
	return func(Fault) answer { return answer{status, "text/html;charset=UTF-8", []byte(body)} }
}

func nothing(status int) func(Fault) answer {
	return func(Fault) answer { return answer{status, "", nil} }
}

const tooLong = "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"

// knownFaults are those of section 3.7 of the facts and of the others that clients
// have met.
var knownFaults = map[string]fault{
	"session_expired":        {atAPI, refuse(401, "INVALID_SESSION_ID", "Session expired or invalid")},
	"invalid_auth_header":    {atAPI, refuse(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")},
	"invalid_jwt_format":     {atAPI, refuse(401, "INVALID_JWT_FORMAT", "Invalid JWT format")},
	"daily_limit":            {atAPI, refuse(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")},
	"concurrent_limit":       {atAPI, refuse(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")},
	"html_maintenance":       {atAPI, html(200, "<html><body>We are down for maintenance.</body></html>")},
	"html_503":               {atAPI, html(503, "<html><body>We are down for maintenance.</body></html>")},
	"server_unavailable":     {atAPI, refuse(503, "SERVER_UNAVAILABLE", "Server is temporarily unavailable. Please retry your request.")},
	"internal_error":         {atAPI, refuse(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345")},
	"bad_gateway":            {atAPI, html(502, "<html><body><h1>502 Bad Gateway</h1></body></html>")},
	"empty_406":              {atAPI, nothing(406)},
	"empty_420":              {atAPI, nothing(420)},
	"uri_too_long":           {atAPI, html(414, tooLong)},
	"api_disabled":           {atAPI, refuse(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner")},
	"api_currently_disabled": {atAPI, refuse(403, "API_CURRENTLY_DISABLED", "API is disabled for this User")},
	"txn_security":           {atAPI, refuse(403, "TXN_SECURITY_METERING_ERROR", "We can't complete the action because enabled transaction security policies took too long to complete.")},
	"error": {atAPI, func(f Fault) answer {
		return refuse(cmp.Or(f.Status, 400), f.Code, f.Message)(f)
	}},
	"slow":             {atAPI, nil},
	"connection_reset": {atAPI, nil},
	"truncated_body":   {atBody, nil},

	"query_timeout":       {atQuery, refuse(400, "QUERY_TIMEOUT", "Your query request was running for too long.")},
	"insufficient_access": {atQuery, refuse(403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id")},
	"unable_to_lock_row":  {atQuery, refuse(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")},
	"operation_too_large": {atQuery, refuse(400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's")},
	"locator_lost":        {atPage, refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")},

	"bulk_job_limit":     {atJob, refuse(400, "LIMIT_EXCEEDED", "Max bulk v2 query jobs (10000) per 24 hrs has been reached (10021)")},
	"bulk_result_limit":  {atJob, refuse(400, "LIMIT_EXCEEDED", "Max bulk v2 query result size stored (1000000000) kb per 24 hrs has been exceeded")},
	"bulk_not_supported": {atJob, refuse(400, "INVALIDENTITY", "Entity is not supported by the Bulk API.")},
	"bulk_failed":        {atJob, nil},
	"bulk_missing_rows":  {atResults, nil},
	"bulk_lost_rows":     {atResultsHeader, nil},
	"bulk_nul":           {atResults, nil},

	"oauth_error":             {atToken, nil},
	"oauth_app_blocked":       {atAuthorize, nil},
	"oauth_ec_app_not_found":  {atAuthorize, nil},
	"oauth_approval_error":    {atAuthorize, nil},
	"pubsub_auth":             {atSubscribe, nil},
	"pubsub_replay_corrupted": {atReplay, nil},
	"pubsub_limit":            {atSubscribe, nil},
	"pubsub_silent":           {atDelivery, nil},
	"pubsub_close":            {atDelivery, nil},
	"pubsub_garbled":          {atEvent, nil},
}

// Faults are the names that Fail knows.
func Faults() []string {
	var out []string
	for name := range knownFaults {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// faults are those that are set.
type faults struct {
	mu  sync.Mutex
	set []*Fault
}

// Fail lets the org fail as f says, from the next request on. Several faults are
// tried in the order in which they were set.
func (o *Org) Fail(f Fault) error {
	if _, ok := knownFaults[f.Name]; !ok {
		return fmt.Errorf("no fault %q: the faults are %s", f.Name, strings.Join(Faults(), ", "))
	}
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	o.faults.set = append(o.faults.set, &f)
	return nil
}

// ClearFaults ends all faults.
func (o *Org) ClearFaults() {
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	o.faults.set = nil
}

// strike is the fault that meets a request there, if one does, and counts it.
func (fs *faults) strike(at place, path string) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i, f := range fs.set {
		if knownFaults[f.Name].at != at || !strings.Contains(path, f.Path) {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				fs.set = slices.Delete(fs.set, i, i+1)
			}
		}
		return *f, true
	}
	return Fault{}, false
}

// failed answers with a fault of that place, if one strikes.
func (o *Org) failed(w http.ResponseWriter, r *http.Request, at place) bool {
	f, ok := o.faults.strike(at, target(r))
	if !ok {
		return false
	}
	switch f.Name {
	case "slow":
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
		return false
	case "connection_reset":
		panic(http.ErrAbortHandler)
	}
	a := knownFaults[f.Name].answer(f)
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
	return true
}

// target is what a fault's Path is looked for in: a request's path and query,
// without escapes.
func target(r *http.Request) string {
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil {
		query = r.URL.RawQuery
	}
	return r.URL.Path + "?" + query
}

func compress(w io.Writer, body []byte) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(body); err != nil {
		return err
	}
	return z.Close()
}

// send writes an answer's body, in gzip where the client takes it, and half of
// it where a fault says so.
func (o *Org) send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if len(body) > 1400 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var b bytes.Buffer
		if err := compress(&b, body); err != nil {
			o.log.Error("cannot compress", "error", err)
			http.Error(w, "cannot compress", http.StatusInternalServerError)
			return
		}
		body = b.Bytes()
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, cut := o.faults.strike(atBody, target(r)); cut {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}
