package org

import (
	"sync/atomic"
	"time"
)

// clock is the org's: the wall's, or one that stands, each moved by Advance.
type clock struct {
	start time.Time
	moved atomic.Int64
}

func (c *clock) now() time.Time {
	base := c.start
	if base.IsZero() {
		base = time.Now().UTC().Round(0) // without the monotonic reading
	}
	return base.Add(time.Duration(c.moved.Load()))
}

// Now is the time in the org.
func (o *Org) Now() time.Time { return o.clock.now() }

// Advance moves the org's clock; back, where d is negative, as a skew between
// Salesforce's servers does.
func (o *Org) Advance(d time.Duration) { o.clock.moved.Add(int64(d)) }
