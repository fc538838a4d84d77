package ingest

import (
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/wellhead-io/wellhead/sdk/wire"
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
	body *[]byte // nil: there is none
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

// room takes an empty buffer for size bytes or more.
func (s *Share) room(size int) ([]byte, *Problem) {
	class := classOf(size)
	if p := s.Hold(1 << class); p != nil {
		return nil, p
	}
	s.body = rooms.get(class)
	return (*s.body)[:0], nil
}

// moreRoom takes twice the room for a buffer that is full, and gives its own back.
func (s *Share) moreRoom(full []byte) ([]byte, *Problem) {
	old := s.body
	buf, p := s.room(2 * cap(full))
	if p != nil {
		return nil, p
	}
	buf = append(buf, full...)
	s.of.left.Add(int64(cap(full)))
	s.held -= int64(cap(full))
	rooms.put(old)
	return buf, nil
}

// Release gives back all of it, and the body that was read.
func (s *Share) Release() {
	s.of.left.Add(s.held)
	s.held = 0
	if s.body != nil {
		rooms.put(s.body)
		s.body = nil
	}
}

// Sizes of rooms, as powers of 2. Larger ones are not kept.
const (
	smallestRoom = 9
	largestKept  = 20
)

// rooms are the buffers of bodies, to be used again.
var rooms roomPools

type roomPools [largestKept + 1]sync.Pool // of *[]byte, by class

// classOf returns the class of rooms for size bytes: the smallest that has 1<<class.
func classOf(size int) int { return max(bits.Len(uint(size-1)), smallestRoom) }

func (p *roomPools) get(class int) *[]byte {
	if class <= largestKept {
		if buf, ok := p[class].Get().(*[]byte); ok {
			return buf
		}
	}
	buf := make([]byte, 1<<class)
	return &buf
}

func (p *roomPools) put(buf *[]byte) {
	wire.Poison(*buf)
	if class := classOf(cap(*buf)); class <= largestKept {
		p[class].Put(buf)
	}
}
