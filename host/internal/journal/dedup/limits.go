package dedup

import (
	"cmp"
	"time"
)

const (
	// fixedMemory and idMemory are the bound on the index's memory: 32 MiB and
	// 12 bits per id held.
	fixedMemory = 32 << 20
	idBits      = 12

	// maxTable is how many ids the open table has when it is frozen, at most.
	// Its slots then fit the second-level cache.
	maxTable = 125_000

	// workMemory is what an index needs beside its slices: two tables that
	// are a quarter over maxTable (10 MB), the copy to sort one (4 MB), and
	// the buffers of a freeze within a merge.
	workMemory = 17 << 20

	// parts is how many slices make up a full index: expiry drops a part.
	parts = 16
	// fanIn is how many neighbours of like size are merged.
	fanIn = 10

	// maxFilterBits bounds the filters: beyond it a probe in vain is rare
	// enough (one in a thousand, for each filter).
	maxFilterBits = 16
)

// limits are the sizes that follow from Options.
type limits struct {
	window     int64 // of index time, as all times here
	sliceIDs   int   // the most in a merged slice
	sliceSpan  int64 // the longest time in one
	tableIDs   int   // the open table is frozen with as many ids
	tableSpan  int64 // or at this age
	tableRoom  int   // and Reserve admits no more
	leap       int64 // see clock
	tick       time.Duration
	filterBits int // per id
}

func limitsOf(o Options) limits {
	window := max(1, o.Window.Milliseconds())
	l := limits{
		window:     window,
		sliceIDs:   int(min(max(1, o.MaxIDs/parts), maxSlice)),
		sliceSpan:  window / parts,
		tableSpan:  max(1, window/24),
		leap:       max(window/24, time.Minute.Milliseconds()),
		tick:       min(max(o.Window/96, 10*time.Millisecond), time.Minute),
		filterBits: filterBits(o.MaxIDs),
	}
	most := cmp.Or(o.maxTable, maxTable)
	tables := (l.sliceIDs + most - 1) / most
	l.tableIDs = (l.sliceIDs + tables - 1) / tables
	l.tableRoom = most * 5 / 4
	return l
}

// filterBits is how many bits per id the bound on memory leaves for filters: 16
// up to 30 million ids or so, 10 for a billion. A seventeenth part is for the
// slice that a merge is making, and half a bit per id is the directory's.
func filterBits(maxIDs int64) int {
	bits := idBits + float64(fixedMemory-workMemory)*8/float64(maxIDs)
	return int(min(bits*parts/(parts+1)-bucketSize*8.0/perBucket, maxFilterBits))
}
