package quarantine

import "github.com/wellhead-io/wellhead/host/internal/event"

// plan is what a commit writes: which entries are refused again, which are new,
// and which old ones make room for them.
type plan struct {
	again   []repeat
	againAt map[key]int
	fresh   []*draft
	freshAt map[key]*draft
	need    int64          // what the new entries count
	freed   int64          // what forgetting gives back
	forget  event.Position // the last entry to forget; 0: none
}

// plan decides on what has waited. An Add whose new entries find no room fails
// as a whole; one that only repeats entries needs none. The caller has the turn.
func (s *shelf) plan(adds []*adding) *plan {
	p := &plan{againAt: make(map[key]int), freshAt: make(map[key]*draft)}
	full := s.full
	for _, a := range adds {
		var need int64
		for _, d := range a.drafts {
			if p.freshAt[d.key] == nil && !s.recognises(d.key) {
				need += charge(d.body)
			}
		}
		if need > 0 {
			if full = !s.fit(p, need); full {
				a.err = &FullError{s.source, s.limits.maxBytes}
				continue
			}
			p.need += need
		}
		for _, d := range a.drafts {
			s.place(p, d)
		}
	}
	s.mu.Lock()
	s.full = full
	s.mu.Unlock()
	return p
}

// recognises reports whether a refusal repeats an entry.
func (s *shelf) recognises(k key) bool {
	slot, ok := s.book.recent.slots[k]
	if !ok {
		return false
	}
	if s.book.repeats < maxRepeated {
		return true
	}
	c := s.book.find(slot.id)
	if c == nil {
		return false
	}
	_, ok = c.repeated[slot.id]
	return ok
}

func (s *shelf) place(p *plan, d *draft) {
	if same := p.freshAt[d.key]; same != nil {
		same.count += d.count
		return
	}
	if !s.recognises(d.key) {
		p.freshAt[d.key] = d
		p.fresh = append(p.fresh, d)
		return
	}
	i, ok := p.againAt[d.key]
	if !ok {
		i = len(p.again)
		p.againAt[d.key] = i
		p.again = append(p.again, repeat{key: d.key})
	}
	p.again[i].count += d.count
}

// fit makes room for new entries within the limit, by forgetting the oldest
// where that is what to do at the limit.
func (s *shelf) fit(p *plan, need int64) bool {
	room := s.limits.maxBytes - s.book.openBytes() - p.need - need
	if room+p.freed >= 0 {
		return true
	}
	if !s.limits.dropOldest || p.need+need > s.limits.maxBytes {
		return false
	}
	for _, c := range s.book.chunks {
		if c.ids.hi <= p.forget {
			continue
		}
		p.forget = c.ids.hi
		if p.freed += c.openBytes; room+p.freed >= 0 {
			break
		}
	}
	return true
}

// records encodes the plan. Repeats come first, so that they count for entries
// that are then forgotten.
func (p *plan) records(now int64) [][]byte {
	var out [][]byte
	const most = maxAppend / 32
	for from := 0; from < len(p.again); from += most {
		r := repeats{at: now, items: p.again[from:min(from+most, len(p.again))]}
		out = append(out, r.encode())
	}
	if p.forget > 0 {
		out = append(out, encodeForget(p.forget, dropped))
	}
	for _, d := range p.fresh {
		out = append(out, d.encode(now))
	}
	return out
}
