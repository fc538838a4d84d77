package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
	// maxRetryAfter bounds what a destination may ask for.
	maxRetryAfter = 10 * time.Minute
	// The pause after a batch of which everything was refused.
	minSlowDown = time.Second
	maxSlowDown = time.Minute
	// refusing is how many such batches in a row need an operator's attention.
	refusing = 3
	// loud is after how many failures in a row a log line is due.
	loud = 3
)

// backoff is the wait after the nth failure in a row: doubling, between half of
// it and all of it by chance, and never less than the destination asked for.
func backoff(n int, retryAfter time.Duration) time.Duration {
	d := doubling(n, minBackoff, maxBackoff)
	d = d/2 + rand.N(d/2)
	return max(d, min(retryAfter, maxRetryAfter))
}

// doubling is low for n = 1 and doubles up to high.
func doubling(n int, low, high time.Duration) time.Duration {
	d := low
	for ; n > 1 && d < high; n-- {
		d *= 2
	}
	return min(d, high)
}

// retryLater waits before the next attempt after a failed one.
func (l *Loop) retryLater(ctx context.Context, e *destination.Error) error {
	l.status.retried()
	if err := l.hold(ctx, Retrying, e); err != nil {
		return err
	}
	if e.Lost {
		return errLost
	}
	return nil
}

// hold shows why the loop cannot go on and waits with backoff.
func (l *Loop) hold(ctx context.Context, s State, e *destination.Error) error {
	l.streak++
	wait := backoff(l.streak, e.RetryAfter)
	if e.Attention {
		s = Attention
	}
	l.status.hold(s, e, time.Now().Add(wait))
	if e.Attention || l.streak >= loud {
		l.warn("delivery waits", e)
	}
	return l.pause(ctx, wait)
}

// warn logs a failure, once until its code changes or something passes.
func (l *Loop) warn(text string, e *destination.Error) {
	if l.warned != e.Code {
		l.warned = e.Code
		hint := slog.Attr{} // none
		if e.Hint != "" {
			hint = slog.String("hint", e.Hint)
		}
		l.Log.Warn(text, "code", e.Code, "reason", e.Err, hint)
	}
}

// slowDown waits after a batch of which everything was refused, so that a
// destination which is set up wrongly does not empty the journal into the
// quarantine within minutes.
func (l *Loop) slowDown(ctx context.Context) error {
	if l.refusals == 0 {
		return nil
	}
	wait := doubling(l.refusals, minSlowDown, maxSlowDown)
	if l.refusals >= refusing {
		e := &destination.Error{
			Code: "all_refused", Err: fmt.Errorf("%d batches in a row were refused as a whole", l.refusals),
			Hint: "look into the quarantine: the destination may be set up wrongly",
		}
		l.status.hold(Attention, e, time.Now().Add(wait))
		l.warn("delivery slows down", e)
	}
	return l.pause(ctx, wait)
}

// pause waits, and ends when ctx does or when the destination is too far
// behind and what it lacks is to be skipped.
func (l *Loop) pause(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	if l.mustSkip() {
		return errSkip
	}
	return nil
}
