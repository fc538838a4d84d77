package sdk

import (
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

var (
	// ErrEnded is returned once a stream is over: the host went away, ended it,
	// or it was drained. What was emitted without a verdict may or may not be
	// durable; emit it again under the same message ids.
	ErrEnded = errors.New("stream ended")
	// ErrUnknownKey means that no source has this API key: answer 401.
	ErrUnknownKey = errors.New("no source has this key")
	// ErrNotRunning means that the key's source exists but takes nothing now:
	// answer 503 with a Retry-After.
	ErrNotRunning = errors.New("source is not running")
	// ErrNeedsConsent means that a person has to grant consent (again) before
	// there is a token. Waiting does not help.
	ErrNeedsConsent = errors.New("source needs consent")
	// ErrNoToken means that there is no token now, but there may be one later.
	ErrNoToken = errors.New("no access token now")
)

// NotStored is the error of an Emit of which nothing was stored.
type NotStored struct {
	Reason     Reason
	RetryAfter time.Duration // whole seconds, at least one
}

func (e *NotStored) Error() string {
	return fmt.Sprintf("not stored: %s, retry after %s", e.Reason, e.RetryAfter)
}

// Reason says why a batch was not stored. The values are stable.
type Reason string

// The reasons of NotStored.
const (
	RateLimited     Reason = wire.RateLimited     // of the source
	JournalBehind   Reason = wire.JournalBehind   // more comes in than the disk takes
	DiskFull        Reason = wire.DiskFull        // intake resumes when there is space
	DestinationFull Reason = wire.DestinationFull // one that this source is routed to
	QuarantineFull  Reason = wire.QuarantineFull  // and an event of the batch was refused
	Closed          Reason = wire.Closed          // the journal cannot be written now
)

// Busy reports whether the client came too fast (answer 429) rather than that
// the host cannot store (answer 503).
func (r Reason) Busy() bool { return r == RateLimited || r == JournalBehind }

// TooLarge is the error of an Emit whose batch is beyond Limits. Nothing of it
// was sent.
type TooLarge struct {
	What    string // events, bytes or bytes of checkpoint
	Have    int
	Allowed int
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("batch too large: %d %s, at most %d", e.Have, e.What, e.Allowed)
}
