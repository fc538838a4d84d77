package syncs

import (
	"slices"
	"time"
)

const (
	// MaxRuns is how many runs of a sync are kept. Where there are more, the oldest
	// that brought nothing goes before the oldest: of a sync that runs every minute
	// the failure of last night is worth more than a minute in which nothing was new.
	MaxRuns = 50
	// recentRuns stay whatever they brought.
	recentRuns = 10
)

// State is what a sync is doing. Its words are stable.
type State string

// The states of a Sync.
const (
	Idle    State = "idle"
	Running State = "running"
	Paused  State = "paused"
	Failed  State = "failed"
	// Unknown is a sync of a source that does not run and has left no other state.
	Unknown State = "unknown"
)

// Sync is one sync at one moment.
type Sync struct {
	Name  string
	State State
	Due   time.Time // of the next run; zero: not known, or it does not run by itself
	// Succeeded is when a run last ended well, also one that is not kept any more;
	// zero: none has.
	Succeeded time.Time
	Runs      []Run // the newest first
	Counts    Counts
}

// Counts go up from the host's start.
type Counts struct {
	Done, Failed           uint64 // runs
	Read, Emitted, Refused uint64
}

// RunState is how a run is. Its words are stable.
type RunState string

// The states of a Run.
const (
	RunRunning RunState = "running"
	RunDone    RunState = "done"
	RunFailed  RunState = "failed"
	// RunInterrupted is a run whose source stopped before it told of an end.
	RunInterrupted RunState = "interrupted"
)

// Run is one run of a sync.
type Run struct {
	ID      string
	Kind    string
	State   RunState
	Started time.Time
	Ended   time.Time // zero: it has not
	Read    uint64    // rows
	Emitted uint64    // events that are stored
	Refused uint64
	Error   *Error // nil: none
}

// Error is why a run failed.
type Error struct {
	Code    string `json:"code,omitempty"`
	Path    string `json:"path,omitempty"` // JSON Pointer into the source's config
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// record is a run as it is kept.
type record struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Read    uint64    `json:"read,omitempty"`
	Emitted uint64    `json:"emitted,omitempty"`
	Refused uint64    `json:"refused,omitempty"`
	Error   *Error    `json:"error,omitempty"`

	stream *Stream // which told of it last; nil: one before the host's start
}

func (r *record) ended() bool { return !r.Ended.IsZero() }

// brought tells whether the run changed anything or has something to say.
func (r *record) brought() bool {
	return !r.ended() || r.Error != nil || r.Emitted > 0 || r.Refused > 0
}

// entry is a sync as it is kept.
type entry struct {
	name      string
	state     State
	due       time.Time
	succeeded time.Time
	runs      []record // the oldest first
	counts    Counts
	// listed tells that the source has it, as far as is known.
	listed bool
	heard  time.Time // of when the last report is

	unsaved bool      // something has changed
	urgent  bool      // that is worth a write
	saved   time.Time // when it was last written
}

// note takes what is told of a run.
func (e *entry) note(told record) {
	i := len(e.runs) - 1
	for i >= 0 && e.runs[i].ID != told.ID {
		i--
	}
	if i < 0 {
		e.runs = append(e.runs, record{ID: told.ID, Started: told.Started})
		i = len(e.runs) - 1
		e.urgent = true
	}
	had := e.runs[i]
	e.counts.Read += rise(had.Read, told.Read)
	e.counts.Emitted += rise(had.Emitted, told.Emitted)
	e.counts.Refused += rise(had.Refused, told.Refused)
	if told.ended() != had.ended() || told.Error != nil {
		e.urgent = true
	}
	if told.ended() {
		if told.Error == nil && told.Ended.After(e.succeeded) {
			e.succeeded = told.Ended
		}
		switch {
		case had.ended():
		case told.Error == nil:
			e.counts.Done++
		default:
			e.counts.Failed++
		}
	}
	e.runs[i] = told
	e.unsaved = true
	e.trim()
}

func rise(from, to uint64) uint64 { return max(from, to) - from }

// trim forgets a run where there are too many.
func (e *entry) trim() {
	if len(e.runs) <= MaxRuns {
		return
	}
	old := e.runs[:len(e.runs)-recentRuns]
	i := max(0, slices.IndexFunc(old, func(r record) bool { return !r.brought() }))
	e.runs = slices.Delete(e.runs, i, i+1)
}

// view is the sync as others see it, with at most so many runs; live is the
// source's open stream.
func (e *entry) view(live *Stream, most int) Sync {
	out := Sync{Name: e.name, State: e.state, Succeeded: e.succeeded, Counts: e.counts}
	if live != nil {
		out.Due = e.due
	}
	running := false
	for _, r := range slices.Backward(e.runs) {
		run := Run{
			ID: r.ID, Kind: r.Kind, Started: r.Started, Ended: r.Ended,
			Read: r.Read, Emitted: r.Emitted, Refused: r.Refused, Error: r.Error,
		}
		switch {
		case r.Error != nil && r.ended():
			run.State = RunFailed
		case r.ended():
			run.State = RunDone
		case live != nil && r.stream == live:
			run.State = RunRunning
			running = true
		default:
			run.State = RunInterrupted
		}
		if len(out.Runs) < most {
			out.Runs = append(out.Runs, run)
		}
	}
	switch {
	case live == nil && e.state == Running:
		out.State = Unknown
	case running && e.state == Idle:
		out.State = Running
	}
	return out
}
