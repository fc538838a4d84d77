package dedup

import "time"

// clock is the index's own time, in milliseconds. The package comment says why
// it is not the caller's.
type clock struct {
	now    int64
	set    bool  // now has a meaning
	offset int64 // what to add to the caller's time
	leap   int64 // the largest step of the caller's time that counts

	ticked   time.Time // the last tick
	atTicked int64     // now as the last tick left it
}

// observe moves the clock to the caller's time and returns it.
func (c *clock) observe(at time.Time) int64 {
	now := at.UnixMilli() + c.offset
	switch step := now - c.now; {
	case !c.set:
		c.now, c.set = now, true
	case step > c.leap || step < -c.leap:
		c.offset -= step
	case step > 0:
		c.now = now
	}
	return c.now
}

// tick moves the clock by what the monotonic clock says has passed since the
// last tick, unless observe has moved it.
func (c *clock) tick(at time.Time) {
	if c.set && !c.ticked.IsZero() && c.now == c.atTicked {
		c.now += at.Sub(c.ticked).Milliseconds()
	}
	c.ticked, c.atTicked = at, c.now
}
