package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/host/internal/syncs"
)

// Options is what a host is made of.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	// Version is the host's own, for operators.
	Version string
}

// Host is one host process's work.
type Host struct {
	Options
	parts *parts
}

// New wires a host and starts nothing. An error is config.Problems: everything
// that can be known to be wrong before running.
func New(o Options) (*Host, error) {
	p, err := build(o.Config)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings(o.Config) {
		o.Log.Warn("config: "+w.Path+": "+w.What, "line", w.Line, "hint", w.Hint)
	}
	return &Host{Options: o, parts: p}, nil
}

// How long each part may take to stop. What is slower is left behind: nothing
// acknowledged depends on it.
const (
	stopPlugins     = 40 * time.Second // drains every stream first
	stopConsole     = 5 * time.Second
	stopConsents    = 35 * time.Second // what Salesforce is asked must not be lost
	stopIntake      = 10 * time.Second
	stopDeliver     = 15 * time.Second
	stopQuarantine  = 10 * time.Second
	stopCheckpoints = 10 * time.Second
	stopSyncs       = 10 * time.Second
	stopJournal     = 20 * time.Second
)

// lookAtMode warns of a data_dir that is open to others: it holds people's data,
// and who writes there decides what the host does.
func (h *Host) lookAtMode(dir string) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 {
		h.Log.Warn("data_dir is open to other users", "code", "data_dir_open", "data_dir", dir,
			"mode", info.Mode().Perm().String(), "remedy", "chmod 700 "+dir)
	}
}

// Run runs the host until ctx ends or a part fails. It stops what it started,
// from the plugins down to the journal.
func (h *Host) Run(ctx context.Context) (err error) {
	dir := string(h.Config.DataDir)
	lock, err := journal.Lock(dir)
	if err != nil {
		return err
	}
	h.lookAtMode(dir)
	limitMemory(h.Config)
	s := newStack(h.Log)
	s.onStop("lock", time.Second, func(context.Context) error { return lock.Unlock() })
	defer func() {
		err = errors.Join(err, s.unwind())
		h.Log.Info("stopped")
	}()

	r, err := h.open(ctx, s, dir)
	if err != nil {
		return err
	}
	h.Log.Info("running", "version", h.Version, "data_dir", dir,
		"sources", len(h.parts.sources), "plugins", len(h.parts.plugins), "destinations", len(r.loops))
	select {
	case <-ctx.Done():
		h.Log.Info("stopping", "reason", context.Cause(ctx))
		return nil
	case err := <-s.failed:
		return err
	}
}

// running is what a running host's parts know of each other.
type running struct {
	*Host
	started    time.Time
	journal    *journal.Journal
	quarantine *quarantine.Quarantine
	tap        *tap // on what goes into the quarantine
	loops      []*deliver.Loop
	intake     *intake
	supervisor *supervise.Supervisor
	consents
	syncs *syncs.Book
}

// open starts the parts, from the journal up to the plugins.
func (h *Host) open(ctx context.Context, s *stack, dir string) (*running, error) {
	r := &running{Host: h, started: time.Now()}
	if err := r.openJournal(ctx, s, dir); err != nil {
		return nil, err
	}
	state, err := journal.OpenState(filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	cps := newCheckpoints(state, r.journal.Sync, h.Log)
	s.run("checkpoints", stopCheckpoints, cps.Run)

	if err := r.openSyncs(s, dir); err != nil {
		return nil, err
	}

	// Cursors are read before the first event can come, so that a destination
	// that begins at the journal's end misses none.
	if err := r.openQuarantine(ctx, s, state); err != nil {
		return nil, err
	}
	if err := r.openLoops(ctx, s, dir); err != nil {
		return nil, err
	}
	r.intake = newIntake(r.journal, r.tap, cps)
	r.intake.syncs = r.syncs
	for _, source := range h.parts.sources {
		r.intake.add(&lane{source: source.id, gate: source.judge, limiter: source.limiter, blocked: r.blocked(source.id)})
	}
	s.onStop("intake", stopIntake, r.intake.drain)
	r.keeper = openKeeper(dir, h.Log)
	r.intake.consents = r.keeper
	s.onStop("consents", stopConsents, r.keeper.Close)
	return r, r.startPlugins(ctx, s, dir)
}

func (r *running) openJournal(ctx context.Context, s *stack, dir string) (err error) {
	c := r.Config
	r.journal, err = journal.Open(ctx, journal.Options{
		Dir:          filepath.Join(dir, "journal"),
		SyncInterval: c.Journal.Sync.Interval.Std(),
		MaxBytes:     int64(c.Journal.MaxBytes),
		MaxAge:       c.Journal.MaxAge.Std(),
		Window:       c.Dedup.Window.Std(),
		MaxIDs:       c.Dedup.MaxIDs,
		Log:          r.Log,
	})
	if err != nil {
		return err
	}
	s.onStop("journal's store", stopJournal, func(context.Context) error { return r.journal.Close() })
	s.run("journal", stopJournal, r.journal.Run)
	return nil
}

func (r *running) openQuarantine(ctx context.Context, s *stack, cache quarantine.Cache) (err error) {
	c := &r.Config.Quarantine
	r.quarantine, err = quarantine.Open(ctx, quarantine.Options{
		Logs: shelves{r.journal}, Cache: cache,
		MaxBytes: int64(c.MaxBytes), MaxAge: c.MaxAge.Std(), DropOldest: c.AtLimit == config.WhenFullDropOldest,
		Log: r.Log,
	})
	if err != nil {
		return err
	}
	r.tap = newTap(r.quarantine)
	s.run("quarantine", stopQuarantine, r.quarantine.Run)
	return nil
}

func (r *running) openLoops(ctx context.Context, s *stack, dir string) error {
	s.run("removed destinations", stopDeliver, forgetRemoved(dir, r.Config.Destinations, r.Log))
	for _, t := range r.parts.targets {
		target, err := t.open()
		if err != nil {
			return fmt.Errorf("destination %s: %w", t.conf.Name, err)
		}
		o := loopOptions(t.conf, dir)
		o.Target, o.Journal, o.Quarantine, o.Log = target, frames{r.journal}, refusals{r.tap}, r.Log
		o.Wants = func(source event.SourceID) bool { return r.parts.routes.Wants(o.Name, source) }
		loop, err := deliver.Open(ctx, o)
		if err != nil {
			return err
		}
		r.loops = append(r.loops, loop)
		s.onStop("destination "+t.conf.Name, stopDeliver, func(context.Context) error { return loop.Close() })
		s.run("delivery to "+t.conf.Name, stopDeliver, loop.Run)
	}
	return nil
}

func (r *running) startPlugins(ctx context.Context, s *stack, dir string) (err error) {
	sockets, err := supervise.SystemdSockets()
	if err != nil {
		return err
	}
	r.supervisor, err = supervise.New(supervise.Options{
		Plugins: r.parts.plugins, Intake: r.intake, Fits: r.fits(s),
		Dir: filepath.Join(dir, "plugins"), Sockets: sockets, Log: r.Log,
	})
	if err != nil {
		return err
	}
	// Before the plugins, and stopped after them: their starting and draining
	// is worth a look.
	if err := r.startConsole(ctx, s, dir); err != nil {
		return err
	}
	if err := r.supervisor.Listen(ctx); err != nil {
		r.supervisor.Close()
		return err
	}
	s.run("plugins", stopPlugins, r.supervisor.Run)
	return nil
}

// blocked returns a function that names the destination of a source, if any, at
// whose limit the source has to wait.
func (r *running) blocked(source event.SourceID) func() event.DestinationID {
	var mine []*deliver.Loop
	for _, loop := range r.loops {
		if r.parts.routes.Wants(loop.Name, source) {
			mine = append(mine, loop)
		}
	}
	return func() event.DestinationID {
		for _, loop := range mine {
			if loop.Full() {
				return loop.Name
			}
		}
		return ""
	}
}
