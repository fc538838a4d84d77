package quarantine

import (
	"encoding/binary"
	"errors"
)

// errShort is the error of bytes that end before what they announce.
var errShort = errors.New("the record is cut short or not one")

// reader takes values from the front of b. After the first one that is not
// there, bad is set and all others are zero. Slices that it returns point into b.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// next takes n bytes.
func (r *reader) next(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.next(1); v != nil {
		return v[0]
	}
	return 0
}

// bytes takes a length and that many bytes.
func (r *reader) bytes() []byte { return r.next(r.uvarint()) }

func (r *reader) string() string { return string(r.bytes()) }

// count takes the number of things that follow, of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) fail() { r.b, r.bad = nil, true }

// end reports whether everything was there and nothing more.
func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
		return errShort
	}
	return nil
}

func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
