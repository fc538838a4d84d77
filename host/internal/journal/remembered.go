package journal

import "time"

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
	if j.index == nil {
		return Remembered{}
	}
	s := j.index.Stats()
	return Remembered{IDs: s.IDs, Window: s.Window, Stalled: s.Stalled}
}
