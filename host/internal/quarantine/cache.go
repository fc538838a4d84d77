package quarantine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// The cache holds a book as it was at some frame, so that opening reads only
// what came after it. It is a copy of what the log says and no more.

const (
	cacheVersion = 1
	maxCache     = 1 << 20
	// A book is saved when the log has grown by this much, or by several times
	// the size of what was saved.
	saveBytes  = 1 << 20
	saveFrames = 1024
)

// mark is what is known of the last saving.
type mark struct {
	folded uint64
	cost   int64
	size   int64
}

func (s *shelf) cacheKey() string { return "quarantine/" + string(s.source) }

// save puts the book into the cache where the log has grown enough since, or at
// all where now is set. The caller has the turn.
func (s *shelf) save(now bool) {
	b := s.book
	if b == nil || s.cache == nil || b.folded == s.saved.folded {
		return
	}
	grown, frames := b.cost-s.saved.cost, b.folded-s.saved.folded
	if !now && frames < saveFrames && grown < max(saveBytes, 4*s.saved.size) {
		return
	}
	data := b.encode()
	s.saved = mark{b.folded, b.cost, int64(len(data))}
	if len(data) > maxCache {
		return // opening reads the whole log
	}
	if err := s.cache.Put(s.cacheKey(), data); err != nil {
		s.notes.Warn("the summary of a quarantine cannot be saved; the next start reads its log again", "error", err)
	}
}

// cached returns the book in the cache, or an empty one.
func (s *shelf) cached() *book {
	empty := newBook(s.limits.maxAge)
	if s.cache == nil {
		return empty
	}
	data, err := s.cache.Get(s.cacheKey())
	if err != nil {
		s.notes.Warn("the summary of a quarantine cannot be read; reading its log", "error", err)
	}
	if len(data) == 0 {
		return empty
	}
	b := newBook(s.limits.maxAge)
	if err := b.decode(data); err != nil {
		s.notes.Warn("the summary of a quarantine is damaged; reading its log", "error", err)
		return empty
	}
	s.saved = mark{b.folded, b.cost, int64(len(data))}
	return b
}

// verified returns a book where it is one of this very log, or an empty one.
func (s *shelf) verified(ctx context.Context, b *book) (*book, error) {
	if b.folded == 0 {
		return b, nil
	}
	f, err := s.log.Read(ctx, b.folded)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the quarantine of source %q: %w", s.source, err)
	}
	if err != nil || f.Seq != b.folded || fingerprint(f) != b.print {
		s.saved = mark{}
		return newBook(s.limits.maxAge), nil //nolint:nilerr // what is saved is a copy; the log is read instead
	}
	return b, nil
}

// bookWriter writes a book. Groups and closings are written once, where they are
// first needed, and later named by their number.
type bookWriter struct {
	b        []byte
	groups   map[*group]uint64
	closings map[*closing]uint64
}

func (b *book) encode() []byte {
	w := &bookWriter{b: []byte{cacheVersion}, groups: make(map[*group]uint64), closings: make(map[*closing]uint64)}
	w.uints(b.folded, b.print, uint64(b.cost), b.refused, b.expired, b.dropped, b.damaged)
	w.ints(b.now)
	w.uints(uint64(len(b.groups.known)))
	for encoded, g := range b.groups.known {
		w.groups[g] = uint64(len(w.groups))
		w.b = appendString(w.b, encoded)
	}
	w.uints(uint64(len(b.groups.others)))
	for code, g := range b.groups.others {
		w.groups[g] = uint64(len(w.groups))
		w.b = appendString(w.b, code)
	}
	b.recent.tidy()
	w.uints(uint64(len(b.recent.order)))
	for _, t := range b.recent.order {
		slot := b.recent.slots[t.key]
		w.b = append(w.b, t.key[:]...)
		w.uints(uint64(slot.id), w.groups[slot.group])
	}
	w.uints(uint64(len(b.chunks)))
	for _, c := range b.chunks {
		w.chunk(c)
	}
	return w.b
}

func (w *bookWriter) uints(values ...uint64) {
	for _, v := range values {
		w.b = binary.AppendUvarint(w.b, v)
	}
}

func (w *bookWriter) ints(values ...int64) {
	for _, v := range values {
		w.b = binary.AppendVarint(w.b, v)
	}
}

func (w *bookWriter) chunk(c *chunk) {
	var moved uint64
	if c.moved {
		moved = 1
	}
	w.uints(uint64(c.ids.lo), uint64(c.ids.hi-c.ids.lo), c.first, c.last-c.first, uint64(c.at), moved,
		uint64(c.open), uint64(c.closed), uint64(c.openBytes))
	w.ints(c.oldest, c.newest-c.oldest, c.lastSeen-c.oldest)
	w.uints(uint64(len(c.tallies)))
	for _, t := range c.tallies {
		w.uints(w.groups[t.group], uint64(t.entries), t.count)
		w.ints(t.first-c.oldest, t.last-c.oldest)
	}
	w.uints(uint64(len(c.repeated)))
	for id, r := range c.repeated {
		w.uints(uint64(id-c.ids.lo), r.count)
		w.ints(r.last - c.oldest)
	}
	w.closing(c.all)
	w.uints(uint64(len(c.closings)))
	before := c.ids.lo
	for _, k := range c.closings {
		w.uints(uint64(k.id - before))
		w.closing(k.by)
		before = k.id
	}
}

// closing writes 0 for none, a known one's number from 1, or the next number and
// the closing itself.
func (w *bookWriter) closing(c *closing) {
	if c == nil {
		w.uints(0)
		return
	}
	n, known := w.closings[c]
	if !known {
		n = uint64(len(w.closings)) + 1
		w.closings[c] = n
	}
	w.uints(n)
	if !known {
		w.b = append(w.b, byte(c.state))
		w.ints(c.at)
		w.b = appendString(w.b, c.by)
	}
}

// bookReader reads what a bookWriter wrote.
type bookReader struct {
	reader
	groups   []*group
	closings []*closing
}

// decode fills an empty book.
func (b *book) decode(data []byte) error {
	r := &bookReader{reader: reader{b: data}}
	if r.byte() != cacheVersion {
		return errShort
	}
	b.folded, b.print, b.cost = r.uvarint(), r.uvarint(), int64(r.uvarint())
	b.refused, b.expired, b.dropped, b.damaged = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	b.now = r.varint()
	for range r.count(1) {
		r.groups = append(r.groups, b.groups.get(r.bytes()))
	}
	for range r.count(1) {
		r.groups = append(r.groups, b.groups.rest(&group{code: r.string()}))
	}
	for range r.count(len(key{}) + 2) {
		var k key
		copy(k[:], r.next(uint64(len(k))))
		b.recent.add(k, event.Position(r.uvarint()), r.group())
	}
	for range r.count(16) {
		c := r.chunk()
		if n := len(b.chunks); r.bad || n > 0 && b.chunks[n-1].ids.hi >= c.ids.lo {
			return errShort
		}
		b.chunks = append(b.chunks, c)
		b.repeats += len(c.repeated)
	}
	return r.end()
}

func (r *bookReader) group() *group {
	n := r.uvarint()
	if n >= uint64(len(r.groups)) {
		r.fail()
		return &group{}
	}
	return r.groups[n]
}

func (r *bookReader) position(base event.Position) event.Position {
	return base + event.Position(r.uvarint())
}

func (r *bookReader) chunk() *chunk {
	c := &chunk{}
	c.ids.lo = r.position(0)
	c.ids.hi = r.position(c.ids.lo)
	c.first = r.uvarint()
	c.last = c.first + r.uvarint()
	c.at = int64(r.uvarint())
	c.moved = r.uvarint() == 1
	c.open, c.closed, c.openBytes = int(r.uvarint()), int(r.uvarint()), int64(r.uvarint())
	c.oldest = r.varint()
	c.newest, c.lastSeen = c.oldest+r.varint(), c.oldest+r.varint()
	for range r.count(5) {
		t := tally{group: r.group(), entries: int(r.uvarint()), count: r.uvarint()}
		t.first, t.last = c.oldest+r.varint(), c.oldest+r.varint()
		c.tallies = append(c.tallies, t)
	}
	if n := r.count(3); n > 0 {
		c.repeated = make(map[event.Position]repeated, n)
		for range n {
			id := r.position(c.ids.lo)
			c.repeated[id] = repeated{r.uvarint(), c.oldest + r.varint()}
		}
	}
	c.all = r.closing()
	before := c.ids.lo
	for range r.count(2) {
		id := r.position(before)
		by := r.closing()
		if by == nil || id < before {
			r.fail()
		}
		c.closings = append(c.closings, closed{id, by})
		before = id
	}
	if c.ids.hi < c.ids.lo || c.last < c.first || c.at < 0 || c.open < 0 || c.closed < 0 || c.openBytes < 0 {
		r.fail()
	}
	return c
}

func (r *bookReader) closing() *closing {
	n := r.uvarint()
	switch {
	case n == 0:
		return nil
	case n <= uint64(len(r.closings)):
		return r.closings[n-1]
	case n > uint64(len(r.closings))+1:
		r.fail()
		return nil
	}
	c := &closing{state: State(r.byte()), at: r.varint(), by: r.string()}
	r.closings = append(r.closings, c)
	return c
}
