package destination

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a failed send means for what happens next.
type Kind int

const (
	// Unavailable is no verdict on the events: no answer, 429, 503, 401. It is
	// tried again without limit.
	Unavailable Kind = iota
	// Failed may be the batch's own fault (an answer of 500): tried again, then
	// in halves, down to the event that cannot be sent.
	Failed
	// Refused is the destination's last word on these events. A batch is
	// halved down to the refused event, which goes to the quarantine.
	Refused
)

func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case Failed:
		return "failed"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Error is how a send failed, for the whole batch.
type Error struct {
	Kind Kind
	// Code is stable, for operators: timeout, refused_connection, http_503, …
	Code string
	// Hint is what an operator can do; empty: nothing but wait.
	Hint string
	// RetryAfter is what the destination asked for; 0: nothing.
	RetryAfter time.Duration
	// Attention marks a failure that no waiting mends, such as a wrong key.
	Attention bool
	// Lost says that a Flusher no longer has what it took since the last mark, as
	// when a connection broke in a transaction. Resume follows, and it all comes
	// again: so it goes with Unavailable only, and an event that is refused must
	// not take the others of its transaction along.
	Lost bool
	Err  error
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return fmt.Sprintf("%s: %v (%s)", e.Code, e.Err, e.Hint)
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error; one of another type is Unavailable.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Unavailable, Code: "error", Err: err}
}

// Partial is a send of which only some events failed: the failures by index in
// the batch. The destination has all the others.
type Partial map[int]*Error

func (p Partial) Error() string {
	first := -1
	for i := range p {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Sprintf("%d events of the batch failed, the first (index %d): %v", len(p), first, p[first])
}
