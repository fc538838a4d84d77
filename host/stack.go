package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// stack runs loops one upon the other: each needs those below it, so they are
// stopped from the top, each by name and within its time.
type stack struct {
	log    *slog.Logger
	parts  []part
	failed chan error // why the host ends by itself
}

type part struct {
	name   string
	within time.Duration // for its stop
	stop   func(ctx context.Context) error
}

func newStack(log *slog.Logger) *stack {
	return &stack{log: log, failed: make(chan error, 1)}
}

// run starts a loop on top. It runs until it is stopped; one that ends before
// is a failure of the host.
func (s *stack) run(name string, within time.Duration, loop func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := loop(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			s.fail(fmt.Errorf("%s: %w", name, err))
		}
		done <- err
	}()
	s.onStop(name, within, func(bounded context.Context) error {
		cancel()
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-bounded.Done():
			return bounded.Err()
		}
	})
}

// fail ends the host with an error. The first one counts.
func (s *stack) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// onStop puts a step of the teardown on top.
func (s *stack) onStop(name string, within time.Duration, stop func(ctx context.Context) error) {
	s.parts = append(s.parts, part{name, within, stop})
}

// unwind stops everything, from the top. A part that fails or is too slow does
// not keep those below it from being stopped.
func (s *stack) unwind() error {
	var errs []error
	for _, p := range slices.Backward(s.parts) {
		ctx, cancel := context.WithTimeout(context.Background(), p.within)
		start := time.Now()
		err := p.stop(ctx)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("stop %s: not within %s", p.name, p.within)
			errs = append(errs, err)
		case err != nil:
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
		s.log.Debug("stopped", "part", p.name, "took", time.Since(start).Round(time.Millisecond), "err", err)
	}
	s.parts = nil
	return errors.Join(errs...)
}
