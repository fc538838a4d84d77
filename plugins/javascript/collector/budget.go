package collector

import (
	"errors"
	"sync/atomic"
)

// memoryBudget bounds what all requests in hand hold together: their bodies as
// they have arrived so far, and what is made of them. Go's HTTP server adds
// about 10 KiB for each connection, and gRPC the encoding of a batch while it
// is sent.
const memoryBudget = 64 << 20

// errBusy means that the budget is used up. It is free again soon: a request
// holds its part only until it is answered.
var errBusy = errors.New("memory budget used up")

// budget is bytes that may be held at one time.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// share is one request's part of the budget.
type share struct {
	of   *budget
	held int64
}

// hold takes more, or returns errBusy and takes nothing. It never waits: a
// request that waited for memory would hold what others wait for.
func (s *share) hold(bytes int) error {
	n := int64(bytes)
	if s.of.left.Add(-n) < 0 {
		s.of.left.Add(n)
		return errBusy
	}
	s.held += n
	return nil
}

// release gives back all of it.
func (s *share) release() {
	s.of.left.Add(s.held)
	s.held = 0
}
