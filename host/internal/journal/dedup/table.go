package dedup

import (
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// table holds the ids that are not on disk yet, in the order of the journal, and
// finds them by open addressing: a miss costs one cache line of a table that fits
// the second-level cache.
type table struct {
	entries []entry
	// slots has a power of two of them, 1<<b. A slot's low b bits are an index
	// into entries plus one, the others are a tag from the key; 0 is free.
	slots []uint32
	span
}

// span is what a table or slice covers: the positions after one up to and
// including another, and the index time of the first and last id added.
type span struct {
	after, upTo event.Position
	from, to    int64
}

const smallestTable = 1024

func newTable() *table {
	return &table{
		entries: make([]entry, 0, smallestTable/2),
		slots:   make([]uint32, smallestTable),
	}
}

// reset empties the table and keeps its memory.
func (t *table) reset() {
	t.entries = t.entries[:0]
	clear(t.slots)
	t.span = span{}
}

// slot returns where a key is, or else the free slot where it would be, and what
// a slot has beside the index when it is this key's.
func (t *table) slot(k Key) (at, tag uint32, e *entry) {
	mask := uint32(len(t.slots) - 1)
	tag = uint32(k.lo>>32) &^ mask
	for at = uint32(k.lo) & mask; ; at = (at + 1) & mask {
		s := t.slots[at]
		if s == 0 {
			return at, tag, nil
		}
		if s&^mask != tag {
			continue
		}
		if e := &t.entries[s&mask-1]; e.key == k {
			return at, tag, e
		}
	}
}

func (t *table) find(k Key) (event.Position, bool) {
	if _, _, e := t.slot(k); e != nil {
		return e.pos, true
	}
	return 0, false
}

// add takes an id at index time now; after is the position before the first. A
// key that is in the table already gets the new position.
func (t *table) add(e entry, after event.Position, now int64) {
	if len(t.entries) == 0 {
		t.after, t.from = after, now
	}
	t.upTo, t.to = e.pos, now
	if len(t.entries) == cap(t.entries) {
		t.grow()
	}
	at, tag, old := t.slot(e.key)
	if old != nil {
		old.pos = e.pos
		return
	}
	t.entries = append(t.entries, e)
	t.slots[at] = tag | uint32(len(t.entries))
}

// grow makes room: twice as much while the table is small, then a quarter more,
// since two tables live at once. At most five of eight slots are ever taken.
func (t *table) grow() {
	room := 2 * cap(t.entries)
	if room > 1<<16 {
		room = cap(t.entries) + cap(t.entries)/4
	}
	entries := make([]entry, len(t.entries), room)
	copy(entries, t.entries)
	t.entries = entries
	if 5*len(t.slots) >= 8*room {
		return
	}
	t.slots = make([]uint32, 2*len(t.slots))
	for n := range t.entries {
		at, tag, _ := t.slot(t.entries[n].key)
		t.slots[at] = tag | uint32(n+1)
	}
}

// memory is the table's size in bytes.
func (t *table) memory() int64 {
	return int64(cap(t.entries))*entrySize + int64(len(t.slots))*4
}
