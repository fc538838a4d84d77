package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Options is what a Supervisor works with.
type Options struct {
	Plugins []Spec
	Intake  Intake
	// Fits tells what is wrong between a plugin's config and what the plugin says
	// it takes. It is asked at each launch; a plugin that does not fit fails. nil:
	// all fit.
	Fits func(*Spec, *wire.Description) error
	// Dir is a folder in data_dir of the package's own; it is created. It holds
	// the record of running processes.
	Dir string
	// Sockets are used instead of binding a plugin's Listen; see SystemdSockets.
	Sockets map[event.PluginID]*Socket
	Log     *slog.Logger
	Timing  Timing
}

// Supervisor keeps all plugins alive.
type Supervisor struct {
	options  Options
	launcher *launcher
	records  *records
	sockets  string // folder of the plugins' gRPC sockets
	entries  []*entry
	roster   roster
}

// New makes a Supervisor. It starts and binds nothing.
func New(o Options) (*Supervisor, error) {
	o.Timing = o.Timing.orDefault()
	s := &Supervisor{options: o, launcher: newLauncher()}
	names := map[event.PluginID]bool{}
	for _, spec := range o.Plugins {
		if names[spec.Name] {
			return nil, fmt.Errorf("supervise: plugin %s is named twice", spec.Name)
		}
		names[spec.Name] = true
		spec.Limits = spec.Limits.orDefault()
		s.entries = append(s.entries, newEntry(s, &spec))
	}
	for name := range o.Sockets {
		if !names[name] {
			o.Log.Warn("systemd offers a socket for which there is no plugin", "plugin", name)
		}
	}
	return s, nil
}

// Listen ends what an earlier host left and binds every plugin's address, so
// that connections wait from here on. It is called once, before Run. All
// addresses that cannot be bound are in its error, each as an *Error.
func (s *Supervisor) Listen(ctx context.Context) (err error) {
	if s.records, err = openRecords(s.options.Dir, s.options.Log); err != nil {
		return err
	}
	if s.sockets, err = socketFolder(); err != nil {
		return err
	}
	if err := s.records.succeed(ctx, s.sockets); err != nil {
		return err
	}
	var problems []error
	for _, p := range s.entries {
		if err := p.listen(ctx, s.options.Sockets[p.spec.Name]); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Run keeps the plugins alive until ctx ends. Then it drains them all at once,
// each step bounded by Timing, ends their processes and closes the sockets. It
// returns nil: what a plugin does wrong is in Status and in the log.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.Close()
	var forks sync.WaitGroup
	// The launcher's thread outlives the plugins: its end kills them.
	launching, stop := context.WithCancel(context.WithoutCancel(ctx))
	forks.Go(func() { s.launcher.run(launching) })
	defer forks.Wait()
	defer stop()
	g := new(errgroup.Group)
	for _, p := range s.entries {
		g.Go(func() error { return p.run(ctx) })
	}
	return g.Wait()
}

// Close gives up the sockets where Listen was not followed by Run.
func (s *Supervisor) Close() {
	for _, p := range s.entries {
		p.closeSocket()
	}
	if s.sockets != "" {
		// What is not removed takes some bytes of a temporary folder.
		_ = os.RemoveAll(s.sockets)
	}
}

// Status is a snapshot of every plugin, in the order of the options.
func (s *Supervisor) Status() []Status {
	list := make([]Status, 0, len(s.entries))
	for _, p := range s.entries {
		list = append(list, p.board.snapshot())
	}
	return list
}

// Ready returns why the plugins are not ready; nil: they all run.
func (s *Supervisor) Ready() []*Error {
	var reasons []*Error
	for _, status := range s.Status() {
		if e := status.Unready(); e != nil {
			reasons = append(reasons, e)
		}
	}
	return reasons
}

// Unready returns why the plugin is not ready; nil: it runs.
func (s *Status) Unready() *Error {
	e := &Error{Plugin: s.Plugin, Path: s.Path}
	switch {
	case s.State == Running:
		return nil
	case s.State == CrashLoop:
		e.Code = CodeCrashLoop
		e.Message = fmt.Sprintf("it failed %d times in a row", s.Failures)
		if s.Error != nil {
			e.Message += fmt.Sprintf(", last: %s [%s]", s.Error.Message, s.Error.Code)
			e.Hint = s.Error.Hint
		}
	case s.Error != nil && s.State == BackingOff:
		return s.Error
	default:
		e.Code, e.Message = CodeNotRunning, "it is "+string(s.State)
	}
	return e
}
