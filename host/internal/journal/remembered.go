package journal

import (
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// Remembered tells of the message ids by which duplicates are found.
type Remembered struct {
	IDs int64
	// Window is the age of the oldest of them: the window in force.
	Window time.Duration
	// Stalled is why ids cannot be written to disk; nil: they can.
	Stalled error
}

// Remembered tells which message ids are remembered.
func (j *Journal) Remembered() Remembered {
	x, ok := j.index.(interface{ Stats() dedup.Stats })
	if !ok {
		return Remembered{}
	}
	s := x.Stats()
	return Remembered{IDs: s.IDs, Window: s.Window, Stalled: s.Stalled}
}
