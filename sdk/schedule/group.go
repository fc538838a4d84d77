package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// Group is syncs that have no interval and run as one, such as those that hear
// of changes as they happen.
type Group struct {
	Name  string // of its state
	Syncs []string
	// Run runs them until ctx ends and carries out their commands. An error means
	// that the stream is over. It calls Alive more often than every 20 minutes.
	Run func(ctx context.Context, m *Member) error
}

// Member is a Group's part of the schedule. Its methods may be called from
// several goroutines.
type Member struct {
	schedule *Schedule
	group    Group
	commands chan *sdk.SyncCommand
	turn     atomic.Int64
}

func (r *Schedule) member(g Group) *Member {
	m := &Member{schedule: r, group: g, commands: make(chan *sdk.SyncCommand, 16)}
	m.Alive()
	return m
}

// State reads the state that was stored last into v, and reports whether there is
// one.
func (m *Member) State(v any) (bool, error) {
	m.schedule.storing.Lock()
	defer m.schedule.storing.Unlock()
	s := m.schedule.saved.Groups[m.group.Name]
	if len(s) == 0 {
		return false, nil
	}
	return true, json.Unmarshal(s, v)
}

// Store stores events and then the state after them, as Task.Store does.
func (m *Member) Store(ctx context.Context, s any, events []sdk.Event) (refused int, err error) {
	b, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	refused, err = m.schedule.put(ctx, func(next *checkpoint) {
		groups := map[string]json.RawMessage{}
		maps.Copy(groups, next.Groups)
		groups[m.group.Name] = b
		next.Groups = groups
	}, events)
	m.Alive()
	return refused, err
}

// Commands returns what people ask of the group's syncs.
func (m *Member) Commands() <-chan *sdk.SyncCommand { return m.commands }

// Alive says that the group turns.
func (m *Member) Alive() { m.turn.Store(time.Now().UnixNano()) }

// Note says what is wrong with a part of the group; nil: it is well.
func (m *Member) Note(part string, p *sdk.Problem) { m.schedule.note(m.group.Name+" "+part, p) }

// Tell says what a sync is doing.
func (m *Member) Tell(s sdk.Sync) { m.schedule.tell(s) }

// Report tells of a run.
func (m *Member) Report(run sdk.SyncRun) { m.schedule.stream.Report(run) }

// Progress tells how far a sync's run has come.
func (m *Member) Progress(sync string, done, total uint64, message string) {
	m.schedule.stream.Progress(sync, done, total, message)
}

// stuck says that a group has not moved for too long; nil: it has.
func (m *Member) stuck() error {
	if idle := time.Since(time.Unix(0, m.turn.Load())); idle > leastSilence {
		return fmt.Errorf("%s has not moved for %s", m.group.Name, idle.Round(time.Second))
	}
	return nil
}

// of returns the member that has a sync; nil: none has it.
func of(members []*Member, sync string) *Member {
	i := slices.IndexFunc(members, func(m *Member) bool { return slices.Contains(m.group.Syncs, sync) })
	if i < 0 {
		return nil
	}
	return members[i]
}
