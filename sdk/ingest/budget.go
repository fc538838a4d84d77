package ingest

import (
	"net/http"
	"sync/atomic"
)

// Budget bounds the bytes that all requests in hand hold together: their
// bodies as they have arrived so far, and what is made of them. Go's HTTP
// server adds about 10 KiB for each connection, and gRPC the encoding of a
// batch while it is sent. It is safe for concurrent use.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a budget of that many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.left.Store(bytes)
	return b
}

// Share returns a request's part, of nothing at first.
func (b *Budget) Share() *Share { return &Share{of: b} }

// Share is one request's part of a Budget. It is not safe for concurrent use.
type Share struct {
	of   *Budget
	held int64
}

// Hold takes more, or takes nothing and says that the client should come
// again. It never waits: a request that waited for memory would hold what
// others wait for.
func (s *Share) Hold(bytes int) *Problem {
	n := int64(bytes)
	if s.of.left.Add(-n) < 0 {
		s.of.left.Add(n)
		return &Problem{Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 1,
			Message: "too many requests are in hand: come again"}
	}
	s.held += n
	return nil
}

func (s *Share) giveBack(bytes int) {
	s.of.left.Add(int64(bytes))
	s.held -= int64(bytes)
}

// Release gives back all of it.
func (s *Share) Release() {
	s.of.left.Add(s.held)
	s.held = 0
}
