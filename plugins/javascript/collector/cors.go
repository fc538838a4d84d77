package collector

import "net/http"

// Header names that a wildcard does not cover, or that a page may not read
// unless they are named.
const (
	allowedHeaders = "authorization, content-type, x-retry-count, x-strict-mode"
	exposedHeaders = "Retry-After, Wellhead-Refused"
	// preflightAge is for how many seconds a browser need not ask again.
	// Chromium keeps to two hours, others to more.
	preflightAge = "7200"
)

// allowOrigin lets pages of every origin send events and read the answers.
// Keys in pages are public, and requests carry no credentials but the key.
func allowOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
}

// hideFromPage makes an answer look like a broken connection to a page of
// another origin, if the page's library takes any status for success:
// Customer.io's does, and would lose an event that is answered 429 or 503. A
// broken connection it retries. Such a library is known by its request, which
// has no Authorization. Segment's has, and obeys the status and Retry-After.
func hideFromPage(h http.Header, r *http.Request) {
	if r.Header.Get("Origin") != "" && r.Header.Get("Authorization") == "" {
		h.Del("Access-Control-Allow-Origin")
	}
}
