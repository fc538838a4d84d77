package quarantine

import "github.com/wellhead-io/wellhead/host/internal/event"

// maxRecent is how many of a source's newest open entries are recognised when
// they are refused again. An older one becomes a new entry.
const maxRecent = 1024

// recent recognises refusals: by key, the newest entries that are open.
type recent struct {
	slots map[key]slot
	order []added // oldest first; may hold some that are not a slot's last
	turns uint64
}

type slot struct {
	id    event.Position
	group *group
	turn  uint64 // when it was last added
}

type added struct {
	key key
	n   uint64
}

func newRecent() recent { return recent{slots: make(map[key]slot)} }

// add makes an entry the newest, also one that is there.
func (r *recent) add(k key, id event.Position, g *group) {
	r.turns++
	r.slots[k] = slot{id, g, r.turns}
	r.order = append(r.order, added{k, r.turns})
	for len(r.slots) > maxRecent {
		if oldest := r.order[0]; r.slots[oldest.key].turn == oldest.n {
			delete(r.slots, oldest.key)
		}
		r.order = r.order[1:]
	}
	if len(r.order) > 2*maxRecent {
		r.tidy()
	}
}

// tidy leaves one turn for each slot in the order.
func (r *recent) tidy() {
	kept := make([]added, 0, maxRecent+1)
	for _, t := range r.order {
		if r.slots[t.key].turn == t.n {
			kept = append(kept, t)
		}
	}
	r.order = kept
}

// forget drops the entries that gone says are not open any more.
func (r *recent) forget(gone func(event.Position) bool) {
	for k, s := range r.slots {
		if gone(s.id) {
			delete(r.slots, k)
		}
	}
	r.tidy()
}
