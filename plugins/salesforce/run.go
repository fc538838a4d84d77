package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	stdsync "sync"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

type source struct{}

// checkpoint is the state of all syncs of a source.
type checkpoint struct {
	V     int                   `json:"v"`
	Org   string                `json:"org"`
	Syncs map[string]sync.State `json:"syncs"`
	// Replay is the place among the change events of each topic.
	Replay map[string][]byte `json:"replay,omitempty"`
}

// stream is what is used of an sdk.Stream.
type stream interface {
	client.Tokens
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

// runner runs the syncs of a source side by side.
type runner struct {
	stream  stream
	config  config
	client  *client.Client
	workers map[string]*worker

	// storing is held while a batch is stored, so that checkpoints follow each
	// other and none tells of events that are not stored.
	storing stdsync.Mutex
	saved   checkpoint

	mu       stdsync.Mutex // guards what follows
	problems map[string]sdk.Problem
	states   map[string]sdk.Sync
}

// Run reads until the stream ends. New settings start the syncs anew, from
// where they are.
func (source) Run(ctx context.Context, s *sdk.Stream) error {
	return run(ctx, s, func() (config, error) {
		c, err := readConfig(s.Settings())
		if err != nil {
			return c, unreadable(err)
		}
		if problems := c.problems(); len(problems) > 0 {
			return c, problems[0]
		}
		return c, nil
	})
}

func run(ctx context.Context, s stream, read func() (config, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var saved checkpoint
	if b := s.Checkpoint(); b != nil {
		if err := json.Unmarshal(b, &saved); err != nil || saved.V != 1 {
			return sdk.Problem{Code: "checkpoint", Message: "the checkpoint is not one that this version reads", Fix: "run the plugin's version that wrote it, or reset the syncs"}
		}
	}
	for {
		next, err := once(ctx, s, read, saved)
		if err != nil || ctx.Err() != nil || draining(s) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		saved = next
	}
}

func draining(s stream) bool {
	select {
	case <-s.Draining():
		return true
	default:
		return false
	}
}

// once runs until the settings change or the stream has to finish.
func once(ctx context.Context, s stream, read func() (config, error), saved checkpoint) (checkpoint, error) {
	updated := s.Updated()
	c, err := read()
	if err != nil {
		return saved, err
	}
	r := &runner{stream: s, config: c, problems: map[string]sdk.Problem{}, states: map[string]sdk.Sync{}, workers: map[string]*worker{}, saved: saved}
	r.client = client.New(client.Options{Tokens: s, APIVersion: c.APIVersion, StopAt: float64(c.Quota.StopAt), Retrying: r.retrying})
	defer r.client.Close()
	org, err := r.org(ctx)
	if err != nil {
		return saved, err
	}
	if saved.Org != org {
		if saved.Org != "" {
			s.Log().Warn("another org was connected: everything is read", "was", saved.Org, "is", org)
		}
		r.saved = checkpoint{V: 1, Org: org, Syncs: map[string]sync.State{}}
	}
	// A sync that is in the config no more is forgotten.
	maps.DeleteFunc(r.saved.Syncs, func(name string, _ sync.State) bool { _, ok := c.Syncs[name]; return !ok })
	r.prepare(org)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running stdsync.WaitGroup
	ended := make(chan error, len(r.workers)+1)
	for _, w := range r.workers {
		running.Go(func() { ended <- w.run(ctx) })
	}
	if c.PubSub.Enabled {
		running.Go(func() { r.follow(ctx, org) })
	}
	err = r.watch(ctx, updated, ended)
	cancel()
	running.Wait()
	return r.saved, err
}

// org asks which org was connected, until it can be told.
func (r *runner) org(ctx context.Context) (string, error) {
	for pause := time.Second; ; pause = min(2*pause, 5*time.Minute) {
		org, err := r.client.OrgID(ctx)
		if err == nil {
			return org, nil
		}
		if ctx.Err() != nil || errors.Is(err, sdk.ErrEnded) {
			return "", err
		}
		p := about(client.Problem(err, ""))
		r.stream.Health(p)
		if !r.sleep(ctx, max(pause, client.RetryAfter(err)), p) {
			return "", ctx.Err()
		}
	}
}

// sleep waits and tells meanwhile what is wrong.
func (r *runner) sleep(ctx context.Context, d time.Duration, p sdk.Problem) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-end.C:
			return true
		case <-tick.C:
			r.stream.Health(p)
		case <-r.stream.Draining():
			return false
		case <-r.stream.Updated():
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// prepare makes a worker for each sync.
func (r *runner) prepare(org string) {
	for _, name := range r.config.names() {
		spec, problems := r.config.spec(org, name)
		if len(problems) > 0 {
			problems[0].Path = "/syncs/" + pointer(name) + problems[0].Path
			r.problems[name] = problems[0]
			r.states[name] = sdk.Sync{Name: name, State: sdk.SyncFailed}
			continue
		}
		r.workers[name] = newWorker(r, name, spec)
		r.states[name] = sdk.Sync{Name: name, State: r.workers[name].idle()}
	}
	r.tellSyncs()
}

// watchEvery is how often the source says that it is alive; it has to be less
// than Plugin.MaxSilence.
const watchEvery = 10 * time.Second

// stuckAfter is longer than the longest that a request may take with all its
// tries.
const stuckAfter = 20 * time.Minute

// watch passes commands on and tells what is wrong, until there is reason to end.
func (r *runner) watch(ctx context.Context, updated <-chan struct{}, ended <-chan error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	r.tellHealth()
	for {
		select {
		case c := <-r.stream.Commands():
			r.command(c)
		case <-tick.C:
			for name, w := range r.workers {
				if idle := time.Since(w.turned()); idle > stuckAfter {
					return fmt.Errorf("sync %s has not moved for %s", name, idle.Round(time.Second))
				}
			}
			r.tellHealth()
		case err := <-ended:
			if err != nil {
				return err
			}
		case <-updated:
			return nil
		case <-r.stream.Draining():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *runner) command(c *sdk.SyncCommand) {
	w := r.workers[c.Sync]
	if w == nil {
		c.Done(sdk.Problem{Code: "unknown_sync", Message: fmt.Sprintf("sync %s does not run", c.Sync), Fix: "mend its config"})
		return
	}
	select {
	case w.commands <- c:
	default:
		c.Done(sdk.Problem{Code: "busy", Message: "the sync has not taken up earlier commands", Fix: "try again later"})
	}
}

// store stores the events of a sync, in as many batches as the host's bounds
// ask for, and then the checkpoint with the sync's new state.
func (r *runner) store(ctx context.Context, name string, s sync.State, events []sdk.Event) (refused int, err error) {
	r.storing.Lock()
	defer r.storing.Unlock()
	next := r.saved
	next.Syncs = maps.Clone(r.saved.Syncs)
	next.Syncs[name] = s
	return r.put(ctx, next, events)
}

// put stores events and then a checkpoint. storing is held.
func (r *runner) put(ctx context.Context, next checkpoint, events []sdk.Event) (refused int, err error) {
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

// retrying notes why a request is sent again, which may take minutes; nil: none is.
func (r *runner) retrying(err error) {
	if err == nil {
		r.note("request", nil)
		return
	}
	p := about(client.Problem(err, ""))
	p.Message = "trying again: " + p.Message
	r.note("request", &p)
}

// note says what is wrong with a part of the source; nil: it is well.
func (r *runner) note(part string, p *sdk.Problem) {
	r.mu.Lock()
	if _, had := r.problems[part]; p == nil && !had {
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

func (r *runner) tellHealth() {
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

func (r *runner) tellState(s sdk.Sync) {
	r.mu.Lock()
	r.states[s.Name] = s
	r.mu.Unlock()
	r.tellSyncs()
}

func (r *runner) tellSyncs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []sdk.Sync
	for _, name := range slices.Sorted(maps.Keys(r.states)) {
		all = append(all, r.states[name])
	}
	r.stream.Syncs(all...)
}
