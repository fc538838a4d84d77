package ingest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// A body gets room for firstRead bytes at most at first, and each time that
	// it has filled its room, twice as much.
	firstRead = 4 << 10
	// A body has grace to arrive, and a second more for each paceBytes of it
	// that have come, up to longest in all: one that stalls does not hold what it
	// has sent for long.
	grace     = 10 * time.Second
	paceBytes = 2 << 10
	longest   = time.Minute
	// gzipOverhead is how much longer than its contents a gzip body may be,
	// for contents that do not compress.
	gzipOverhead = 4 << 10
)

// Bodies reads the bodies of requests. The zero Bodies is ready for use, by
// several goroutines.
type Bodies struct {
	zippers sync.Pool // of *gzip.Reader
}

// Read returns the body, decompressed, of at most limit bytes, and charges it
// to held as it arrives. The body is valid until held is released: then another
// request uses its memory. What has not arrived at the context's deadline does
// not count. A connection whose body was not read to its end is not used again.
func (b *Bodies) Read(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int, held *Share) ([]byte, *Problem) {
	body, p := b.read(ctx, w, r, limit, held)
	if p != nil {
		w.Header().Set("Connection", "close")
	}
	return body, p
}

func (b *Bodies) read(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int, held *Share) ([]byte, *Problem) {
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
		if r.ContentLength > int64(limit) {
			return nil, TooLarge(limit)
		}
		src := pace(ctx, w, http.MaxBytesReader(w, r.Body, int64(limit)+1))
		return src.all(readAll(src, limit, int(max(r.ContentLength, 0)), held))
	case "gzip", "x-gzip":
		src := pace(ctx, w, http.MaxBytesReader(w, r.Body, int64(limit)+gzipOverhead))
		return src.all(b.unzip(src, limit, held))
	default:
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, Code: "content_encoding",
			Message: "Content-Encoding may be gzip or nothing"}
	}
}

func (b *Bodies) unzip(src io.Reader, limit int, held *Share) ([]byte, *Problem) {
	z, _ := b.zippers.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer b.zippers.Put(z)
	if err := z.Reset(src); err != nil {
		return nil, bodyProblem(err, limit)
	}
	return readAll(z, limit, 0, held)
}

// paced is a body with a deadline that moves with what arrives.
type paced struct {
	src   io.Reader
	conn  *http.ResponseController
	began time.Time
	last  time.Time // the deadline goes no further
	got   int
}

func pace(ctx context.Context, w http.ResponseWriter, src io.Reader) *paced {
	p := &paced{src: src, conn: http.NewResponseController(w), began: time.Now()}
	p.last = p.began.Add(longest)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(p.last) {
		p.last = deadline
	}
	p.extend()
	return p
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	if p.got/paceBytes < (p.got+n)/paceBytes {
		defer p.extend()
	}
	p.got += n
	return n, err
}

func (p *paced) extend() {
	deadline := p.began.Add(grace + time.Duration(p.got/paceBytes)*time.Second)
	if deadline.After(p.last) {
		deadline = p.last
	}
	// It fails only where there is no connection, as in tests.
	_ = p.conn.SetReadDeadline(deadline)
}

// all takes the deadline away from a body that is whole: beyond it the server
// reads on to notice that the client has gone. Another body keeps it, since the
// server would wait for the rest before it answers.
func (p *paced) all(body []byte, problem *Problem) ([]byte, *Problem) {
	if problem == nil {
		_ = p.conn.SetReadDeadline(time.Time{})
	}
	return body, problem
}

// readAll reads up to limit bytes. The buffer grows with what arrives, so that
// a client holds no more memory than it has sent.
func readAll(src io.Reader, limit, expected int, held *Share) ([]byte, *Problem) {
	buf, p := held.room(min(expected+1, firstRead))
	if p != nil {
		return nil, p
	}
	for {
		n, err := src.Read(buf[len(buf):min(cap(buf), limit+1)])
		buf = buf[:len(buf)+n]
		if len(buf) > limit {
			return nil, TooLarge(limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, bodyProblem(err, limit)
		}
		if len(buf) < cap(buf) {
			continue
		}
		if buf, p = held.moreRoom(buf); p != nil {
			return nil, p
		}
	}
}

// bodyProblem says what a failed read of a body means to the client.
func bodyProblem(err error, limit int) *Problem {
	var big *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &big):
		return TooLarge(limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Problem{Status: http.StatusRequestTimeout, Code: "slow_body",
			Message: "the body took too long to arrive"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return &Problem{Status: http.StatusBadRequest, Code: "bad_gzip",
			Message: "Content-Encoding is gzip, but the body is not: " + err.Error()}
	default:
		return &Problem{Status: http.StatusBadRequest, Code: "bad_body",
			Message: "the body cannot be read to its end: " + err.Error()}
	}
}
