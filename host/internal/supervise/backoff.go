package supervise

import (
	"math/rand/v2"
	"time"
)

// backoff says how long to wait before the next try: the first is at once, then
// the wait doubles up to a cap. A random part keeps plugins that failed together
// from coming back together.
type backoff struct {
	min, max time.Duration
	failures int // in a row
}

// next counts a failure and returns the wait before the next try.
func (b *backoff) next() time.Duration {
	b.failures++
	if b.failures == 1 {
		return 0
	}
	d := b.max
	if shift := b.failures - 2; shift < 20 {
		d = min(b.max, b.min<<shift)
	}
	// Between three quarters and the whole of it.
	return d - rand.N(d/4+1) //nolint:gosec // spreads load, guards nothing
}

// reset forgets the failures.
func (b *backoff) reset() { b.failures = 0 }
