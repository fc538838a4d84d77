package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/connectivity"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// errDrained ends a tenure that was drained.
var errDrained = errors.New("drained")

// tenure is the time of one process.
type tenure struct {
	entry       *entry
	process     *process
	pid         int // 0: no process was started
	generation  uint64
	description *wire.Description
	sources     []*source
	// changed says that the list to serve is another one. It holds one token, as
	// a change which was not looked at yet covers the next.
	changed chan struct{}
	// served is closed when the plugin has answered the first Serve.
	served chan struct{}
	// draining is closed when the sources are to finish.
	draining <-chan struct{}
	// batches counts what the sources handed over: work that was done.
	batches atomic.Uint64
}

// tenure launches a process, works with it until it fails or ctx ends, and ends
// it. In the end of ctx it drains the process first.
func (p *entry) tenure(ctx context.Context) error {
	t := &tenure{
		entry:      p,
		generation: p.supervisor.records.next(time.Now()),
		changed:    make(chan struct{}, 1),
		served:     make(chan struct{}),
		draining:   ctx.Done(),
	}
	p.board.update(func(s *Status) {
		if s.State != CrashLoop {
			s.State = Starting
		}
		s.Generation, s.RetryAt = t.generation, time.Time{}
		for i := range s.Sources {
			s.Sources[i].State = Starting
		}
	})
	defer t.forget()
	if err := t.launch(ctx); err != nil {
		return err
	}
	err := t.work(ctx)
	grace := time.Duration(0) // of a process that fails: what it owes is sent again
	if ctx.Err() != nil {
		grace = p.timing.Grace
	}
	t.process.end(grace)
	return err
}

// forget takes the ended process off the record.
func (t *tenure) forget() {
	if t.pid != 0 {
		t.entry.supervisor.records.remove(t.pid)
	}
}

func (t *tenure) launch(ctx context.Context) (err error) {
	p, s := t.entry, t.entry.supervisor
	l := &launch{
		spec: p.spec, launcher: s.launcher, listener: p.socket, sockets: s.sockets,
		timeout: p.timing.Handshake, mark: s.records.mark(), logs: newLogSink(p.log),
		launched: func(pid int) {
			t.pid = pid
			s.records.add(p.spec.Name, pid)
			p.board.update(func(s *Status) { s.PID = pid })
		},
	}
	if t.process, err = l.start(ctx); err != nil {
		return err
	}
	p.log.Info("plugin launched", "pid", t.process.child.pid, "generation", t.generation)
	return nil
}

// work does everything with a launched process. It returns the first fault, or
// errDrained.
func (t *tenure) work(ctx context.Context) error {
	// The end of ctx begins the drain; what works on must outlive it.
	g, life := errgroup.WithContext(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t.entry.board.update(func(s *Status) {
			if s.State != Stopped {
				s.State = Draining
			}
		})
	})
	defer stop()
	g.Go(func() error { return t.watchProcess(life) })
	g.Go(func() error { return t.watchConnection(life) })
	g.Go(func() error {
		if err := t.describe(life); err != nil {
			return err
		}
		g.Go(func() error { return t.runSources(life) })
		g.Go(func() error { return t.serve(life) })
		return t.watchListener(life)
	})
	err := g.Wait()
	if exit := t.exitFault(); exit != nil && !errors.Is(err, errDrained) {
		// Whatever was noticed first, it happened because the process ended.
		return exit
	}
	return err
}

// watchProcess fails when the process ends.
func (t *tenure) watchProcess(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-t.process.child.done:
		return t.exitFault()
	}
}

// watchConnection fails when the gRPC connection breaks. On one machine that has
// no other cause than the plugin's end of it.
func (t *tenure) watchConnection(ctx context.Context) error {
	conn := t.process.conn
	for state := conn.GetState(); ; state = conn.GetState() {
		if state == connectivity.TransientFailure || state == connectivity.Shutdown {
			break
		}
		if !conn.WaitForStateChange(ctx, state) {
			return nil
		}
		if state == connectivity.Ready {
			break
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case <-t.process.child.done:
		return t.exitFault()
	case <-time.After(processExit):
		return t.entry.spec.fault(CodeConnection, "its gRPC server went away, though the process lives", hintSDK)
	}
}

// exitFault says how the process ended by itself; nil: it did not.
func (t *tenure) exitFault() error {
	select {
	case <-t.process.child.done:
	default:
		return nil
	}
	how, _ := t.process.child.exit()
	return t.entry.spec.exited(t.process.child, how)
}

// describe asks the plugin what it is, and whether the config fits.
func (t *tenure) describe(ctx context.Context) error {
	p := t.entry
	d, err := describe(ctx, p.spec, t.process.rpc, p.timing.Call)
	if err != nil {
		return err
	}
	t.description = d
	p.board.update(func(s *Status) { s.Name, s.Version = d.GetName(), d.GetVersion() })
	if err := p.fits(d); err != nil {
		return err
	}
	name := p.spec.Name
	switch {
	case d.GetListens() && p.socket == nil:
		return p.spec.fault(CodeListen, "it serves connections, but has no address",
			fmt.Sprintf("set plugins.%s.listen to host:port", name))
	case !d.GetListens() && p.socket != nil:
		return p.spec.fault(CodeListen, "it serves no connections, so clients of "+p.socket.Addr().String()+" would wait for ever",
			fmt.Sprintf("remove plugins.%s.listen", name))
	}
	silence := time.Duration(d.GetMaxSilenceMs()) * time.Millisecond
	if silence == 0 {
		silence = p.timing.Silence
	}
	for i := range p.spec.Sources {
		t.sources = append(t.sources, newSource(t, &p.spec.Sources[i], silence))
	}
	return nil
}

// fits asks whether the config is what the plugin takes. The error is an *Error.
func (p *entry) fits(d *wire.Description) error {
	fits := p.supervisor.options.Fits
	if fits == nil {
		return nil
	}
	err := fits(p.spec, d)
	if err == nil {
		return nil
	}
	e := p.spec.fault(CodeConfig, "its config is not what it takes: "+strings.ReplaceAll(err.Error(), "\n", ", "),
		"mend it; wellhead check tells whether it is right")
	e.Err = err
	return e
}

// describe calls Describe. The error is an *Error.
func describe(ctx context.Context, spec *Spec, rpc wire.SourceClient, timeout time.Duration) (*wire.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := rpc.Describe(ctx, &wire.DescribeRequest{})
	if err != nil {
		e := spec.fault(CodeDescribe, "Describe: "+callMessage(err, timeout), hintSDK)
		e.Err = err
		return nil, e
	}
	return d, nil
}

// runSources runs every source until all are drained.
func (t *tenure) runSources(ctx context.Context) error {
	g, together := errgroup.WithContext(ctx)
	for _, s := range t.sources {
		g.Go(func() error { return s.run(together) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// Sources return without error when they are drained, but there may be none.
	select {
	case <-t.draining:
		return errDrained
	case <-ctx.Done():
		return nil
	}
}

// notify says that the list to serve has changed.
func (t *tenure) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}
