package supervise

import (
	"slices"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// State is what a plugin or a source is doing. Its words are stable.
type State string

// States of plugins and sources.
const (
	Starting   State = "starting"
	Running    State = "running"
	BackingOff State = "backing_off" // failed; waits for the next try
	// CrashLoop is a plugin that failed again and again; it is still tried.
	CrashLoop State = "crash_loop"
	Draining  State = "draining"
	Stopped   State = "stopped"
	// NeedsConsent is a source that waits for a person to grant access.
	NeedsConsent State = "needs_consent"
)

// crashLoopAfter is the number of failures in a row that make a crash loop.
const crashLoopAfter = 3

// Status is a snapshot of one plugin.
type Status struct {
	Plugin     event.PluginID `json:"plugin"`
	Path       string         `json:"path"`
	State      State          `json:"state"`
	Since      time.Time      `json:"since"`                // of the state
	RetryAt    time.Time      `json:"retry_at,omitzero"`    // of the next launch while backing off
	PID        int            `json:"pid,omitempty"`        // 0: no process
	Name       string         `json:"name,omitempty"`       // as the plugin describes itself
	Version    string         `json:"version,omitempty"`    // as the plugin describes itself
	Generation uint64         `json:"generation,omitempty"` // of the process
	Restarts   int            `json:"restarts"`             // since the host started
	Failures   int            `json:"failures"`             // in a row; 0 once it was healthy for a while
	Listen     string         `json:"listen,omitempty"`     // the bound address
	// Error is the last failure. It stays when the plugin runs again.
	Error   *Error         `json:"error,omitempty"`
	ErrorAt time.Time      `json:"error_at,omitzero"`
	Sources []SourceStatus `json:"sources"`
}

// SourceStatus is a snapshot of one source.
type SourceStatus struct {
	Source   event.SourceID `json:"source"`
	State    State          `json:"state"`
	Since    time.Time      `json:"since"`
	RetryAt  time.Time      `json:"retry_at,omitzero"`
	Restarts int            `json:"restarts"` // since the host started
	Failures int            `json:"failures"` // in a row; 0 once it ran for a while
	// Error is the last failure. It stays when the source runs again.
	Error    *Error    `json:"error,omitempty"`
	ErrorAt  time.Time `json:"error_at,omitzero"`
	Problems []Problem `json:"problems,omitempty"` // as the source told last
	// Progress is by stream, in the order of their first mention. It ends with the
	// run of the sync of that name, if there is one.
	Progress []Progress `json:"progress,omitempty"`
}

// Problem is something a person can mend, as the source tells it.
type Problem struct {
	Code    string `json:"code"`
	Path    string `json:"path,omitempty"` // JSON Pointer into the source's config
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	Warning bool   `json:"warning,omitempty"` // the source works all the same
}

// Progress tells how far a source's long read has come.
type Progress struct {
	Stream  string `json:"stream"`
	Done    uint64 `json:"done"`
	Total   uint64 `json:"total,omitempty"` // 0: not known
	Message string `json:"message,omitempty"`
}

// Bounds on what is kept of what one source tells.
const (
	maxProgress = 256 // streams
	maxProblems = 100
	maxText     = 2 << 10 // bytes of one text
)

// board holds one plugin's Status. It is written by the plugin's goroutines and
// read by anyone.
type board struct {
	mu     sync.Mutex
	status Status
}

func newBoard(spec *Spec) *board {
	b := &board{status: Status{Plugin: spec.Name, Path: spec.Path, State: Starting, Since: time.Now()}}
	for _, s := range spec.Sources {
		b.status.Sources = append(b.status.Sources,
			SourceStatus{Source: s.ID, State: Starting, Since: time.Now()})
	}
	return b
}

// update changes the plugin's status. The state's time follows by itself.
func (b *board) update(f func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.status.State
	f(&b.status)
	if b.status.State != before {
		b.status.Since = time.Now()
	}
}

// updateSource changes one source's status.
func (b *board) updateSource(id event.SourceID, f func(*SourceStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.status.Sources {
		s := &b.status.Sources[i]
		if s.Source != id {
			continue
		}
		before := s.State
		f(s)
		if s.State != before {
			s.Since = time.Now()
		}
	}
}

func (b *board) snapshot() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Sources = slices.Clone(s.Sources)
	for i := range s.Sources {
		s.Sources[i].Problems = slices.Clone(s.Sources[i].Problems)
		s.Sources[i].Progress = slices.Clone(s.Sources[i].Progress)
	}
	return s
}

func (s *SourceStatus) note(p *wire.Progress) {
	progress := Progress{
		Stream: shorten(p.GetStream(), maxText), Done: p.GetDone(), Total: p.GetTotal(),
		Message: shorten(p.GetMessage(), maxText),
	}
	i := slices.IndexFunc(s.Progress, func(have Progress) bool { return have.Stream == progress.Stream })
	switch {
	case i >= 0:
		s.Progress[i] = progress
	case len(s.Progress) < maxProgress:
		s.Progress = append(s.Progress, progress)
	}
}

// finished notes that a sync is not read any more.
func (s *SourceStatus) finished(sync string) {
	s.Progress = slices.DeleteFunc(s.Progress, func(p Progress) bool { return p.Stream == sync })
}

func problems(list []*wire.Problem) []Problem {
	list = list[:min(len(list), maxProblems)]
	out := make([]Problem, 0, len(list))
	for _, p := range list {
		out = append(out, Problem{
			Code: shorten(p.GetCode(), maxText), Path: shorten(p.GetPath(), maxText),
			Message: shorten(p.GetMessage(), maxText), Fix: shorten(p.GetFix(), maxText),
			Warning: p.GetWarning(),
		})
	}
	return out
}
