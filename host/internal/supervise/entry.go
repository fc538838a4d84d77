package supervise

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// entry is one entry under plugins:. It has one process after another.
type entry struct {
	supervisor *Supervisor
	spec       *Spec
	timing     *Timing
	log        *slog.Logger
	board      *board
	socket     *Socket // nil: none
	backoff    backoff // touched by run and, through healthy, by the tenure it waits for
}

func newEntry(s *Supervisor, spec *Spec) *entry {
	t := &s.options.Timing
	return &entry{
		supervisor: s,
		spec:       spec,
		timing:     t,
		log:        s.options.Log.With("plugin", string(spec.Name)),
		board:      newBoard(spec),
		backoff:    backoff{min: t.BackoffMin, max: t.BackoffMax},
	}
}

// listen binds the plugin's address, or takes the socket that is offered.
func (p *entry) listen(ctx context.Context, offered *Socket) error {
	p.socket = offered
	if p.socket == nil && p.spec.Listen != "" {
		s, err := bind(ctx, p.spec.Listen, p.timing.Bind)
		if err != nil {
			return p.spec.explainBind(err)
		}
		p.socket = s
	}
	if p.socket != nil {
		p.board.update(func(s *Status) { s.Listen = p.socket.Addr().String() })
	}
	return nil
}

func (p *entry) closeSocket() {
	if p.socket != nil {
		// It fails only on a descriptor that is closed already.
		_ = p.socket.Close()
		p.socket = nil
	}
}

// run launches the process again and again until ctx ends. Then the last one is
// drained.
func (p *entry) run(ctx context.Context) error {
	defer p.board.update(func(s *Status) {
		s.State, s.PID, s.RetryAt = Stopped, 0, time.Time{}
		for i := range s.Sources {
			s.Sources[i].State = Stopped
		}
	})
	for {
		err := p.tenure(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := p.failed(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		p.board.update(func(s *Status) { s.Restarts++ })
	}
}

// failed reports a failure and returns the wait before the next try.
func (p *entry) failed(err error) time.Duration {
	wait := p.backoff.next()
	var e *Error
	if !errors.As(err, &e) {
		e = p.spec.fault(CodeLaunch, err.Error(), "look at the host's log")
		e.Err = err
	}
	now := time.Now()
	p.board.update(func(s *Status) {
		s.State, s.PID = BackingOff, 0
		if p.backoff.failures >= crashLoopAfter {
			s.State = CrashLoop
		}
		s.Failures, s.RetryAt = p.backoff.failures, now.Add(wait)
		s.Error, s.ErrorAt = e, now
		for i := range s.Sources {
			s.Sources[i].State = BackingOff
		}
	})
	p.log.Error("plugin failed", "code", e.Code, "error", e.Message, e.hint(),
		"failures", p.backoff.failures, "retry_in", wait)
	return wait
}

// running tells that the process serves. In a crash loop it is believed only
// when it was healthy for a while.
func (p *entry) running() {
	p.board.update(func(s *Status) {
		if p.backoff.failures < crashLoopAfter && s.State != Draining {
			s.State = Running
		}
	})
}

// healthy tells that the process served without fault for Timing.Healthy.
func (p *entry) healthy() {
	p.backoff.reset()
	p.board.update(func(s *Status) {
		if s.Failures = 0; s.State != Draining {
			s.State = Running
		}
	})
}
