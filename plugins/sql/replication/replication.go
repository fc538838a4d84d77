// Package replication follows tables of a PostgreSQL server by logical
// replication, which is change data capture: first the rows that a table has,
// then each change as it is committed.
//
// All tables of a source share one publication and one replication slot, so
// that changes arrive in the order of their commits. The slot makes the server
// keep its WAL from the place that was acknowledged, which is done only when
// everything before it is stored: what is not may be read again, under the same
// message ids. See [PostgreSQL's documentation].
//
// A new slot and the snapshot of the tables that belongs to it are made at one
// place of the WAL: what is in one is not in the other. A snapshot that was
// interrupted goes on behind the last row that was stored, in another one. What
// was changed meanwhile is then told by both, and the changes last, so that the
// outcome is the table.
//
// Memory is bounded by two batches and one row. Transactions of any size pass
// through, since the server keeps them, on its disk where they are large, until
// they are committed.
//
// [PostgreSQL's documentation]: https://www.postgresql.org/docs/current/logicaldecoding.html
package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// LSN is a place in the WAL.
type LSN = pglogrepl.LSN

// Options are what a Follower works with.
type Options struct {
	URL         string // postgres://…
	Source      string // its name
	Slot        string // lower-case letters, digits and underscores, at most 63
	Publication string
	MaxLag      uint64 // bytes of WAL that the server may keep for the slot; 0: any
	Drop        bool   // the slot is dropped at MaxLag
	Syncs       map[string]Sync
	State       State
	Limits      sdk.Limits

	// Store stores events and then the state after them.
	Store func(ctx context.Context, s State, events []sdk.Event) (refused int, err error)
	// Note says what is wrong with a part; nil: it is well.
	Note     func(part string, p *sdk.Problem)
	Tell     func(sdk.Sync)
	Report   func(sdk.SyncRun)
	Progress func(sync string, done, total uint64, message string)
	// Alive is called more often than every 10 s as long as the follower turns.
	Alive    func()
	Commands <-chan Command
	Log      *slog.Logger
	// LookEvery is the time between two looks at the slot's lag, and that after which
	// a wait is told of; 0 means 10 s.
	LookEvery time.Duration
}

// Command is an sdk.SyncCommand.
type Command struct {
	Sync   string
	Action sdk.SyncAction
	Done   func(error) // is called once
}

// Sync says what a table's rows become.
type Sync struct {
	Table string // people, or public.people
	// Mapping has the key of the rows, empty for the table's own.
	Mapping row.Mapping
	// Columns have other names in the call; "": it is left out.
	Columns map[string]string
	Silent  bool // deletions are not told
}

// State is how far a source's tables are read. It is stored as JSON.
type State struct {
	System string `json:"system,omitempty"` // identifies the server's data
	Epoch  LSN    `json:"epoch,omitempty"`  // where the slot began
	// LSN is where reading goes on: everything that was committed before is
	// stored. 0: there is no slot yet.
	LSN   LSN                   `json:"lsn,omitempty"`
	Syncs map[string]*SyncState `json:"syncs,omitempty"`
	// Gap is why changes are missing since the last reset; empty: none are.
	Gap string `json:"gap,omitempty"`
}

// SyncState is how far one table is read.
type SyncState struct {
	Run     string    `json:"run,omitempty"` // the snapshot; empty: not begun
	Started time.Time `json:"started,omitzero"`
	After   []string  `json:"after,omitempty"` // the key of the last row of the snapshot that is stored
	Done    bool      `json:"done,omitempty"`  // the snapshot is complete, and changes are told
	Paused  bool      `json:"paused,omitempty"`
	Read    uint64    `json:"read,omitempty"`
	Emitted uint64    `json:"emitted,omitempty"`
	Refused uint64    `json:"refused,omitempty"`
}

// restart has a table read anew.
func (s *SyncState) restart() { *s = SyncState{Paused: s.Paused} }

func (s State) clone() State {
	s.Syncs = maps.Clone(s.Syncs)
	for name, of := range s.Syncs {
		c := *of
		s.Syncs[name] = &c
	}
	return s
}

// Follower follows the tables of a source.
type Follower struct {
	Options
	names   []string
	state   State
	stored  uint64          // how often something was
	broken  map[string]bool // the syncs whose table cannot be followed
	dropped string          // why the slot was dropped, until the gap is stored; empty: it was not
}

// New returns a Follower. It does nothing before Run.
func New(o Options) *Follower {
	f := &Follower{Options: o, state: o.State.clone(), names: slices.Sorted(maps.Keys(o.Syncs))}
	if f.state.Syncs == nil {
		f.state.Syncs = map[string]*SyncState{}
	}
	maps.DeleteFunc(f.state.Syncs, func(name string, _ *SyncState) bool { _, ok := o.Syncs[name]; return !ok })
	for _, name := range f.names {
		if f.state.Syncs[name] == nil {
			f.state.Syncs[name] = &SyncState{}
		}
	}
	if f.LookEvery == 0 {
		f.LookEvery = 10 * time.Second
	}
	return f
}

// The pauses between tries to reach a server that cannot be.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = time.Minute
)

// errDropped ends the work when the slot has to go.
var errDropped = errors.New("the slot reached max_lag")

// Run follows until ctx ends, and returns nil then. An error means that the
// host's stream is over.
func (f *Follower) Run(ctx context.Context) error {
	f.noteGap()
	pause := leastPause
	for {
		before := f.stored
		err := f.untilCommand(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the caller ended it
		case errors.Is(err, sdk.ErrEnded):
			return err
		case err == nil: // by a command
			pause = leastPause
			continue
		}
		if f.stored > before {
			pause = leastPause
		}
		p := f.problem(err)
		if pause > leastPause || p.Code != "connection" { // what is well again at once is nobody's concern
			f.Note("replication", &p)
			f.tellAll(sdk.SyncFailed, p, time.Now().Add(pause))
		}
		f.Log.Warn("change data capture is interrupted", "err", err)
		if err := f.wait(ctx, pause); err != nil {
			return ignoreEnd(ctx, err)
		}
		pause = min(2*pause, mostPause)
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the caller ended it
	}
	return err
}

// wait lets time pass, or a command.
func (f *Follower) wait(ctx context.Context, pause time.Duration) error {
	end := time.NewTimer(pause)
	defer end.Stop()
	for {
		select {
		case <-end.C:
			return nil
		case <-time.After(5 * time.Second):
			f.Alive()
		case c := <-f.Commands:
			return f.obey(ctx, c)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// untilCommand works until it fails or a command was carried out; nil then.
func (f *Follower) untilCommand(ctx context.Context) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.work(work) }()
	select {
	case err := <-ended:
		return err
	case c := <-f.Commands:
		cancel()
		<-ended //nolint:errcheck // the command counts
		return f.obey(ctx, c)
	}
}

func (f *Follower) answerRun(c Command) {
	if s := f.state.Syncs[c.Sync]; s != nil && s.Paused {
		c.Done(sdk.Problem{Code: "paused", Message: fmt.Sprintf("sync %s is paused", c.Sync), Fix: "run wellhead sync resume first"})
		return
	}
	c.Done(nil)
}

// obey carries a command out while nothing else works.
//
// A pause of all tables holds the slot: nothing is missed. While only some are
// paused the others go on, so that a table which is resumed is read anew.
func (f *Follower) obey(ctx context.Context, c Command) error {
	next := f.state.clone()
	s := next.Syncs[c.Sync]
	if s == nil {
		c.Done(sdk.Problem{Code: "unknown_sync", Message: fmt.Sprintf("sync %s does not run", c.Sync), Fix: "mend its config"})
		return nil
	}
	switch c.Action {
	case sdk.SyncRunNow:
		f.answerRun(c)
		return nil
	case sdk.SyncPause:
		s.Paused = true
	case sdk.SyncResume:
		s.Paused = false
	case sdk.SyncReset:
		s.restart()
		next.Gap = ""
	}
	_, err := f.Store(ctx, next, nil)
	if err == nil {
		f.state = next
		f.noteGap()
	}
	c.Done(err)
	f.tellAll("", sdk.Problem{}, time.Time{})
	return err
}

// active are the syncs that are not paused.
func (f *Follower) active() []string {
	return slices.DeleteFunc(slices.Clone(f.names), func(name string) bool { return f.state.Syncs[name].Paused })
}

// tellAll tells the state of every sync; "": what it is by itself.
func (f *Follower) tellAll(state sdk.SyncState, p sdk.Problem, due time.Time) {
	for _, name := range f.names {
		t := sdk.Sync{Name: name, State: state, Due: due}
		s := f.state.Syncs[name]
		switch {
		case s.Paused:
			t = sdk.Sync{Name: name, State: sdk.SyncPaused}
		case f.broken[name]:
			t = sdk.Sync{Name: name, State: sdk.SyncFailed}
		case state == "":
			t.State = sdk.SyncRunning
		case state == sdk.SyncFailed && s.Run != "" && !s.Done:
			r := f.run(name)
			r.Error = p
			f.Report(r)
		}
		f.Tell(t)
	}
}

// run is the snapshot of a sync as the operator sees it.
func (f *Follower) run(name string) sdk.SyncRun {
	s := f.state.Syncs[name]
	return sdk.SyncRun{Sync: name, ID: s.Run, Kind: "snapshot", Started: s.Started, Read: s.Read, Emitted: s.Emitted, Refused: s.Refused}
}

// noteGap tells of changes that are missing until somebody resets a sync.
func (f *Follower) noteGap() {
	if f.state.Gap == "" {
		f.Note("replication gap", nil)
		return
	}
	f.Note("replication gap", &sdk.Problem{
		Code: "replication_gap", Path: "/replication", Message: f.state.Gap,
		Fix: "the tables were read anew; which rows were deleted meanwhile is not known: compare by their ids, then run wellhead sync reset to end this message",
	})
}

// lost forgets the slot, so that the next work makes another and reads the
// tables anew, and tells of the gap.
func (f *Follower) lost(ctx context.Context, why string) error {
	next := f.state.clone()
	next.Gap = fmt.Sprintf("changes after %s are missing: %s", f.state.LSN, why)
	next.System, next.Epoch, next.LSN = "", 0, 0
	for _, s := range next.Syncs {
		s.restart()
	}
	f.Log.Warn("changes are missing: the tables are read anew", "slot", f.Slot, "lsn", f.state.LSN.String(), "reason", why)
	if _, err := f.Store(ctx, next, nil); err != nil {
		return err
	}
	f.state = next
	f.noteGap()
	return nil
}
