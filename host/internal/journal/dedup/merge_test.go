package dedup_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// The small index has the proportions of one of 20 million ids.
func TestALookupAsksFewFilters(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	most := 0
	for n := 1; n <= 6000; n++ {
		ix.Add(key(uint64(n)), at(n), begin)
		must(t, ix.Work(t.Context()))
		st := ix.Stats()
		most = max(most, st.Slices)
		if kept := min(int64(n), 1600-100-2*10); st.IDs > 1600 || st.IDs < kept {
			t.Fatalf("after %d events %d ids are held, want %d to 1600", n, st.IDs, kept)
		}
	}
	if most > 25 {
		t.Errorf("%d slices at most, want 25", most)
	}
}

func TestMergedSlicesKeepTheirBounds(t *testing.T) {
	o := options()
	d := newMemDisk()
	ix := open(t, d, o)
	next := begin
	for n := 1; n <= 3000; n++ {
		next = every(t, ix, n, n, o.Window/1000, next) // merges are bounded by time: 62 ids
		if st := ix.Stats(); st.Window > o.Window*9/8 {
			t.Fatalf("an id of %s is held", st.Window)
		}
	}
	if st := ix.Stats(); st.Slices > 25 || st.Slices < 16 {
		t.Errorf("%d slices, want 16 to 25", st.Slices)
	}
}

// longMerge returns an index with ten slices to merge, the last of which is still
// to be written, and a function that adds a table more.
func longMerge(t *testing.T, d *memDisk) (ix *dedup.Index, table func() event.Position) {
	t.Helper()
	ix = open(t, d, dedup.Options{Window: day, MaxIDs: 16 * 200_000, Synced: durable}.WithTable(20_000))
	n := 0
	table = func() event.Position {
		for range 20_000 {
			n++
			ix.Add(key(uint64(n)), at(n), begin)
		}
		return at(n)
	}
	for range 9 {
		table()
		must(t, ix.Work(t.Context()))
	}
	table()
	return ix, table
}

// on calls do at the nth operation of a kind.
func (d *memDisk) on(kind string, nth int, do func()) {
	d.before = func(op, _ string) error {
		if op == kind {
			if nth--; nth == 0 {
				do()
			}
		}
		return nil
	}
}

// A merge of a large slice takes long, and the committer waits for room.
func TestAFullTableIsWrittenDuringAMerge(t *testing.T) {
	d := newMemDisk()
	ix, table := longMerge(t, d)
	var last, covered event.Position
	d.on("read", 100, func() {
		last = table()
		d.on("rename", 2, func() { covered = ix.Covered() }) // the first is the table's
	})
	must(t, ix.Work(t.Context()))
	if st := ix.Stats(); covered != last || st.Slices != 2 {
		t.Errorf("at the end of the merge covered %s in %d slices, want %s in 2", covered, st.Slices, last)
	}
	for n := 1; n <= 220_000; n += 97 {
		held(t, ix, n, n, true)
	}
}

// Merges that fall behind go first, or lookups would ask ever more filters.
func TestAMergeThatIsBehindIsNotInterrupted(t *testing.T) {
	d := newMemDisk()
	o := dedup.Options{Window: day, MaxIDs: 16 * 39_999, Synced: durable}.WithTable(20_000)
	ix := open(t, d, o) // two tables are one id too many for a merge
	n := 0
	table := func() {
		for range 20_000 {
			n++
			ix.Add(key(uint64(n)), at(n), begin)
		}
	}
	for range 30 {
		table()
		must(t, ix.Work(t.Context()))
	}
	d = d.kill()
	o.MaxIDs = 16 * 200_000
	ix = open(t, d, o)
	if got := ix.Stats().Slices; got != 30 {
		t.Fatalf("%d slices, want 30", got)
	}
	var named []string
	d.on("read", 100, func() {
		table()
		d.before = func(op, name string) error {
			if op == "rename" {
				named = append(named, name)
			}
			return nil
		}
	})
	must(t, ix.Work(t.Context()))
	d.before = nil
	if len(named) == 0 || !strings.HasPrefix(named[0], "0000000000000000-") {
		t.Errorf("slices were named in the order %q, want the merged one first", named)
	}
	must(t, ix.Work(t.Context()))
	if st := ix.Stats(); st.Covered != at(n) || st.Slices > 5 {
		t.Errorf("covered %s in %d slices, want %s in 4", st.Covered, st.Slices, at(n))
	}
}

func TestForgetDuringAMerge(t *testing.T) {
	d := newMemDisk()
	ix, _ := longMerge(t, d)
	d.on("read", 100, func() { must(t, ix.Forget(at(50_000))) })
	must(t, ix.Work(t.Context()))
	d.before = nil
	for _, ix := range []*dedup.Index{ix, open(t, d.kill(), dedup.Options{Window: day, MaxIDs: 16 * 200_000, Synced: durable})} {
		if got := ix.Covered(); got != at(40_000) {
			t.Errorf("covered %s, want %s", got, at(40_000))
		}
		held(t, ix, 1, 40_000, true)
		held(t, ix, 40_001, 200_000, false)
	}
}

func TestAMergeEndsWithItsContext(t *testing.T) {
	d := newMemDisk()
	ix, _ := longMerge(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	d.on("read", 100, cancel)
	if err := ix.Work(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Work says %v, want that it was cancelled", err)
	}
	d.before = nil
	if names, _ := d.List(); len(names) != 10 {
		t.Errorf("files %q, want the ten slices", names)
	}
	held(t, ix, 1, 1000, true)
	must(t, ix.Work(t.Context()))
	if st := ix.Stats(); st.Slices != 1 || st.IDs != 200_000 {
		t.Errorf("%d ids in %d slices, want 200000 in 1", st.IDs, st.Slices)
	}
}

func TestADamagedSliceIsNotMerged(t *testing.T) {
	log := newCodes()
	d := newMemDisk()
	o := options()
	o.Log = log.logger()
	ix := open(t, d, o)
	add(t, ix, 1, 90, begin)
	broken := ""
	d.before = func(op, name string) error {
		if op == "read" && name == broken {
			return syscall.EIO
		}
		return nil
	}
	for name := range d.files {
		if strings.HasPrefix(name, "0000000000400000") { // events 31 to 40
			broken = d.files[name].name
		}
	}
	add(t, ix, 91, 300, begin)
	expect(t, log, dedup.CodeDamaged)
	held(t, ix, 31, 40, false)
	held(t, ix, 1, 30, true)
	held(t, ix, 41, 300, true)

	d.before = nil
	ix = open(t, d.kill(), o)
	if got := ix.Covered(); got != at(30) {
		t.Errorf("opened again, covered %s, want %s", got, at(30))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	for _, ids := range []int64{1, 1000, 1_000_000, 20_000_000, 50_000_000, 200_000_000, 1_000_000_000, 20_000_000_000} {
		if most, bound := dedup.MemoryAt(ids); most > bound {
			t.Errorf("an index of %d ids takes %d bytes of memory, more than %d", ids, most, bound)
		}
	}
}

// With tables of the usual size: both full to the brim, then merges.
func TestMemoryIsAsSmallAsIsSaid(t *testing.T) {
	const ids = 400_000
	d := newMemDisk()
	full, peak := true, int64(0)
	ix := open(t, d, dedup.Options{Window: day, MaxIDs: 16 * 250_000, Synced: durable})
	d.before = func(op, _ string) error {
		st := ix.Stats()
		peak = max(peak, st.Memory-ix.SliceMemory())
		if bound := dedup.MemoryBound(st.IDs); st.Memory > bound {
			t.Errorf("at a %s, %d ids take %d bytes of memory, more than %d", op, st.IDs, st.Memory, bound)
		}
		if full && op != "read" {
			return syscall.ENOSPC
		}
		return nil
	}
	for n := 1; n <= ids; n++ {
		if n%1000 == 1 {
			err := ix.Reserve(t.Context(), 1000)
			if errors.Is(err, dedup.ErrStalled) {
				full = false
				must(t, ix.Work(t.Context()))
				err = ix.Reserve(t.Context(), 1000)
			}
			must(t, err)
		}
		ix.Add(key(uint64(n)), at(n), begin)
		if n%1000 == 0 {
			if err := ix.Work(t.Context()); err != nil && !full {
				t.Fatal(err)
			}
		}
	}
	if full {
		t.Error("the tables were never full")
	}
	if peak > dedup.WorkMemory {
		t.Errorf("%d bytes beside the slices, more than %d", peak, dedup.WorkMemory)
	}
	t.Logf("%d bytes beside the slices at most", peak)
}

func TestMemoryIsCountedHonestly(t *testing.T) {
	dir := t.TempDir()
	before := heap()
	ix, err := dedup.Open(dir, dedup.Options{Window: day, MaxIDs: 20_000_000, Synced: durable})
	must(t, err)
	defer func() { must(t, ix.Close()) }()
	for n := 1; n <= 300_000; n++ {
		ix.Add(key(uint64(n)), at(n), begin)
		if n%125_000 == 0 {
			must(t, ix.Work(t.Context()))
		}
	}
	used, said := heap()-before+ix.Mapped(), ix.Stats().Memory
	if used > said+said/10 || said > used+used/10 {
		t.Errorf("it takes %d bytes of memory and says %d", used, said)
	}
	runtime.KeepAlive(ix)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
