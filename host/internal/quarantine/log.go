package quarantine

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Log is the durable log of one source. It is a ring: where it exceeds the
// bytes that it was opened with, its oldest frames go. The quarantine is its
// only writer and moves what must stay ahead of the end.
type Log interface {
	// Append stores records in order, in one frame or in several that follow
	// each other, and returns when they are durable. After an error nobody
	// knows which of them were stored; a later Append that succeeds has made
	// those durable too.
	Append(ctx context.Context, records [][]byte) error
	// Read returns the first whole frame at or after seq, without waiting for
	// one: io.EOF where none is durable. The frame's records are not written to
	// afterwards.
	Read(ctx context.Context, seq uint64) (Frame, error)
	// First returns the number of the oldest frame that the log holds.
	First(ctx context.Context) (uint64, error)
}

// Frame is what a log stores at once.
type Frame struct {
	Seq     uint64 // from 1
	Records [][]byte
}

// Logs opens the logs.
type Logs interface {
	// Names lists the sources that have a log, configured or not.
	Names(ctx context.Context) ([]event.SourceID, error)
	// Open opens a source's log, which is created where it is missing.
	Open(ctx context.Context, source event.SourceID, ring Ring) (Log, error)
}

// Ring bounds a log.
type Ring struct {
	// MaxBytes is what the log keeps. A frame counts with its records, at most
	// 16 bytes for each of them, and at most FrameOverhead.
	MaxBytes int64
	// MaxAge is how long a frame stays that nothing pushes out; 0: for ever.
	MaxAge time.Duration
}

// Cache keeps small values by key. What it loses is only slow to make again.
type Cache interface {
	// Get returns nil for a key without a value.
	Get(key string) ([]byte, error)
	// Put may refuse a value of more than 1 MiB.
	Put(key string, value []byte) error
}

// FrameOverhead is the most that a frame may cost a log beside its records.
const FrameOverhead = 256
