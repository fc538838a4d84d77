package collector

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"sync"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// memoryBudget bounds the bytes that all requests in hand hold together.
const memoryBudget = 64 << 20

// Stream is what the collector needs of a running source. A *sdk.Stream is one.
type Stream interface {
	Emit(ctx context.Context, b sdk.Batch) (sdk.Verdict, error)
	Limits() sdk.Limits
	Log() *slog.Logger
}

// Options are what New needs. All of it is required.
type Options struct {
	// Find returns the stream of the source that has this key. Errors:
	// sdk.ErrUnknownKey, sdk.ErrNotRunning.
	Find   func(key string) (Stream, error)
	Config Config
	// Scripts holds the vendors' browser libraries in segment/ and customerio/.
	// Where it does not, the collector takes events all the same.
	Scripts fs.FS
	// Log is for what belongs to no source.
	Log *slog.Logger
}

// Collector is the http.Handler of the API.
type Collector struct {
	find       func(key string) (Stream, error)
	maxEvent   int
	maxRequest int
	proxies    proxies
	bodies     ingest.Bodies
	budget     *ingest.Budget
	rejections ingest.Rejections
	compared   sync.Once // with the host's limits
	scripts    *scripts
	log        *slog.Logger
	mux        *http.ServeMux
}

// New returns a collector. It fails where the config cannot be meant.
func New(o Options) (*Collector, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	c := &Collector{
		find:       o.Find,
		maxEvent:   int(o.Config.MaxEvent),
		maxRequest: int(o.Config.MaxRequest),
		proxies:    o.Config.TrustedProxies,
		budget:     ingest.NewBudget(memoryBudget),
		scripts:    newScripts(o.Scripts),
		log:        o.Log,
		mux:        http.NewServeMux(),
	}
	c.route()
	return c, nil
}

func (c *Collector) route() {
	for name, to := range map[string]endpoint{
		"identify": {typ: "identify"}, "i": {typ: "identify", short: true},
		"track": {typ: "track"}, "t": {typ: "track", short: true},
		"page": {typ: "page"}, "p": {typ: "page", short: true},
		"screen": {typ: "screen"}, "s": {typ: "screen", short: true},
		"group": {typ: "group"}, "g": {typ: "group", short: true},
		"alias": {typ: "alias"}, "a": {typ: "alias", short: true},
		"batch": {}, "b": {short: true},
	} {
		c.handle(http.MethodPost, "/v1/"+name, func(w http.ResponseWriter, r *http.Request) { c.collect(w, r, to) })
	}
	c.handle(http.MethodPost, "/v1/m", ignoreMetrics)
	c.handle(http.MethodGet, "/v1/projects/{key}/settings", c.settings)
	c.handle(http.MethodGet, "/analytics.js/v1/{key}/analytics.min.js", c.snippet(segment))
	c.handle(http.MethodGet, "/v1/analytics-js/snippet/{key}/analytics.min.js", c.snippet(customerio))
	c.handle(http.MethodGet, "/analytics-next/bundles/{file}", c.chunk(segment))
	c.handle(http.MethodGet, "/v1/analytics-js/{file}", c.chunk(customerio))
	c.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &ingest.Problem{Status: http.StatusNotFound, Code: "no_such_path",
			Message: "there is nothing at this path: events are posted to /v1/track, /v1/batch and the like"})
	})
}

// compare says once, with the first source that is asked for, which of the limits
// cannot hold since the host's are less.
func (c *Collector) compare(l sdk.Limits) {
	c.compared.Do(func() {
		if l.EventBytes > 0 && c.maxEvent > l.EventBytes {
			c.log.Warn("max_event is more than the host takes: raise limits.event, or lower max_event", "max_event", c.maxEvent, "limits.event", l.EventBytes)
		}
		if l.BatchBytes > 0 && c.maxEvent > l.BatchBytes {
			c.log.Warn("max_event is more than the host takes at once: raise limits.request, or lower max_event", "max_event", c.maxEvent, "limits.request", l.BatchBytes)
		}
	})
}

// handle serves a path by one method, and says so to the others.
func (c *Collector) handle(method, path string, h http.HandlerFunc) {
	c.mux.HandleFunc(method+" "+path, h)
	c.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", method+", OPTIONS")
		writeProblem(w, &ingest.Problem{Status: http.StatusMethodNotAllowed, Code: "method", Message: "use " + method + " here"})
	})
}

// ServeHTTP answers every path to every origin.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w.Header())
	if r.Method == http.MethodOptions {
		preflight(w)
		return
	}
	// The mux would answer a path that is not clean with a redirect, which
	// loses the body of a POST in many clients.
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path {
		u := *r.URL
		u.Path, u.RawPath = clean, ""
		r = r.WithContext(r.Context())
		r.URL = &u
	}
	c.mux.ServeHTTP(w, r)
}

// ignoreMetrics takes the libraries' reports on themselves, which they send
// only where other settings than ours tell them to.
func ignoreMetrics(w http.ResponseWriter, _ *http.Request) {
	writeTaken(w, nil, false)
}
