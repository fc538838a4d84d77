package quarantine

import (
	"hash/crc32"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// maxRepeated is how many of a source's entries may have repeats at a time,
// which are held in memory. Beyond it a repeat becomes an entry.
const maxRepeated = 4096

// book is what one source's log says, up to a frame, with the entries
// themselves summed up in chunks. Folding the log again gives the same book.
type book struct {
	folded  uint64 // the last frame that is in the book
	print   uint64 // fingerprint of that frame
	cost    int64  // of all frames up to it, as Ring.MaxBytes counts
	now     int64  // when it was written to last; it never goes back
	age     int64  // how long a chunk takes entries, in nanoseconds
	chunks  []*chunk
	recent  recent
	groups  groups
	repeats int // entries that have repeats

	refused uint64 // how often anything was refused, forgotten or not
	expired uint64 // open entries that were forgotten by age
	dropped uint64 // and for want of space
	damaged uint64 // records that say nothing

	moving *run // a run of moved entries whose end has not come
}

// newBook returns the book of an empty log, whose entries are kept for maxAge.
func newBook(maxAge time.Duration) *book {
	b := &book{recent: newRecent(), groups: newGroups(), age: int64(maxAge / 32)}
	if maxAge == 0 {
		b.age = math.MaxInt64
	}
	return b
}

// frameCost is the most that a frame costs its log.
func frameCost(records [][]byte) int64 {
	cost := int64(FrameOverhead)
	for _, r := range records {
		cost += int64(len(r)) + 16
	}
	return cost
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fingerprint tells a frame from another that has its number in another log.
func fingerprint(f Frame) uint64 {
	var sum uint32
	var n int
	for _, r := range f.Records {
		sum = crc32.Update(sum, castagnoli, r)
		n += len(r)
	}
	return uint64(n)<<32 | uint64(sum)
}

// fold adds the next frame to the book.
func (b *book) fold(f Frame) {
	before := b.cost
	for i, r := range f.Records {
		if !b.foldRecord(f.Seq, i, before, r) {
			b.damaged++
		}
	}
	b.folded, b.print, b.cost = f.Seq, fingerprint(f), before+frameCost(f.Records)
}

func (b *book) foldRecord(frame uint64, index int, before int64, data []byte) bool {
	if len(data) == 0 || index >= event.MaxFrameEvents {
		return false
	}
	kind := data[0]
	if kind != kindMoved && kind != kindMove {
		b.moving = nil
	}
	switch kind {
	case kindEntry, kindMoved:
		r, err := decodeEntry(data, event.At(frame, index))
		if err != nil {
			return false
		}
		if kind == kindMoved {
			b.foldMoved(frame, before, &r)
		} else {
			b.foldEntry(frame, before, &r)
		}
	case kindRepeat:
		r, err := decodeRepeats(data)
		if err != nil {
			return false
		}
		b.foldRepeats(&r)
	case kindClose:
		c, ids, err := decodeClosing(data)
		if err != nil {
			return false
		}
		b.foldClosing(c, ids)
	case kindMove:
		m, err := decodeMove(data)
		return err == nil && m.ids.hi < event.At(frame, index) && b.foldMove(m)
	case kindForget:
		last, why, err := decodeForget(data)
		if err != nil {
			return false
		}
		b.foldForget(last, why)
	default:
		return false
	}
	return true
}

func (b *book) foldEntry(frame uint64, before int64, r *record) {
	var c *chunk
	if n := len(b.chunks); n > 0 {
		c = b.chunks[n-1]
	}
	if c == nil || !b.takes(c, frame, before, r) {
		c = &chunk{first: frame, at: before}
		b.chunks = append(b.chunks, c)
	}
	c.last = frame
	g := b.groups.get(r.group)
	c.add(&b.groups, g, r)
	b.recent.add(r.key, r.id, g)
	b.refused += r.count
	b.now = max(b.now, r.last)
}

// takes reports whether the newest chunk takes one more entry. It spans a small
// part of max_age, since it expires as a whole.
func (b *book) takes(c *chunk, frame uint64, before int64, r *record) bool {
	return !c.moved && c.all == nil && before-c.at < maxChunkBytes && frame-c.first < maxChunkFrames &&
		r.first-c.oldest <= b.age
}

// run is a run of moved entries, as far as it has come.
type run struct {
	chunk
	recent []recognised
}

// recognised is an entry that is recognised when it is refused again.
type recognised struct {
	key   key
	id    event.Position
	group *group
}

// foldMoved gathers a moved entry until the end of its run comes.
func (b *book) foldMoved(frame uint64, before int64, r *record) {
	if r.flags&flagFirst != 0 {
		b.moving = &run{chunk: chunk{moved: true, first: frame, at: before}}
	}
	m := b.moving
	if m == nil || m.open > 0 && r.id <= m.ids.hi {
		b.moving = nil
		return
	}
	g := b.groups.get(r.group)
	m.last = frame
	m.add(&b.groups, g, r)
	if r.flags&flagRecent != 0 {
		m.recent = append(m.recent, recognised{r.key, r.id, g})
	}
}

// foldMove puts the moved entries in the place of all entries in a range. The
// run must be whole.
func (b *book) foldMove(m move) bool {
	r := b.moving
	b.moving = nil
	if r == nil {
		r = &run{}
	}
	if r.open != m.entries || r.open > 0 && (r.ids.lo < m.ids.lo || r.ids.hi > m.ids.hi) {
		return false
	}
	b.remove(m.ids, func(*chunk) {})
	if r.open == 0 {
		return true
	}
	c := r.chunk
	i := sort.Search(len(b.chunks), func(i int) bool { return b.chunks[i].ids.lo > c.ids.lo })
	b.chunks = slices.Insert(b.chunks, i, &c)
	for _, s := range r.recent {
		b.recent.add(s.key, s.id, s.group)
	}
	return true
}

func (b *book) foldRepeats(r *repeats) {
	for _, it := range r.items {
		b.refused += it.count
		s, ok := b.recent.slots[it.key]
		if !ok {
			continue
		}
		c := b.find(s.id)
		if c == nil || c.closing(s.id) != nil {
			continue
		}
		if _, again := c.repeated[s.id]; !again {
			b.repeats++
		}
		c.repeat(&b.groups, s.group, s.id, repeated{it.count, r.at})
	}
	b.now = max(b.now, r.at)
}

func (b *book) foldClosing(by *closing, ids []event.Position) {
	for len(ids) > 0 {
		c := b.find(ids[0])
		if c == nil {
			ids = ids[1:]
			continue
		}
		n := sort.Search(len(ids), func(i int) bool { return ids[i] > c.ids.hi })
		c.close(ids[:n], by)
		ids = ids[n:]
	}
	b.recent.forget(func(id event.Position) bool {
		c := b.find(id)
		return c == nil || c.closing(id) != nil
	})
}

func (b *book) foldForget(last event.Position, why reason) {
	b.remove(span{0, last}, func(c *chunk) {
		if why == expired {
			b.expired += uint64(c.open)
		} else {
			b.dropped += uint64(c.open)
		}
	})
	b.recent.forget(func(id event.Position) bool { return id <= last })
}

// remove takes a range of ids out of the book. whole is told of each chunk that
// goes with all its entries; one that goes in part is cut.
func (b *book) remove(s span, whole func(*chunk)) {
	kept := make([]*chunk, 0, len(b.chunks)+1)
	for _, c := range b.chunks {
		switch {
		case c.ids.hi < s.lo || c.ids.lo > s.hi:
			kept = append(kept, c)
			continue
		case c.ids.lo >= s.lo && c.ids.hi <= s.hi:
			whole(c)
		}
		b.discard(c)
		if c.ids.lo < s.lo {
			kept = b.keep(kept, c.part(span{c.ids.lo, s.lo - 1}))
		}
		if c.ids.hi > s.hi {
			kept = b.keep(kept, c.part(span{s.hi + 1, c.ids.hi}))
		}
	}
	b.chunks = kept
	b.pruneGroups()
}

func (b *book) keep(kept []*chunk, c *chunk) []*chunk {
	b.repeats += len(c.repeated)
	return append(kept, c)
}

// discard lets go of a chunk that is about to leave the book.
func (b *book) discard(c *chunk) {
	c.removed = true
	b.repeats -= len(c.repeated)
}

// recounted gives a chunk its sums anew; see chunk.recounted. One without any
// entry leaves the book.
func (b *book) recounted(c, n *chunk, closings []closed, all *closing) {
	if n.open+n.closed == 0 {
		b.discard(c)
		b.chunks = slices.DeleteFunc(b.chunks, func(other *chunk) bool { return other == c })
		return
	}
	c.recounted(n, closings, all)
	if b.repeats > maxRepeated/2 {
		b.repeats -= len(c.repeated)
		c.dropRepeats()
		b.repeats += len(c.repeated)
	}
}

// pruneGroups makes room for new groups, where it is scarce.
func (b *book) pruneGroups() {
	if len(b.groups.known) < maxGroups {
		return
	}
	used := make(map[*group]bool)
	for _, c := range b.chunks {
		for i := range c.tallies {
			used[c.tallies[i].group] = true
		}
	}
	for _, s := range b.recent.slots {
		used[s.group] = true
	}
	for encoded, g := range b.groups.known {
		if !used[g] {
			delete(b.groups.known, encoded)
		}
	}
}

// find returns the chunk whose range of ids has this one; nil: none.
func (b *book) find(id event.Position) *chunk {
	i := b.chunkFrom(id)
	if i == len(b.chunks) || id < b.chunks[i].ids.lo {
		return nil
	}
	return b.chunks[i]
}

// chunkFrom returns the index of the first chunk with ids at or after this one.
func (b *book) chunkFrom(id event.Position) int {
	return sort.Search(len(b.chunks), func(i int) bool { return b.chunks[i].ids.hi >= id })
}

// openBytes is what the open entries count against the limit.
func (b *book) openBytes() int64 {
	var n int64
	for _, c := range b.chunks {
		n += c.openBytes
	}
	return n
}

// needed is the cost of the log from the first frame with an open entry on.
func (b *book) needed() int64 {
	from := b.cost
	for _, c := range b.chunks {
		if c.open > 0 {
			from = min(from, c.at)
		}
	}
	return b.cost - from
}

// trimmed takes out what the log has dropped: the frames before first.
func (b *book) trimmed(first uint64) {
	b.chunks = slices.DeleteFunc(b.chunks, func(c *chunk) bool {
		if c.last >= first {
			if c.first < first {
				c.first, c.stale = first, true
			}
			return false
		}
		b.expired += uint64(c.open)
		b.discard(c)
		return true
	})
}

// open counts the open entries.
func (b *book) open() int {
	n := 0
	for _, c := range b.chunks {
		n += c.open
	}
	return n
}
