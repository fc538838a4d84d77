package dedup

import (
	"math/bits"
	"syscall"
	"unsafe"
)

// line is one cache line of a filter. A key sets one bit in each word.
type line [8]uint64

const lineSize = 64

// filter is a blocked Bloom filter over the keys of one slice: a probe reads
// one line. The line follows the order of the keys, so that a sorted slice
// fills its filter from front to back.
type filter struct {
	lines  []line
	mapped []byte // lines outside the Go heap; nil: inside
}

// newFilter makes a filter of n lines. A large one is kept outside the Go heap:
// there it costs its size, while the collector lets the heap grow by as much
// again before it runs. It is then the owner's to free.
func newFilter(n int) filter {
	size := n * lineSize
	if size < 1<<16 {
		return filter{lines: make([]line, n)}
	}
	mapped, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return filter{lines: make([]line, n)}
	}
	adviseHugePages(mapped)
	//nolint:gosec // a mapping is aligned to its page, and n lines long
	return filter{lines: unsafe.Slice((*line)(unsafe.Pointer(&mapped[0])), n), mapped: mapped}
}

func (f *filter) free() {
	if f.mapped != nil {
		_ = syscall.Munmap(f.mapped) // fails only for memory that is not ours
	}
	*f = filter{}
}

func (f *filter) memory() int64 { return int64(len(f.lines)) * lineSize }

// mask is what a key looks like in any line.
func mask(k Key) line {
	var m line
	for i := range m {
		m[i] = 1 << (k.lo >> (6 * i) & 63)
	}
	return m
}

func (f *filter) add(k Key) {
	l, m := &f.lines[place(k, len(f.lines))], mask(k)
	for i := range l {
		l[i] |= m[i]
	}
}

// filters are the filters of some slices, oldest first.
type filters []filter

// glance returns which of at most 64 filters may have a key, judged by the first
// word: bit n is for the nth from the end. It has no branch and little to do, so
// that the lines of all filters are on their way from memory at once.
func (fs filters) glance(k Key, m *line) uint64 {
	var maybe uint64
	shift := bits.TrailingZeros64(m[0])
	for i := range fs {
		l := &fs[i].lines[place(k, len(fs[i].lines))]
		maybe = maybe<<1 | l[0]>>(shift&63)&1
	}
	return maybe
}

// has reports whether a key with this mask may be in the slice.
func (f *filter) has(k Key, m *line) bool {
	l := &f.lines[place(k, len(f.lines))]
	missing := m[0]&^l[0] | m[1]&^l[1] | m[2]&^l[2] | m[3]&^l[3] |
		m[4]&^l[4] | m[5]&^l[5] | m[6]&^l[6] | m[7]&^l[7]
	return missing == 0
}

// place maps a key to one of n places, evenly and in the order of the keys.
func place(k Key, n int) int {
	p, _ := bits.Mul64(k.hi, uint64(n))
	return int(p)
}
