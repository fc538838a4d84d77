package dedup

import (
	"context"
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
