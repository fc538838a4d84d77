package supervise

import "time"

// Waits returns the first n waits of a back-off.
func Waits(min, max time.Duration, n int) []time.Duration {
	b := backoff{min: min, max: max}
	var waits []time.Duration
	for range n {
		waits = append(waits, b.next())
	}
	return waits
}
