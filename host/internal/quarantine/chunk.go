package quarantine

import (
	"maps"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// A chunk is full when it spans this much of the log: what a reader reads to
// see one of its entries, and the least that is dropped at once.
const (
	maxChunkBytes  = 256 << 10
	maxChunkFrames = 1024
)

// chunk sums up entries that lie together in the log, so that counting needs no
// reading, and finding none where there is nothing to find. What readers hold
// of it (a view) is replaced and never changed in place.
type chunk struct {
	ids          span   // what lies in its frames and in this range is its own
	first, last  uint64 // the frames that hold them
	at           int64  // the log's cost before its first frame
	moved        bool   // it holds moved entries
	removed      bool   // it has left the book
	stale        bool   // its sums are to be made again from the log
	open, closed int
	openBytes    int64
	oldest       int64 // first seen, of all its entries
	newest       int64
	lastSeen     int64
	tallies      []tally // of open entries
	repeated     map[event.Position]repeated
	closings     []closed // by id; without those that all makes needless
	all          *closing // set where one closing closed every entry
}

// repeated is what the log says of an entry beside its record.
type repeated struct {
	count uint64
	last  int64
}

type closed struct {
	id event.Position
	by *closing
}

// add counts an open entry, whose id follows those of all others.
func (c *chunk) add(groups *groups, g *group, r *record) {
	c.extend(r)
	c.open++
	c.openBytes += charge(r.body)
	c.tallies = addTally(c.tallies, g, groups, r)
}

// addClosed counts an entry that is not open.
func (c *chunk) addClosed(r *record) {
	c.extend(r)
	c.closed++
}

func (c *chunk) extend(r *record) {
	if c.open+c.closed == 0 {
		c.ids.lo, c.oldest = r.id, r.first
	}
	c.ids.hi = r.id
	c.newest = max(c.newest, r.first)
	c.lastSeen = max(c.lastSeen, r.last)
}

// close marks entries as closed. The sums are then stale.
func (c *chunk) close(ids []event.Position, by *closing) {
	if c.all != nil {
		return
	}
	merged := make([]closed, 0, len(c.closings)+len(ids))
	merged = append(merged, c.closings...)
	for _, id := range ids {
		if c.closing(id) == nil {
			merged = append(merged, closed{id, by})
		}
	}
	slices.SortFunc(merged, func(a, b closed) int { return cmpPosition(a.id, b.id) })
	c.closings = slices.CompactFunc(merged, func(a, b closed) bool { return a.id == b.id })
	c.stale = true
}

func cmpPosition(a, b event.Position) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// closing returns what closed an entry; nil: nothing.
func (c *chunk) closing(id event.Position) *closing { return closingOf(c.all, c.closings, id) }

func closingOf(all *closing, closings []closed, id event.Position) *closing {
	if all != nil {
		return all
	}
	i, ok := slices.BinarySearchFunc(closings, id, func(c closed, id event.Position) int { return cmpPosition(c.id, id) })
	if !ok {
		return nil
	}
	return closings[i].by
}

// part returns the chunk as it is without the entries outside of a range.
func (c *chunk) part(ids span) *chunk {
	p := &chunk{
		ids: ids, first: c.first, last: c.last, at: c.at, moved: c.moved, stale: true,
		oldest: c.oldest, newest: c.newest, lastSeen: c.lastSeen,
		open: c.open, openBytes: c.openBytes, tallies: slices.Clone(c.tallies),
		closed: c.closed, closings: c.closings, all: c.all, repeated: maps.Clone(c.repeated),
	}
	maps.DeleteFunc(p.repeated, func(id event.Position, _ repeated) bool { return !ids.has(id) })
	return p
}

// recounted takes the sums that were made again from the log, and what closed
// the entries that are not open: the same closing for all, or one for each.
func (c *chunk) recounted(n *chunk, closings []closed, all *closing) {
	c.ids, c.oldest, c.newest, c.lastSeen = n.ids, n.oldest, n.newest, n.lastSeen
	c.open, c.openBytes, c.tallies, c.closed = n.open, n.openBytes, n.tallies, n.closed
	c.closings, c.all, c.stale = closings, all, false
}

// dropRepeats forgets how often entries that are not open were refused again.
func (c *chunk) dropRepeats() {
	maps.DeleteFunc(c.repeated, func(id event.Position, _ repeated) bool { return c.closing(id) != nil })
}

// repeat counts further refusals of an open entry.
func (c *chunk) repeat(groups *groups, g *group, id event.Position, r repeated) {
	if c.repeated == nil {
		c.repeated = make(map[event.Position]repeated)
	}
	c.repeated[id] = repeated{c.repeated[id].count + r.count, r.last}
	c.lastSeen = max(c.lastSeen, r.last)
	i := findTally(c.tallies, g)
	if i < 0 {
		i = findTally(c.tallies, groups.rest(g))
	}
	if i < 0 {
		c.stale = true
		return
	}
	c.tallies[i].count += r.count
	c.tallies[i].last = max(c.tallies[i].last, r.last)
}

// view is what a reader needs of a chunk to read its entries from the log. It
// stays as it is while the chunk changes.
type view struct {
	chunk       *chunk
	ids         span
	first, last uint64
	moved       bool
	closings    []closed
	all         *closing
	repeated    map[event.Position]repeated
}

func (c *chunk) view() view {
	return view{c, c.ids, c.first, c.last, c.moved, c.closings, c.all, maps.Clone(c.repeated)}
}

// decode reads the record at a place where it is one of the chunk's entries,
// with its repeats counted in.
func (v *view) decode(b []byte, at event.Position) (record, bool) {
	kind := byte(kindEntry)
	if v.moved {
		kind = kindMoved
	}
	if len(b) == 0 || b[0] != kind {
		return record{}, false
	}
	r, err := decodeEntry(b, at)
	if err != nil || !v.ids.has(r.id) {
		return record{}, false
	}
	if more, ok := v.repeated[r.id]; ok {
		r.count += more.count
		r.last = max(r.last, more.last)
	}
	return r, true
}

// closing returns what closed an entry; nil: nothing.
func (v *view) closing(id event.Position) *closing { return closingOf(v.all, v.closings, id) }
