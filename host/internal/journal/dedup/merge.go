package dedup

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// plan returns neighbours that are to be merged, oldest first, or nil.
//
// Slices are gathered, from the oldest on, to groups that fit one slice. A group
// that the next slice does not fit is merged whole. In the last one, which still
// grows, neighbours of like size are merged when there are fanIn of them. With
// up to 20 million ids each id is so merged once.
func (x *Index) plan() []*slice {
	x.mu.RLock()
	all := x.slices
	x.mu.RUnlock()
	first := 0
	for next := 1; next < len(all); next++ {
		if x.fitOne(all[first : next+1]) {
			continue
		}
		if next-first > 1 {
			return all[first:next]
		}
		first = next
	}
	if first == len(all) {
		return nil
	}
	return x.alike(all[first:])
}

// fitOne reports whether slices may be merged into one.
func (x *Index) fitOne(group []*slice) bool {
	ids := 0
	for _, s := range group {
		if s.damaged() {
			return false
		}
		ids += s.ids
	}
	return ids <= x.sliceIDs && group[len(group)-1].to-group[0].from <= x.sliceSpan
}

// alike returns the last slices of a group where fanIn of them are of like size.
func (x *Index) alike(group []*slice) []*slice {
	n := len(group)
	if n < fanIn {
		return nil
	}
	tail := group[n-fanIn:]
	for _, s := range tail {
		if x.tier(s) != x.tier(group[n-1]) {
			return nil
		}
	}
	return tail
}

// tier is how often the ids of a slice have been merged, by their number.
func (x *Index) tier(s *slice) int {
	tier := 0
	for n := s.ids; n >= x.tableIDs*fanIn/2; n /= fanIn {
		tier++
	}
	return tier
}

// errInput ends a merge one of whose slices turned out to be damaged. That slice
// is marked, so it is not merged again.
var errInput = errors.New("a slice to merge is damaged")

// merge replaces a group of slices by one.
func (x *Index) merge(ctx context.Context, group []*slice) error {
	oldest, newest := group[0], group[len(group)-1]
	ids := 0
	for _, s := range group {
		ids += s.ids
	}
	s, err := x.write(span{oldest.after, newest.upTo, oldest.from, newest.to}, ids, func(w *writer) error {
		return x.mergeInto(ctx, w, group)
	})
	if errors.Is(err, errInput) {
		return nil
	}
	if err != nil {
		return err
	}
	return x.publish(s, func() bool { return x.replaceGroup(group, s) })
}

// replaceGroup puts a slice in the place of those that it was merged from. It
// reports false where they are not all there any more.
func (x *Index) replaceGroup(group []*slice, s *slice) bool {
	at := slices.Index(x.slices, group[0])
	if at < 0 || !slices.Equal(x.slices[at:min(at+len(group), len(x.slices))], group) {
		return false
	}
	x.setSlices(slices.Concat(x.slices[:at], []*slice{s}, x.slices[at+len(group):]))
	x.dead = append(x.dead, group...)
	return true
}

const (
	// betweenWrites is after how many merged entries a frozen table gets its
	// turn, some ten milliseconds.
	betweenWrites = 1 << 16
	// behind is how many slices say that merges do not keep up. Then a frozen
	// table waits for the end of a merge, and Reserve with it: lookups that ask
	// ever more filters would be no help to anyone.
	behind = parts + fanIn
)

func (x *Index) mergeInto(ctx context.Context, w *writer, group []*slice) error {
	heads := make([]*cursor, 0, len(group)) // newest first
	for _, s := range slices.Backward(group) {
		c := &cursor{slice: s}
		if ok, err := x.advance(c); err != nil {
			return err
		} else if ok {
			heads = append(heads, c)
		}
	}
	var last Key
	for n := 0; len(heads) > 0; n++ {
		if n%betweenWrites == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := x.writeBetween(ctx); err != nil {
				return err
			}
		}
		least := 0
		for i := 1; i < len(heads); i++ {
			if heads[i].key.less(heads[least].key) {
				least = i
			}
		}
		c := heads[least]
		if c.key != last || n == 0 { // of equal keys the newest comes first
			last = c.key
			if err := w.add(c.entry); err != nil {
				return err
			}
		}
		ok, err := x.advance(c)
		if err != nil {
			return err
		}
		if !ok {
			heads = slices.Delete(heads, least, least+1)
		}
	}
	return nil
}

// writeBetween puts a frozen table on disk in the middle of a merge.
func (x *Index) writeBetween(ctx context.Context) error {
	x.mu.RLock()
	n := len(x.slices)
	x.mu.RUnlock()
	if n >= behind {
		return nil
	}
	return x.writeFrozen(ctx)
}

// cursor goes through the entries of a slice.
type cursor struct {
	entry // the current one
	slice *slice
	next  int    // the bucket to read next
	page  []byte // the bucket read last
	rest  []byte // of page, what comes after entry
}

// advance goes to the next entry, where there is one.
func (x *Index) advance(c *cursor) (bool, error) {
	for len(c.rest) == 0 {
		if c.next == len(c.slice.buckets)-1 {
			return false, nil
		}
		page, err := c.slice.read(c.next, c.page)
		if err != nil {
			x.damage(c.slice, err)
			return false, errInput
		}
		c.next++
		c.page, c.rest = page, page
	}
	c.key.hi = binary.BigEndian.Uint64(c.rest)
	c.key.lo = binary.BigEndian.Uint64(c.rest[8:])
	c.pos = event.Position(binary.BigEndian.Uint64(c.rest[16:]))
	c.rest = c.rest[entrySize:]
	return true, nil
}
