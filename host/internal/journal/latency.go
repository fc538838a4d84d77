package journal

import (
	"slices"
	"sync"
	"time"
)

// latency remembers how long the last things of one kind took.
type latency struct {
	mu   sync.Mutex
	last [512]time.Duration
	n    int // ever added
}

func (l *latency) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[l.n%len(l.last)] = d
	l.n++
}

// quantiles returns the median and the 99th percentile, 0 where there is none.
func (l *latency) quantiles() (p50, p99 time.Duration) {
	l.mu.Lock()
	sorted := slices.Clone(l.last[:min(l.n, len(l.last))])
	l.mu.Unlock()
	if len(sorted) == 0 {
		return 0, 0
	}
	slices.Sort(sorted)
	return sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}
