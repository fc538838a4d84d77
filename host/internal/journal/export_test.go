package journal

import (
	"os"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Faults are where a test interferes with a journal's disk. A nil function is
// the real one.
type Faults struct {
	SyncFile func(*os.File) error
	SyncDir  func(path string) error
	// Space returns the free and the total bytes of the disk.
	Space func() (free, total uint64)
	// PublishTimeout is how long the server may take to store a frame.
	PublishTimeout func() time.Duration
	// NoRewrite leaves the pages of a failed sync as they are.
	NoRewrite bool
}

// WithFaults makes a journal's disk fail as the test wants, and its retries short.
func WithFaults(o Options, f Faults) Options {
	s := production
	s.watch, s.retryMin, s.retryMax = 20*time.Millisecond, 10*time.Millisecond, 100*time.Millisecond
	if f.SyncFile != nil {
		s.syncFile = f.SyncFile
	}
	if f.SyncDir != nil {
		s.syncDir = f.SyncDir
	}
	if f.Space != nil {
		s.space = func(string) (space, error) {
			free, total := f.Space()
			return space{free, total}, nil
		}
	}
	if f.PublishTimeout != nil {
		s.publishTimeout = f.PublishTimeout
	}
	if f.NoRewrite {
		s.rewrite = func(string, int64, func(*os.File) error) error { return nil }
	}
	o.seams = &s
	return o
}

// SyncPath is the real sync of a file or a directory.
var SyncPath = syncPath

var (
	DecodeFrame = decodeFrame
	ErrBadFrame = errBadFrame
)

// EncodeEvents is a frame of these events, as the committer builds it.
func EncodeEvents(offset uint64, now time.Time, events []event.Envelope) []byte {
	b := newFrameBuilder(kindEvents, 0, 0)
	for i := range events {
		b.addEvent(&events[i], events[i].Group)
	}
	return b.finish(offset, now)
}

// EncodeRecords is a frame of these records.
func EncodeRecords(offset uint64, now time.Time, records [][]byte) []byte {
	b := newFrameBuilder(kindRecords, 0, 0)
	for _, r := range records {
		b.addRecord(r)
	}
	return b.finish(offset, now)
}

// Reseal gives a frame the checksum and the length of its bytes, so that a test
// reaches what is checked behind them.
func Reseal(data []byte) {
	if len(data) < frameHeader {
		return
	}
	appendU32(data[:atTotal], len(data))
	appendU32(data[:atChecksum], int(checksum(data)))
}
