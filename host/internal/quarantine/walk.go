package quarantine

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// walker reads the matching entries of one source in a listing's order, a chunk
// at a time, without keeping the quarantine from changing meanwhile.
type walker struct {
	shelf *shelf
	query *query
	next  event.Position // the first id, in the listing's order, not yet read
	end   bool           // there is no such id
	chunk view           // what is read next, while found is empty
	found []found
	seen  int64 // first seen of the first found, or the best that the chunk may have
}

type found struct {
	record record
	by     *closing
}

func newWalker(s *shelf, q *query) *walker {
	w := &walker{shelf: s, query: q}
	if q.sign < 0 {
		w.next = math.MaxUint64
	}
	return w
}

// seek finds the next chunk that may have something; false: there is none.
func (w *walker) seek() bool {
	w.shelf.mu.RLock()
	defer w.shelf.mu.RUnlock()
	if w.end {
		return false
	}
	chunks := w.shelf.book.chunks
	i := w.shelf.book.chunkFrom(w.next)
	if w.query.sign < 0 {
		i = sort.Search(len(chunks), func(i int) bool { return chunks[i].ids.lo > w.next }) - 1
	}
	for ; i >= 0 && i < len(chunks); i += w.query.sign {
		if c := chunks[i]; w.query.mayMatch(c) {
			w.chunk, w.seen = c.view(), c.oldest
			if w.query.sign < 0 {
				w.seen = c.newest
			}
			return true
		}
	}
	return false
}

// read reads the chunk that seek found. Where it has changed places meanwhile,
// nothing is found and seek finds it again.
func (w *walker) read(ctx context.Context) error {
	v := &w.chunk
	var all []found
	err := w.shelf.scan(ctx, v, func(r *record) bool {
		by := v.closing(r.id)
		if w.ahead(r.id) && w.query.matches(w.shelf.source, r, by) {
			all = append(all, found{*r, by})
		}
		return true
	})
	if err != nil || w.shelf.removed(v.chunk) {
		return err
	}
	if w.query.sign < 0 {
		slices.Reverse(all)
		w.next, w.end = v.ids.lo-1, v.ids.lo == 0
	} else {
		w.next, w.end = v.ids.hi+1, v.ids.hi == math.MaxUint64
	}
	if w.found = all; len(all) > 0 {
		w.seen = all[0].record.first
	}
	return nil
}

// ahead reports whether an id is still to come.
func (w *walker) ahead(id event.Position) bool {
	return cmp.Compare(id, w.next)*w.query.sign >= 0
}

// take removes and returns the first found.
func (w *walker) take() (Entry, error) {
	f := &w.found[0]
	w.found = w.found[1:]
	if len(w.found) > 0 {
		w.seen = w.found[0].record.first
	}
	return w.shelf.entry(&f.record, f.by)
}

// walkers is a heap of walkers: first the one whose next entry comes first.
type walkers struct {
	all  []*walker
	sign int
}

func (w *walkers) Len() int { return len(w.all) }

func (w *walkers) Less(i, j int) bool {
	a, b := w.all[i], w.all[j]
	if a.seen != b.seen {
		return cmp.Compare(a.seen, b.seen)*w.sign < 0
	}
	if (len(a.found) == 0) != (len(b.found) == 0) {
		return len(a.found) == 0
	}
	return strings.Compare(string(a.shelf.source), string(b.shelf.source))*w.sign < 0
}

func (w *walkers) Swap(i, j int) { w.all[i], w.all[j] = w.all[j], w.all[i] }

func (w *walkers) Push(x any) { w.all = append(w.all, x.(*walker)) }

func (w *walkers) Pop() any {
	last := w.all[len(w.all)-1]
	w.all = w.all[:len(w.all)-1]
	return last
}
