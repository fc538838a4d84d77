package dedup

import (
	"context"
	"fmt"
	"time"
)

// What tests outside the package reach in for.
type (
	Disk = disk
	File = file
)

func OpenOn(d Disk, o Options) (*Index, error) { return open(d, o) }

// WithTable makes the open table smaller than its usual size.
func (o Options) WithTable(ids int) Options {
	o.maxTable = ids
	return o
}

// Work does once what Run does each time that it wakes.
func (x *Index) Work(ctx context.Context) error { return x.work(ctx) }

// Tick is what Run does each time that its ticker fires.
func (x *Index) Tick(at time.Time) { x.elapse(at) }

// MaxSlice is how many ids a merged slice has at most, and MaxTable a frozen one.
func (x *Index) MaxSlice() int { return x.sliceIDs }
func (x *Index) MaxTable() int { return x.tableIDs }

// Skewed makes a key that shares the first bits of all of its kind.
func Skewed(n uint64) Key { return Key{hi: 1<<60 | n>>32, lo: n<<32 | n} }

// String is the key as it is on disk, in hex.
func (k Key) String() string { return fmt.Sprintf("%016x%016x", k.hi, k.lo) }

// MemoryAt is the most that an index of so many ids takes in memory, beside what
// MemoryBound allows it, in bytes.
func MemoryAt(maxIDs int64) (most, bound int64) {
	l := limitsOf(Options{Window: time.Hour, MaxIDs: maxIDs})
	perID := float64(l.filterBits)/8 + float64(bucketSize)/perBucket
	ids := float64(maxIDs) + float64(l.sliceIDs) // a merge makes a slice beside those it reads
	return workMemory + int64(ids*perID), MemoryBound(maxIDs)
}

// MemoryBound is what an index that holds so many ids may take.
func MemoryBound(ids int64) int64 { return fixedMemory + ids*idBits/8 }

// WorkMemory is what it may take beside its slices.
const WorkMemory = workMemory

// Mapped is how much of Stats.Memory is outside the Go heap.
func (x *Index) Mapped() int64 {
	n := 0
	for _, f := range x.filters {
		n += len(f.mapped)
	}
	return int64(n)
}

// SliceMemory is how much of Stats.Memory its slices have.
func (x *Index) SliceMemory() int64 {
	n := int64(0)
	for _, s := range x.slices {
		n += s.memory()
	}
	return n
}

// Mixed is a key like KeyOf's, for less.
func Mixed(n uint64) Key {
	mix := func(n uint64) uint64 {
		n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
		n = (n ^ n>>27) * 0x94d049bb133111eb
		return n ^ n>>31
	}
	return Key{hi: mix(n * 0x9e3779b97f4a7c15), lo: mix(n*0x9e3779b97f4a7c15 + 1)}
}
