package webhook

import (
	"bytes"
	"io"
	"sync/atomic"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// body is the bytes of a request. The transport may still read them after an
// answer has come; its memory is used again only when every reader is closed.
type body struct {
	data    []byte
	readers atomic.Int32
}

// maxSpare is the largest memory that is kept for the next request.
const maxSpare = 4 << 20

// newBody makes a body, in the memory of an earlier one if nobody reads it.
func newBody(last *body, batch []destination.Event) *body {
	b := &body{}
	if last != nil && last.readers.Load() == 0 && cap(last.data) <= maxSpare {
		b.data = last.data[:0]
	}
	b.data = append(b.data, `{"events":[`...)
	for i := range batch {
		if i > 0 {
			b.data = append(b.data, ',')
		}
		b.data = append(b.data, batch[i].JSON...)
	}
	b.data = append(b.data, "]}"...)
	return b
}

// open returns a new reader; the transport asks for one more when it sends the
// request over another connection.
func (b *body) open() (io.ReadCloser, error) {
	b.readers.Add(1)
	return &bodyReader{Reader: bytes.NewReader(b.data), body: b}, nil
}

type bodyReader struct {
	*bytes.Reader
	body   *body
	closed atomic.Bool
}

func (r *bodyReader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.body.readers.Add(-1)
	}
	return nil
}
