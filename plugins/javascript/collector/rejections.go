package collector

import (
	"log/slog"
	"sync"
	"time"
)

// rejections counts the requests that were not taken, by code. Nothing of them
// is kept, so that a line in the log, at most one a minute for each code, is
// how the operator hears of them.
type rejections struct {
	mu     sync.Mutex
	byCode map[string]*rejected
}

type rejected struct {
	total    int // since the process started
	unlogged int
	logged   time.Time
}

const logEvery = time.Minute

func (r *rejections) add(p *problem, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byCode == nil {
		r.byCode = map[string]*rejected{}
	}
	c := r.byCode[p.code]
	if c == nil {
		c = &rejected{}
		r.byCode[p.code] = c
	}
	c.total++
	c.unlogged++
	if now := time.Now(); now.Sub(c.logged) >= logEvery {
		log.Warn("requests not taken", "code", p.code, "status", p.status, "latest", p.message, "count", c.unlogged, "total", c.total)
		c.logged, c.unlogged = now, 0
	}
}
