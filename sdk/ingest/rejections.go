package ingest

import (
	"log/slog"
	"sync"
	"time"
)

// Rejections counts the requests that were not taken, by code. Nothing of them
// is kept, so that a line in the log, at most one a minute for each code, is
// how the operator hears of them. The zero Rejections is ready for use, by
// several goroutines.
type Rejections struct {
	mu     sync.Mutex
	byCode map[string]*rejected
}

type rejected struct {
	total    int // since the process started
	unlogged int
	logged   time.Time
}

const logEvery = time.Minute

// Add counts a request that was not taken because of p.
func (r *Rejections) Add(p *Problem, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byCode == nil {
		r.byCode = map[string]*rejected{}
	}
	c := r.byCode[p.Code]
	if c == nil {
		c = &rejected{}
		r.byCode[p.Code] = c
	}
	c.total++
	c.unlogged++
	if now := time.Now(); now.Sub(c.logged) >= logEvery {
		log.Warn("requests not taken", "code", p.Code, "status", p.Status, "latest", p.Message, "count", c.unlogged, "total", c.total)
		c.logged, c.unlogged = now, 0
	}
}
