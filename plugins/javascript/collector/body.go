package collector

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

const (
	// A body gets room for firstRead bytes at first, and each time that it has
	// filled its room, growth times as much at most.
	firstRead = 4 << 10
	growth    = 8
	// gzipOverhead is how much longer than its contents a gzip body may be,
	// for contents that do not compress.
	gzipOverhead = 4 << 10
)

// bodies reads the bodies of requests.
type bodies struct {
	zippers sync.Pool // of *gzip.Reader
}

// read returns the body, decompressed, and charges it to held as it arrives.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, limit int, held *share) ([]byte, *problem) {
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
		if r.ContentLength > int64(limit) {
			return nil, tooLarge(limit)
		}
		src := http.MaxBytesReader(w, r.Body, int64(limit)+1)
		return readAll(src, limit, int(max(r.ContentLength, 0)), held)
	case "gzip", "x-gzip":
		return b.unzip(http.MaxBytesReader(w, r.Body, int64(limit)+gzipOverhead), limit, held)
	default:
		return nil, &problem{status: http.StatusUnsupportedMediaType, code: "content_encoding",
			message: "Content-Encoding may be gzip or nothing"}
	}
}

func (b *bodies) unzip(src io.Reader, limit int, held *share) ([]byte, *problem) {
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

// readAll reads up to limit bytes. The buffer grows with what arrives, so that
// a client holds no more memory than it has sent.
func readAll(src io.Reader, limit, expected int, held *share) ([]byte, *problem) {
	size := min(max(expected+1, 512), firstRead, limit+1)
	if err := held.hold(size); err != nil {
		return nil, bodyProblem(err, limit)
	}
	buf := make([]byte, 0, size)
	for {
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > limit {
			return nil, tooLarge(limit)
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
		grown := min(growth*cap(buf), limit+1)
		if expected > len(buf) && expected < grown {
			grown = expected + 1
		}
		if err := held.hold(grown); err != nil {
			return nil, bodyProblem(err, limit)
		}
		buf = append(make([]byte, 0, grown), buf...)
	}
}

// tooLarge is the answer to a body, decompressed, of more than limit bytes.
// Which setting the limit is and what the client can do the caller adds.
func tooLarge(limit int) *problem {
	return &problem{status: http.StatusRequestEntityTooLarge, code: "too_large",
		message: fmt.Sprintf("the request is larger than %d bytes", limit)}
}

// bodyProblem says what a failed read of a body means to the client.
func bodyProblem(err error, limit int) *problem {
	var big *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.Is(err, errBusy):
		return &problem{status: http.StatusServiceUnavailable, code: "busy", retryAfter: 1,
			message: "too many requests are in hand: come again"}
	case errors.As(err, &big):
		return tooLarge(limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &problem{status: http.StatusRequestTimeout, code: "slow_body",
			message: "the body took too long to arrive"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return &problem{status: http.StatusBadRequest, code: "bad_gzip",
			message: "Content-Encoding is gzip, but the body is not: " + err.Error()}
	default:
		return &problem{status: http.StatusBadRequest, code: "bad_body",
			message: "the body cannot be read to its end: " + err.Error()}
	}
}
