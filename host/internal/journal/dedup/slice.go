package dedup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync/atomic"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// A slice file, all integers big-endian:
//
//	header     16 bytes: magic, version
//	entries    24 bytes each: key, position; sorted by key
//	directory  8 bytes per bucket: index of its first entry, CRC-32C of its
//	           entries; and one more whose index is the number of entries
//	filter     64 bytes per line
//	footer     52 bytes: after, upTo, from, to, entries, buckets, lines,
//	           CRC-32C of directory and filter, CRC-32C of header and footer
//
// Every byte is under a checksum. Opening a slice reads all but the entries,
// whose checksums are looked at when a bucket is read.
const (
	header     = "wellhead dedup\x00\x01"
	entrySize  = 24
	bucketSize = 8
	footerSize = 52

	// perBucket is how many entries a bucket has on average: a lookup reads
	// one bucket, about 3 KiB.
	perBucket = 128
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errCorrupt is wrapped by every error about a slice's content.
var errCorrupt = errors.New("corrupt")

type bucket struct{ start, crc uint32 }

// contents is what a slice file says.
type contents struct {
	span
	ids     int
	buckets []bucket
	filter  filter
}

// slice is a frozen slice: ids on disk, directory and filter in memory.
type slice struct {
	contents
	name string
	size int64
	file file

	damage  atomic.Pointer[error] // why a bucket could not be read
	marked  bool                  // damage is known to the file; guarded by Index.names
	expired bool                  // dead because of its age, or of too many ids
	removed bool                  // the file is gone, durably; guarded by Index.names
}

func (s *slice) damaged() bool { return s.damage.Load() != nil }

// fileName names a slice by the positions that it covers.
func fileName(s span) string {
	return fmt.Sprintf("%016x-%016x.slice", uint64(s.after), uint64(s.upTo))
}

// spanOf reads what fileName wrote; ok is false for any other name.
func spanOf(name string) (s span, ok bool) {
	var after, upTo uint64
	if _, err := fmt.Sscanf(name, "%16x-%16x.slice", &after, &upTo); err != nil {
		return span{}, false
	}
	s = span{after: event.Position(after), upTo: event.Position(upTo)}
	return s, fileName(s) == name
}

// openSlice reads the slice file of this name. What cannot be read is corrupt.
func openSlice(d disk, name string) (*slice, error) {
	f, size, err := d.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	c, err := decode(f, size)
	if err == nil && fileName(c.span) != name {
		c.filter.free()
		err = fmt.Errorf("%w: it says that it is %s", errCorrupt, fileName(c.span))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &slice{contents: c, name: name, size: size, file: f}, nil
}

// decode reads all of a slice file but its entries.
func decode(r io.ReaderAt, size int64) (c contents, err error) {
	if size < int64(len(header)+footerSize) {
		return c, fmt.Errorf("%w: %d bytes are too few", errCorrupt, size)
	}
	ends := make([]byte, len(header)+footerSize)
	if err := readAt(r, ends[:len(header)], 0); err != nil {
		return c, err
	}
	foot := ends[len(header):]
	if err := readAt(r, foot, size-footerSize); err != nil {
		return c, err
	}
	if string(ends[:len(header)]) != header {
		return c, fmt.Errorf("%w: it does not begin as a slice of this version", errCorrupt)
	}
	crc := len(ends) - 4
	if crc32.Checksum(ends[:crc], castagnoli) != binary.BigEndian.Uint32(ends[crc:]) {
		return c, fmt.Errorf("%w: checksum of the footer", errCorrupt)
	}
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(foot[at:]) }
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(foot[at:]) }
	c.after, c.upTo = event.Position(u64(0)), event.Position(u64(8))
	c.from, c.to = int64(u64(16)), int64(u64(24))
	ids, buckets, lines := uint64(u32(32)), uint64(u32(36)), uint64(u32(40))
	tail := int64(buckets+1)*bucketSize + int64(lines)*lineSize
	if buckets == 0 || lines == 0 || c.upTo < c.after ||
		int64(len(header))+int64(ids)*entrySize+tail+footerSize != size {
		return c, fmt.Errorf("%w: the footer does not fit the file", errCorrupt)
	}
	c.ids = int(ids)
	c.buckets = make([]bucket, buckets+1)
	c.filter = newFilter(int(lines))
	if err := c.decodeTail(io.NewSectionReader(r, size-footerSize-tail, tail), u32(44)); err != nil {
		c.filter.free()
		return contents{}, err
	}
	return c, nil
}

// decodeTail reads directory and filter.
func (c *contents) decodeTail(r io.Reader, want uint32) error {
	crc := crc32.New(castagnoli)
	in := newWords(io.TeeReader(r, crc))
	for i := range c.buckets {
		w := in.next()
		c.buckets[i] = bucket{uint32(w >> 32), uint32(w)}
	}
	for i := range c.filter.lines {
		for j := range c.filter.lines[i] {
			c.filter.lines[i][j] = in.next()
		}
	}
	if in.err != nil {
		return in.err
	}
	if crc.Sum32() != want {
		return fmt.Errorf("%w: checksum of directory and filter", errCorrupt)
	}
	start := uint32(0)
	for _, b := range c.buckets {
		if b.start < start {
			return fmt.Errorf("%w: the directory is not in order", errCorrupt)
		}
		start = b.start
	}
	if c.buckets[0].start != 0 || int(start) != c.ids {
		return fmt.Errorf("%w: the directory does not fit the entries", errCorrupt)
	}
	return nil
}

// words reads big-endian words. After an error they are 0.
type words struct {
	r    io.Reader
	buf  [1 << 13]byte
	rest []byte
	err  error
}

func newWords(r io.Reader) *words { return &words{r: r} }

func (w *words) next() uint64 {
	if len(w.rest) == 0 && w.err == nil {
		n, err := io.ReadFull(w.r, w.buf[:])
		if n%8 != 0 || n == 0 {
			w.err = fmt.Errorf("%w: read directory and filter: %w", errCorrupt, err)
		}
		w.rest = w.buf[:n]
	}
	if w.err != nil {
		return 0
	}
	word := binary.BigEndian.Uint64(w.rest)
	w.rest = w.rest[8:]
	return word
}

// find looks a key up on disk. buf is where the bucket is read to; the longest
// one so far is returned for the next call.
func (s *slice) find(k Key, buf []byte) (pos event.Position, ok bool, kept []byte, err error) {
	page, err := s.read(place(k, len(s.buckets)-1), buf)
	if err != nil {
		return 0, false, buf, err
	}
	var want [16]byte
	binary.BigEndian.PutUint64(want[:], k.hi)
	binary.BigEndian.PutUint64(want[8:], k.lo)
	low, high := 0, len(page)/entrySize
	for low < high {
		middle := (low + high) / 2
		at := page[middle*entrySize:]
		switch order := bytes.Compare(at[:16], want[:]); {
		case order == 0:
			return event.Position(binary.BigEndian.Uint64(at[16:])), true, page, nil
		case order < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false, page, nil
}

// read reads the entries of a bucket and checks them.
func (s *slice) read(n int, buf []byte) ([]byte, error) {
	start, end := int64(s.buckets[n].start), int64(s.buckets[n+1].start)
	size := int((end - start) * entrySize)
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if err := readAt(s.file, buf, int64(len(header))+start*entrySize); err != nil {
		return nil, fmt.Errorf("bucket %d: %w", n, err)
	}
	if crc32.Checksum(buf, castagnoli) != s.buckets[n].crc {
		return nil, fmt.Errorf("bucket %d: %w: checksum", n, errCorrupt)
	}
	return buf, nil
}

func readAt(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("%w: read %d bytes at %d: %w", errCorrupt, len(b), at, err)
	}
	return nil
}

func (s *slice) memory() int64 {
	return s.filter.memory() + int64(len(s.buckets))*bucketSize + int64(sliceOverhead)
}

// close frees what the slice holds. The file stays.
func (s *slice) close() error {
	s.filter.free()
	s.buckets = nil
	return s.file.Close()
}

const (
	// sliceOverhead is an ample guess at a slice's own share of the heap.
	sliceOverhead = 1 << 10
	// maxSlice is how many ids a slice can number.
	maxSlice = math.MaxUint32
)
