package client

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// after notes in an Error how long Salesforce asks for silence: Retry-After in
// seconds or as a date (RFC 9110, section 10.2.3), at most longestRetryAfter.
func after(err error, header string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || header == "" {
		return err
	}
	if n, bad := strconv.ParseUint(header, 10, 32); bad == nil {
		e.RetryAfter = time.Duration(n) * time.Second
	} else if at, bad := http.ParseTime(header); bad == nil {
		e.RetryAfter = time.Until(at)
	}
	e.RetryAfter = max(0, min(e.RetryAfter, longestRetryAfter))
	return e
}

// RetryAfter is how long to wait before the next request, as an error tells; 0:
// it tells nothing.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok && e.Temporary() {
		return e.RetryAfter
	}
	if e, ok := errors.AsType[*QuotaError](err); ok {
		return e.RetryAfter
	}
	return 0
}

// hold is the silence that Salesforce has asked for. It holds for all requests.
type hold struct {
	mu    sync.Mutex
	until time.Time
	why   Error
}

// ask returns the error by which the silence was asked for, while it lasts.
func (h *hold) ask(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.until.Sub(now)
	if wait <= 0 {
		return nil
	}
	e := h.why
	e.RetryAfter = wait
	return &e
}

func (h *hold) note(err error, now time.Time) {
	e, ok := errors.AsType[*Error](err)
	if !ok || RetryAfter(err) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := now.Add(e.RetryAfter); until.After(h.until) {
		h.until, h.why = until, *e
	}
}
