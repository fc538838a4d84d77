package supervise

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// silentTwice is how soon, in maximum silences, a second silence of one source
// makes a reason to restart the process.
const silentTwice = 3

// source is one source in one tenure. It has one stream after another.
type source struct {
	tenure  *tenure
	spec    *SourceSpec
	silence time.Duration
	log     *slog.Logger
	backoff backoff // touched by run and, through healthy, by the stream it waits for

	mu    sync.Mutex
	tried bool // it has started or failed once
	runs  bool
}

func newSource(t *tenure, spec *SourceSpec, silence time.Duration) *source {
	p := t.entry
	return &source{
		tenure: t, spec: spec, silence: silence,
		log:     p.log.With("source", string(spec.ID)),
		backoff: backoff{min: p.timing.BackoffMin, max: p.timing.BackoffMax},
	}
}

// run opens the source's stream again and again until it is drained or ctx ends.
// An error is a reason to restart the process.
func (s *source) run(ctx context.Context) error {
	var silent time.Time // the last silence; zero: none
	for {
		if !s.awaitConsent(ctx) {
			return nil
		}
		err := s.stream(ctx)
		if ctx.Err() != nil || errors.Is(err, errDrained) || s.processEnds(ctx, err) {
			return nil //nolint:nilerr // it is over, and not for the source's fault
		}
		if errors.Is(err, errSilent) {
			if !silent.IsZero() && time.Since(silent) < silentTwice*s.silence {
				return s.silentAgain()
			}
			silent = time.Now()
		}
		wait := s.failed(err)
		select {
		case <-ctx.Done():
			return nil
		case <-s.tenure.draining:
			return nil
		case <-time.After(wait):
		}
		s.update(func(st *SourceStatus) {
			if st.State != NeedsConsent {
				st.State = Starting
			}
			st.RetryAt = time.Time{}
			st.Restarts++
		})
	}
}

// awaitConsent waits while a source that needs consent has none. It returns false
// where the source is to end instead.
func (s *source) awaitConsent(ctx context.Context) bool {
	consents, known := s.tenure.entry.supervisor.options.Intake.(Consents)
	if !known || s.tenure.description.GetConsent() == "" {
		return true
	}
	for {
		ok, changed := consents.Consented(s.spec.ID)
		if ok {
			s.update(func(st *SourceStatus) {
				if st.State == NeedsConsent {
					st.State = Starting
				}
			})
			return true
		}
		s.setRunning(false)
		s.update(func(st *SourceStatus) { st.State = NeedsConsent })
		s.log.Warn("source waits for a person to grant access", "hint", "run: wellhead connect "+string(s.spec.ID))
		select {
		case <-ctx.Done():
			return false
		case <-s.tenure.draining:
			return false
		case <-changed:
		}
	}
}

// failed reports the end of a stream and returns the wait before the next.
func (s *source) failed(err error) time.Duration {
	var e *Error
	if !errors.As(err, &e) {
		e = s.fault(CodeSourceFailed, err.Error(), "")
		e.Err = err
	}
	wait := s.backoff.next()
	s.setRunning(false)
	now := time.Now()
	s.update(func(st *SourceStatus) {
		if st.State != NeedsConsent {
			st.State = BackingOff
		}
		st.Failures, st.Error, st.ErrorAt, st.RetryAt = s.backoff.failures, e, now, now.Add(wait)
	})
	s.log.Warn("source failed", "code", e.Code, "error", e.Message, e.hint(), "retry_in", wait)
	return wait
}

func (s *source) silentAgain() error {
	return s.tenure.entry.spec.fault(CodeSilent,
		"source "+string(s.spec.ID)+" said nothing for "+s.silence.String()+", also on a new stream",
		"it hangs, and the plugin is restarted; if that is how long its work takes, let it raise its maximum silence or report its health in between")
}

// started tells that the source runs.
func (s *source) started() {
	s.setRunning(true)
	s.update(func(st *SourceStatus) { st.State, st.Progress = Running, nil })
	s.log.Info("source started", "generation", s.tenure.generation)
}

// healthy tells that the source ran for Timing.Healthy.
func (s *source) healthy() {
	s.backoff.reset()
	s.update(func(st *SourceStatus) { st.Failures = 0 })
}

func (s *source) setRunning(runs bool) {
	s.mu.Lock()
	changed := !s.tried || s.runs != runs
	s.tried, s.runs = true, runs
	s.mu.Unlock()
	if changed {
		s.tenure.notify()
	}
}

// answered tells whether the source has started or failed.
func (s *source) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried
}

func (s *source) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}

func (s *source) update(f func(*SourceStatus)) { s.tenure.entry.board.updateSource(s.spec.ID, f) }

func (s *source) fault(code, message, hint string) *Error {
	return s.tenure.entry.spec.sourceFault(s.spec.ID, code, message, hint)
}

func (s *source) start(session Session) *wire.Start {
	spec := s.tenure.entry.spec
	limits := spec.Limits.wire()
	if _, ok := session.(Syncs); ok {
		limits.Syncs = wire.MaxSyncs
	}
	config := spec.sourceConfig(s.spec, s.tenure.description)
	config.StateDir = s.spec.StateDir
	return &wire.Start{
		Source:     config,
		Checkpoint: session.Checkpoint(),
		Limits:     limits,
		Generation: s.tenure.generation,
	}
}
