package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// memoryBudget bounds the bytes that all requests in hand hold together.
const memoryBudget = 64 << 20

// Stream is what the forwarder needs of a running source. A *sdk.Stream is one.
type Stream interface {
	Emit(ctx context.Context, b sdk.Batch) (sdk.Verdict, error)
	Log() *slog.Logger
}

// Source is a running source.
type Source struct {
	Name   string
	Stream Stream
	Config func() (Config, error)
}

// Options are what New needs. All of it is required. The functions find a
// running source; their errors are sdk.ErrUnknownKey and sdk.ErrNotRunning.
type Options struct {
	ByKey  func(key string) (*Source, error)
	ByName func(name string) (*Source, error)
	Only   func() (*Source, error) // the only one there is
	// Log is for what belongs to no source.
	Log *slog.Logger
}

// Forwarder is the http.Handler of the API.
type Forwarder struct {
	Options
	bodies     ingest.Bodies
	budget     *ingest.Budget
	rejections ingest.Rejections
}

// New returns a forwarder.
func New(o Options) *Forwarder {
	return &Forwarder{Options: o, budget: ingest.NewBudget(memoryBudget)}
}

// ServeHTTP answers a call of the Track API or a webhook. It routes by the path
// as it was sent, since an identifier may hold an escaped slash.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Forwarder: f, http: r, w: w, version: 1, held: f.budget.Share()}
	defer q.held.Release()
	p := q.serve()
	if p == nil {
		return
	}
	f.rejections.Add(p.logged(), q.log())
	p.write(w, q.version)
}

// request is one request while it is in hand.
type request struct {
	*Forwarder
	http    *http.Request
	w       http.ResponseWriter
	path    string // escaped
	query   string // escaped
	version int    // of the API whose form the answer has
	held    *ingest.Share
	source  *Source // nil: not known yet
}

func (q *request) log() *slog.Logger {
	if q.source != nil {
		return q.source.Stream.Log()
	}
	return q.Log
}

// serve answers the request, or says why it is not taken.
func (q *request) serve() *problem {
	path, query, _ := strings.Cut(target(q.http), "?")
	q.query = query
	if name, ok := strings.CutPrefix(path, "/webhooks/"); ok && !strings.Contains(name, "/") {
		return q.webhook(name)
	}
	if strings.HasPrefix(path, "/api/v2/") {
		q.version = 2
	}
	endpoint, path, err := translate.Find(q.http.Method, path)
	if err != nil {
		return q.lost(err)
	}
	q.path, q.version = path, endpoint.Version
	if p := q.authenticate(endpoint.Public); p != nil {
		return p
	}
	switch endpoint.Kind {
	case translate.Region:
		return q.region()
	case translate.Credentials:
		writeTaken(q.w, 0)
		return nil
	case translate.Batch:
		return q.batch()
	}
	return q.call(endpoint)
}

// lost is the answer to a path or a method that the API has not.
func (q *request) lost(err error) *problem {
	var method *translate.MethodError
	if errors.As(err, &method) {
		q.w.Header().Set("Allow", method.Allow)
		return &problem{Problem: ingest.Problem{Status: http.StatusMethodNotAllowed, Code: "method", Message: err.Error()}}
	}
	return &problem{Problem: ingest.Problem{Status: http.StatusNotFound, Code: "no_such_path", Message: err.Error()}}
}

// authenticate finds the source by the credentials, which are its key as they
// stand. Without any, a public call is for the only source.
func (q *request) authenticate(public bool) *problem {
	var err error
	if public && q.http.Header.Get("Authorization") == "" {
		if q.source, err = q.Only(); errors.Is(err, sdk.ErrUnknownKey) {
			return unauthorized("no_key", "the call needs credentials, since there is more than one source that it could be for: send site id and API key by HTTP Basic")
		}
	} else {
		key, _ := ingest.Basic(q.http)
		if q.source, err = q.ByKey(key); errors.Is(err, sdk.ErrUnknownKey) {
			return unauthorized("unknown_key", "no source has these credentials: look for site_id:api_key under sources in the config")
		}
	}
	if err != nil {
		return &problem{Problem: *ingest.NotRunning()}
	}
	return nil
}

func unauthorized(code, message string) *problem {
	return &problem{Problem: ingest.Problem{Status: http.StatusUnauthorized, Code: code, Message: message}}
}

// body reads the body of at most limit bytes, while ctx lasts.
func (q *request) body(ctx context.Context, limit int) ([]byte, *problem) {
	raw, p := q.bodies.Read(ctx, q.w, q.http, limit, q.held)
	if p != nil {
		return nil, &problem{Problem: *p}
	}
	return raw, nil
}

// target returns the request's path and query as the client escaped them, and
// escaped where it did not. The URL's own EscapedPath will not do: where one
// character of a path should have been escaped, it forgets which slashes were.
func target(r *http.Request) string {
	t := r.RequestURI
	if !strings.HasPrefix(t, "/") { // with a scheme and a host before it
		t = r.URL.RequestURI()
	}
	bad := func(c byte) bool { return c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>\\^`{|}", c) >= 0 }
	var out []byte
	for i := range len(t) {
		if bad(t[i]) {
			out = fmt.Appendf(out, "%%%02X", t[i])
		} else {
			out = append(out, t[i])
		}
	}
	return string(out)
}

// webhookName decodes the name of a source in a path.
func webhookName(escaped string) string {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return name
}
