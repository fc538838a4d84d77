package dedup_test

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// sizes of the parts of a slice file; see slice.go.
const (
	headerSize = 16
	entrySize  = 24
	footerSize = 52
)

// threeSlices returns a disk with slices of events 1 to 10, 11 to 20 and 21 to 30,
// and their names.
func threeSlices(t *testing.T) (*memDisk, []string) {
	t.Helper()
	d := newMemDisk()
	add(t, open(t, d, options()), 1, 30, begin)
	names := slices.Sorted(maps.Keys(d.files))
	if len(names) != 3 {
		t.Fatalf("files %v, want three", names)
	}
	return d, names
}

// change returns the disk with the data of one of its files changed.
func (d *memDisk) change(name string, to func([]byte) []byte) *memDisk {
	c := d.kill()
	c.files[name].data = to(slices.Clone(c.files[name].data))
	return c
}

func TestEveryByteOfASliceIsUnderAChecksum(t *testing.T) {
	d, names := threeSlices(t)
	size := len(d.files[names[1]].data)
	for i := range size {
		log := newCodes()
		o := options()
		o.Log = log.logger()
		broken := d.change(names[1], func(b []byte) []byte { b[i] ^= 1 << (i % 8); return b })
		ix := open(t, broken, o)
		entries := i >= headerSize && i < headerSize+10*entrySize
		if entries { // found when it is read
			expect(t, log)
			held(t, ix, 11, 20, false)
			held(t, ix, 1, 10, true)
			held(t, ix, 21, 30, true)
			must(t, ix.Work(t.Context()))
			expect(t, log, dedup.CodeDamaged)
			if st := ix.Stats(); st.Damaged != 1 {
				t.Fatalf("byte %d: %d slices are damaged, want 1", i, st.Damaged)
			}
			broken = broken.kill()
			ix = open(t, broken, o)
		}
		expect(t, log, dedup.CodeDropped, dedup.CodeDropped)
		if st := ix.Stats(); st.Covered != at(10) || st.Dropped != 2 || st.IDs != 10 {
			t.Fatalf("byte %d: covered %s with %d ids, %d slices dropped; want %s, 10 and 2", i, st.Covered, st.IDs, st.Dropped, at(10))
		}
		held(t, ix, 1, 10, true)
		add(t, ix, 1, 30, begin) // the journal is read again
		held(t, ix, 1, 30, true)
		if i%10 == 0 {
			held(t, open(t, broken.kill(), o), 1, 30, true)
		}
	}
}

func expect(t *testing.T, log *codes, want ...string) {
	t.Helper()
	if told := log.take(); !slices.Equal(told, want) {
		t.Fatalf("the log says %q, want %q", told, want)
	}
}

func TestATornSliceIsDropped(t *testing.T) {
	d, names := threeSlices(t)
	for n := range len(d.files[names[2]].data) {
		ix := open(t, d.change(names[2], func(b []byte) []byte { return b[:n] }), options())
		if got := ix.Covered(); got != at(20) {
			t.Fatalf("with %d bytes of the last slice, covered %s, want %s", n, got, at(20))
		}
	}
	ix := open(t, d.change(names[2], func(b []byte) []byte { return append(b, 0) }), options())
	if got := ix.Covered(); got != at(20) {
		t.Fatalf("with a byte too many, covered %s, want %s", got, at(20))
	}
}

func TestASliceOfAnotherVersionIsDropped(t *testing.T) {
	d, names := threeSlices(t)
	ix := open(t, d.change(names[2], func(b []byte) []byte { return sealed(b, "wellhead dedup\x00\x02") }), options())
	if st := ix.Stats(); st.Covered != at(20) || st.Dropped != 1 {
		t.Errorf("covered %s, %d slices dropped; want %s and 1", st.Covered, st.Dropped, at(20))
	}
	ix = open(t, d.change(names[2], func(b []byte) []byte { return sealed(b, magic) }), options())
	held(t, ix, 1, 30, true)
}

func TestWhatFollowsALostSliceIsReadAgain(t *testing.T) {
	d, names := threeSlices(t)
	empty := func([]byte) []byte { return nil }
	missing := d.kill()
	delete(missing.files, names[1])
	renamed := d.kill()
	renamed.files[names[1]], renamed.files[names[2]] = renamed.files[names[2]], renamed.files[names[1]]
	for what, c := range map[string]struct {
		disk *memDisk
		last int // event that is still covered
	}{
		"the oldest is empty":   {d.change(names[0], empty), 0},
		"the second is empty":   {d.change(names[1], empty), 10},
		"the second is missing": {missing, 10},
		"two have each other's": {renamed, 10},
	} {
		t.Run(what, func(t *testing.T) {
			ix := open(t, c.disk, options())
			if c.last == 0 && ix.Covered() != 0 || c.last > 0 && ix.Covered() != at(c.last) {
				t.Fatalf("covered %s, want event %d", ix.Covered(), c.last)
			}
			held(t, ix, 1, c.last, true)
			held(t, ix, c.last+1, 30, false)
			add(t, ix, 1, 40, begin)
			held(t, open(t, c.disk.kill(), options()), 1, 40, true)
		})
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	d, names := threeSlices(t)
	others := []string{"README", "0-1.slice", "lock", "00000000000000a0-000000000000000z.slice", strings.ToUpper(names[1])}
	for _, name := range others {
		d.files[name] = &memFile{disk: d, name: name}
	}
	d.files[names[0]+".tmp"] = &memFile{disk: d}
	held(t, open(t, d, options()), 1, 30, true)
	if got, want := slices.Sorted(maps.Keys(d.files)), slices.Sorted(slices.Values(append(names, others...))); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// Keys of one bucket are found however many there are.
func TestUnevenKeysAreFound(t *testing.T) {
	o := dedup.Options{Window: options().Window, MaxIDs: 48_000, Synced: durable}.WithTable(1500)
	ix := open(t, newMemDisk(), o)
	for n := 1; n <= 4_000; n++ {
		ix.Add(dedup.Skewed(uint64(n)), at(n), begin)
		if n%500 == 0 {
			must(t, ix.Work(t.Context()))
		}
	}
	for n := 1; n <= 4_000; n++ {
		if pos, ok := ix.Has(dedup.Skewed(uint64(n))); !ok || pos != at(n) {
			t.Fatalf("event %d: held %t at %s, want it at %s", n, ok, pos, at(n))
		}
	}
}

// FuzzSliceFile feeds any bytes to the decoder, and such with the checksums put
// right, which it takes for its own.
func FuzzSliceFile(f *testing.F) {
	d := newMemDisk()
	ix := open(f, d, options())
	add(f, ix, 1, 10, begin)
	names := slices.Collect(maps.Keys(d.files))
	f.Add(d.files[names[0]].data, true)
	f.Add(d.files[names[0]].data[:100], false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = sealed(b, magic)
		}
		d := newMemDisk()
		d.files[names[0]] = &memFile{disk: d, data: b}
		ix := open(t, d, options())
		for n := range 30 {
			ix.Has(key(uint64(n)))
		}
		must(t, ix.Work(t.Context()))
		add(t, ix, 1, 20, begin)
	})
}

const magic = "wellhead dedup\x00\x01"

// sealed gives bytes this header and the checksums of a slice.
func sealed(b []byte, header string) []byte {
	if len(b) < headerSize+footerSize {
		return b
	}
	b = slices.Clone(b)
	copy(b, header)
	table := crc32.MakeTable(crc32.Castagnoli)
	foot := b[len(b)-footerSize:]
	ids, buckets, lines := u32(foot, 32), u32(foot, 36), u32(foot, 40)
	tail := (int64(buckets)+1)*8 + int64(lines)*64
	if headerSize+int64(ids)*entrySize+tail+footerSize == int64(len(b)) {
		end := len(b) - footerSize
		binary.BigEndian.PutUint32(foot[44:], crc32.Checksum(b[end-int(tail):end], table))
	}
	crc := crc32.Update(crc32.Checksum(b[:headerSize], table), table, foot[:footerSize-4])
	binary.BigEndian.PutUint32(foot[footerSize-4:], crc)
	return b
}

func u32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
