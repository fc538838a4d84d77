package console

import (
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// publicHandler answers on the listener.
func publicHandler(h Host, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answerText(w, contents) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerText(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerReady(w, h.Status()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry(h), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET "+CallbackPath, callback(h, log))
	return guard(mux)
}

// contents is what the root answers.
const contents = `wellhead: what can be asked here

/healthz  200 while the process answers
/readyz   200 while events are taken, else 503; the problems as JSON
/metrics  figures for Prometheus
`

func answerText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text)) // what cannot be written has nobody to read it
}

// Readiness is what /readyz answers: with 200 where the host takes events for
// all that it is configured to, else with 503.
type Readiness struct {
	Ready    bool      `json:"ready"`
	Problems []Problem `json:"problems"`
}

func answerReady(w http.ResponseWriter, s Status) {
	status := http.StatusOK
	if !s.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, Readiness{s.Ready, s.Problems})
}

// guard keeps web pages out. A page that has made its own name point to this
// machine (DNS rebinding) sends that name as Host, and one of another origin
// sends its Origin.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case !IsThisMachine(r.Host):
			http.Error(w, "the Host of this request is not this machine: ask for localhost or 127.0.0.1", http.StatusMisdirectedRequest)
		case !sameOrigin(r):
			http.Error(w, "a page of another origin may not ask this", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// IsThisMachine tells whether a Host header names this machine. The port may be
// any: a tunnel has its own.
func IsThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	for _, o := range origins {
		if o != "http://"+r.Host && o != "https://"+r.Host {
			return false
		}
	}
	return true
}
