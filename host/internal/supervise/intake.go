package supervise

import (
	"context"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Intake takes what sources hand over. It is called from many goroutines.
type Intake interface {
	// Open begins a stream of a source. Generation is the number of the plugin's
	// process; it grows with each launch, also across restarts of the host, so
	// that the intake can refuse checkpoints of an earlier process.
	//
	// Open returns once the batches of the source's earlier sessions are settled,
	// so that the session's checkpoint is the source's last one. It gives up with
	// an error when ctx ends.
	Open(ctx context.Context, source event.SourceID, generation uint64) (Session, error)
}

// Session is one stream of one source. Its methods but Submit may be called
// from several goroutines at once.
type Session interface {
	// Checkpoint is the last durable checkpoint; empty: from the beginning.
	Checkpoint() []byte

	// Submit takes over a batch. Calls come one at a time, in the order in which
	// the plugin sent the batches. Submit blocks while there is no room, until
	// ctx ends, and holds the plugin back by this.
	//
	// The batch's form is right: Seq follows on the one before it, or is that of
	// a batch which was not stored; its size is within the limits; groups and
	// violations name events that it has. What the events contain is not known.
	//
	// The batch's events are the session's until Wait returns the verdict, which
	// shares no memory with them; they must not be used afterwards.
	//
	// The verdict is asked for by one call of Wait, in the order of the batches.
	// A batch that cannot be stored is no error, but a verdict NotStored: an error
	// of Submit or Wait ends the stream.
	Submit(ctx context.Context, batch *wire.Batch) (Wait, error)

	// Close ends the session. Batches that were submitted go on and are settled
	// as if it were open; nobody waits for their verdicts.
	Close()
}

// Wait returns the verdict on one batch when it is known, or the error by which
// ctx ended. The verdict's Batch is filled in by the caller.
type Wait func(ctx context.Context) (*wire.Verdict, error)

// Syncs is what a Session may have besides: it keeps what the source tells of its
// syncs. A source whose session keeps nothing is told to tell nothing.
type Syncs interface {
	// Report takes what has changed. It never blocks. The report is within the
	// bounds of package wire and has no answers. Calls come one at a time, none
	// after Close.
	Report(report *wire.SyncReport)
}

// Tokens is what a Session may have besides: access tokens of a person's consent.
// A source whose session has none hears "unavailable".
type Tokens interface {
	// Token returns an access token, or one whose Error says why there is none.
	Token(ctx context.Context) *wire.Token
	// TokenRejected tells that the service refused this access token.
	TokenRejected(ctx context.Context, accessToken string)
}

// Consents is what an Intake may have besides. Where it has it, a source of a
// plugin that needs consent gets a stream only while there is one.
type Consents interface {
	// Consented reports whether a source has a consent that is not known to be
	// refused, and returns a channel that is closed when that changes.
	Consented(source event.SourceID) (bool, <-chan struct{})
}
