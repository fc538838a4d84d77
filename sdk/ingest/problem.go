package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// Problem is why a request as a whole is not taken. Nothing of it is stored,
// or the client is asked to send all of it again.
type Problem struct {
	Status     int
	Code       string // stable
	Message    string // what is wrong and what to do; it is logged, so it repeats nothing of the request
	RetryAfter int    // seconds; 0: none
}

// SetRetryAfter sets the header by which the client knows when to come again,
// where the problem is one that passes.
func (p *Problem) SetRetryAfter(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
}

// TooLarge is the problem of a request, decompressed, of more than limit bytes.
// Which setting the limit is and what the client can do the caller may add.
func TooLarge(limit int) *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Message: fmt.Sprintf("the request is larger than %d bytes", limit)}
}

// NotRunning is the problem of a key whose source takes nothing now.
func NotRunning() *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: "not_running", RetryAfter: 1,
		Message: "the key's source takes nothing now: come again"}
}

// NotStored says what the error of an Emit means to the client.
func NotStored(err error) *Problem {
	var ns *sdk.NotStored
	var large *sdk.TooLarge
	switch {
	case errors.As(err, &ns):
		p := &Problem{Status: http.StatusServiceUnavailable, Code: string(ns.Reason),
			Message:    fmt.Sprintf("the events are not stored (%s): send them again", ns.Reason),
			RetryAfter: max(1, int((ns.RetryAfter+time.Second-1)/time.Second))}
		if ns.Reason.Busy() {
			p.Status = http.StatusTooManyRequests
		}
		return p
	case errors.As(err, &large):
		return TooLarge(large.Allowed)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{Status: http.StatusServiceUnavailable, Code: "no_verdict", RetryAfter: 1,
			Message: "it is not known in time whether the events are stored: send them again"}
	default:
		return &Problem{Status: http.StatusServiceUnavailable, Code: "not_running", RetryAfter: 1,
			Message: "the key's source ended meanwhile: send the events again"}
	}
}
