// Package schedule runs the syncs of a source: side by side, each at its interval
// and when people ask for it, with growing pauses after failures.
//
// A source's Run opens a Schedule on its stream, makes its Jobs and lets Run do
// the rest; a Job's own Run reads what is new of one sync and stores it by its
// Task. The schedule keeps the states of all syncs in the source's checkpoint.
package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// Stream is what is used of an sdk.Stream.
type Stream interface {
	Checkpoint() []byte
	Limits() sdk.Limits
	Updated() <-chan struct{}
	Draining() <-chan struct{}
	Commands() <-chan *sdk.SyncCommand
	Store(ctx context.Context, b sdk.Batch) (sdk.Verdict, error)
	Health(problems ...sdk.Problem)
	Progress(stream string, done, total uint64, message string)
	Syncs(all ...sdk.Sync)
	Report(run sdk.SyncRun)
	Log() *slog.Logger
}

// Job is one sync.
type Job struct {
	Name     string
	Interval time.Duration // from the beginning of a run to that of the next; one that takes longer skips those due meanwhile
	// Problem is why the sync cannot run, with its path in the source's config;
	// nil: it can.
	Problem *sdk.Problem
	// Run reads what is new since t.State and returns when it is stored. Between
	// two pages it calls t.Between. An error ends the run, and the next is due
	// after a pause.
	Run func(ctx context.Context, t *Task) error
	// Explain makes a Run's error one for a person, with its path in the source's
	// config; after is the least pause that it asks for.
	Explain func(err error) (p sdk.Problem, after time.Duration)
	// Silence is the longest time that Run may take from one Between to the next;
	// 0: 20 minutes. After it the stream ends, and the source is started again.
	Silence time.Duration
}

// Schedule is the syncs of a source.
type Schedule struct {
	stream Stream

	// storing is held while a batch is stored, so that checkpoints follow each
	// other and none tells of events that are not stored.
	storing sync.Mutex
	saved   checkpoint

	mu       sync.Mutex // guards what follows
	problems map[string]sdk.Problem
	states   map[string]sdk.Sync
}

type checkpoint struct {
	V     int              `json:"v"`
	Syncs map[string]state `json:"syncs"`
	// Groups are the states of groups, which hold those of their syncs.
	Groups map[string]json.RawMessage `json:"groups,omitempty"`
}

// state is what is kept of a sync.
type state struct {
	Paused bool            `json:"paused,omitempty"`
	Due    time.Time       `json:"due,omitzero"` // of the next run
	State  json.RawMessage `json:"state,omitempty"`
}

// Open returns the schedule of a stream, with the states in its checkpoint.
func Open(s Stream) (*Schedule, error) {
	r := &Schedule{stream: s, saved: checkpoint{V: 1, Syncs: map[string]state{}}}
	if b := s.Checkpoint(); b != nil {
		if err := json.Unmarshal(b, &r.saved); err != nil || r.saved.V != 1 {
			return nil, sdk.Problem{Code: "checkpoint", Message: "the checkpoint is not one that this version reads", Fix: "run the plugin's version that wrote it"}
		}
	}
	return r, nil
}

// leastSilence is longer than what is done in one step may take.
const leastSilence = 20 * time.Minute

// watchEvery is how often the source says that it is alive; it has to be less
// than Plugin.MaxSilence.
const watchEvery = 10 * time.Second

// Run runs the jobs until ctx ends or the stream drains, and then returns nil, or
// until again is closed. An error means that the stream is over. The state of a
// job or group is forgotten when Run is called without it.
func (r *Schedule) Run(ctx context.Context, again <-chan struct{}, jobs []Job, groups ...Group) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	named := map[string]bool{}
	r.problems, r.states = map[string]sdk.Problem{}, map[string]sdk.Sync{}
	tasks := map[string]*Task{}
	for _, j := range jobs {
		named[j.Name] = true
		r.states[j.Name] = sdk.Sync{Name: j.Name}
	}
	maps.DeleteFunc(r.saved.Syncs, func(name string, _ state) bool { return !named[name] })
	for _, j := range jobs {
		if j.Problem != nil {
			r.problems[j.Name] = *j.Problem
			r.states[j.Name] = sdk.Sync{Name: j.Name, State: sdk.SyncFailed}
			continue
		}
		t := newTask(r, j)
		tasks[j.Name] = t
		r.states[j.Name] = sdk.Sync{Name: j.Name, State: t.idle()}
	}
	var members []*Member
	maps.DeleteFunc(r.saved.Groups, func(name string, _ json.RawMessage) bool {
		return !slices.ContainsFunc(groups, func(g Group) bool { return g.Name == name })
	})
	for _, g := range groups {
		members = append(members, r.member(g))
		for _, name := range g.Syncs {
			r.states[name] = sdk.Sync{Name: name}
		}
	}
	r.tellSyncs()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ended := make(chan error, len(tasks)+len(members))
	for _, t := range tasks {
		running.Go(func() { ended <- t.run(ctx) })
	}
	for _, m := range members {
		running.Go(func() { ended <- m.group.Run(ctx, m) })
	}
	return r.watch(ctx, again, tasks, members, ended)
}

// watch passes commands on and tells what is wrong, until there is reason to end.
func (r *Schedule) watch(ctx context.Context, again <-chan struct{}, tasks map[string]*Task, members []*Member, ended <-chan error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	r.tellHealth()
	for {
		select {
		case c := <-r.stream.Commands():
			if m := of(members, c.Sync); m != nil {
				command(m.commands, c)
			} else if t := tasks[c.Sync]; t != nil {
				command(t.commands, c)
			} else {
				c.Done(sdk.Problem{Code: "unknown_sync", Message: fmt.Sprintf("sync %s does not run", c.Sync), Fix: "mend its config"})
			}
		case <-tick.C:
			for name, t := range tasks {
				if idle := time.Since(t.turned()); idle > t.job.Silence {
					return fmt.Errorf("sync %s has not moved for %s", name, idle.Round(time.Second))
				}
			}
			for _, m := range members {
				if err := m.stuck(); err != nil {
					return err
				}
			}
			r.tellHealth()
		case err := <-ended:
			if err != nil {
				return err
			}
		case <-again:
			return nil
		case <-r.stream.Draining():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func command(to chan<- *sdk.SyncCommand, c *sdk.SyncCommand) {
	select {
	case to <- c:
	default:
		c.Done(sdk.Problem{Code: "busy", Message: "the sync has not taken up earlier commands", Fix: "try again later"})
	}
}

// Over reports whether the source has to finish.
func (r *Schedule) Over(ctx context.Context) bool {
	select {
	case <-r.stream.Draining():
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (r *Schedule) state(name string) state {
	r.storing.Lock()
	defer r.storing.Unlock()
	return r.saved.Syncs[name]
}

// store stores events and then the checkpoint in which change has changed the
// state of a sync.
func (r *Schedule) store(ctx context.Context, name string, change func(*state), events []sdk.Event) (refused int, err error) {
	return r.put(ctx, func(next *checkpoint) {
		next.Syncs = maps.Clone(next.Syncs)
		s := next.Syncs[name]
		change(&s)
		next.Syncs[name] = s
	}, events)
}

// put stores events, in as many batches as the host's bounds ask for, and then
// the checkpoint as change makes it, which leaves its maps as they are.
func (r *Schedule) put(ctx context.Context, change func(*checkpoint), events []sdk.Event) (refused int, err error) {
	r.storing.Lock()
	defer r.storing.Unlock()
	next := r.saved
	change(&next)
	b, err := json.Marshal(next)
	if err != nil {
		return 0, err
	}
	for {
		n := fits(events, r.stream.Limits())
		batch := sdk.Batch{Events: events[:n]}
		events = events[n:]
		if len(events) == 0 {
			batch.Checkpoint = b
		}
		v, err := r.stream.Store(ctx, batch)
		if err != nil {
			return refused, err
		}
		last := -1
		for _, violation := range v.Violations { // in the order of the batch
			if violation.Index != last {
				refused, last = refused+1, violation.Index
			}
		}
		if len(events) == 0 {
			r.saved = next
			return refused, nil
		}
	}
}

// fits returns how many events go into one batch, at least one.
func fits(events []sdk.Event, l sdk.Limits) int {
	size := 0
	for i, e := range events {
		size += len(e)
		if i > 0 && (l.BatchBytes > 0 && size > l.BatchBytes || l.BatchEvents > 0 && i >= l.BatchEvents) {
			return i
		}
	}
	return len(events)
}

// note says what is wrong with a part of the source; nil: it is well.
func (r *Schedule) note(part string, p *sdk.Problem) {
	r.mu.Lock()
	had, known := r.problems[part]
	if p == nil && !known || p != nil && known && had == *p {
		r.mu.Unlock()
		return
	}
	if p == nil {
		delete(r.problems, part)
	} else {
		r.problems[part] = *p
	}
	r.mu.Unlock()
	r.tellHealth()
}

func (r *Schedule) tellHealth() {
	r.mu.Lock()
	var all []sdk.Problem
	for _, part := range slices.Sorted(maps.Keys(r.problems)) {
		if p := r.problems[part]; !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	r.mu.Unlock()
	r.stream.Health(all...)
}

func (r *Schedule) tell(s sdk.Sync) {
	r.mu.Lock()
	r.states[s.Name] = s
	r.mu.Unlock()
	r.tellSyncs()
}

func (r *Schedule) tellSyncs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.SortedFunc(maps.Values(r.states), func(a, b sdk.Sync) int { return strings.Compare(a.Name, b.Name) })
	r.stream.Syncs(all...)
}
