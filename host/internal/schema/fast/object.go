package fast

import (
	"slices"
	"sync/atomic"
)

// maxOthers is how many names that the program does not know an object may have.
const maxOthers = 128

// object judges the object whose first member begins at i.
func (m *Machine) object(n *node, i, depth, path int) (end int, failed uint64) {
	if depth > m.limits.Depth || n.unknown>>object&1 != 0 {
		return unsure, 0
	}
	raw, rules := m.raw, n.object
	failed = n.fails[object]
	i = m.space(i)
	if i < len(raw) && raw[i] == '}' {
		return i + 1, n.settle(failed | rules.missing(0, 0))
	}
	var (
		next  = &rules.first
		seen  uint64 // of the first 64 members, those that were read
		bloom uint64 // of the hashes of the others
		base  = len(m.others)
		count = 0
	)
	for {
		start := i + 1
		mem, h, length := rules.expected(next, raw, i), uint64(0), 0
		if mem != nil {
			h, length, i = mem.hash, len(mem.name), i+len(mem.quoted)
		} else if mem, h, length, i = m.name(rules, i); i == unsure {
			return unsure, 0
		}
		if mem.index >= 0 {
			if next.Load() != uint32(mem.index) {
				next.Store(uint32(mem.index))
			}
			next = &mem.next
		}
		if length > m.limits.String {
			return unsure, 0
		}
		if bit := uint64(1) << (mem.index & 63); uint(mem.index) < 64 {
			if seen&bit != 0 {
				return unsure, 0
			}
			seen |= bit
		} else if bloom = m.addOther(base, bloom, h); bloom == 0 {
			return unsure, 0
		}
		count++
		failed |= mem.fail
		if rules.namesAre != nil {
			more, ok := rules.nameFails(raw[start : start+length])
			if !ok {
				return unsure, 0
			}
			failed |= more
		}
		if i = m.space(i); i >= len(raw) {
			return unsure, 0
		}
		end, below := m.member(mem, i, depth, path+1+length)
		if end == unsure {
			return unsure, 0
		}
		failed |= below
		if i = m.space(end); i >= len(raw) {
			return unsure, 0
		}
		switch raw[i] {
		case ',':
			i = m.space(i + 1)
		case '}':
			m.values += count
			m.paths += count * (path + 1)
			m.others = m.others[:base]
			return i + 1, n.settle(failed | rules.missing(seen, count))
		default:
			return unsure, 0
		}
	}
}

// expected gives the member that came next in the text before, where it begins
// at i again; nil: it does not.
func (r *objectRules) expected(next *atomic.Uint32, raw []byte, i int) *member {
	if at := next.Load(); int(at) < len(r.members) {
		mem := r.members[at]
		if end := i + len(mem.quoted); end < len(raw) && string(raw[i:end]) == mem.quoted {
			return mem
		}
	}
	return nil
}

// missing tells what an object fails by what it has not, or has too much of.
func (r *objectRules) missing(seen uint64, count int) (failed uint64) {
	for i := range r.required {
		if need := &r.required[i]; need.members&^seen != 0 {
			failed |= need.bit
		}
	}
	return failed | countFails(r.counts, count)
}

// name reads the name that begins at i, and the colon. It tells what the program
// says of the name, its hash and its length, and where the value begins, or the
// space before it.
func (m *Machine) name(rules *objectRules, i int) (mem *member, h uint64, length, next int) {
	raw, start := m.raw, i+1
	if i >= len(raw) || raw[i] != '"' {
		return nil, 0, 0, unsure
	}
	end, h := endOfName(raw, start)
	if end == unsure {
		return nil, 0, 0, unsure
	}
	if mem = rules.names.find(rules.members, raw, start, end, h); mem == nil {
		if mem = rules.unnamed(raw[start:end]); mem == nil {
			return nil, 0, 0, unsure
		}
	}
	if i = m.space(end + 1); i >= len(raw) || raw[i] != ':' {
		return nil, 0, 0, unsure
	}
	return mem, h, end - start, i + 1
}

// unnamed tells what is said of a name that is not known; nil: that is not known
// either.
func (r *objectRules) unnamed(name []byte) *member {
	if r.patterns == nil {
		return r.other
	}
	set := 0
	for i, p := range r.patterns {
		if p.Match(name) {
			set |= 1 << i
		}
	}
	if set >= len(r.matched) {
		return nil
	}
	return r.matched[set]
}

// addOther takes in the hash of a name that has no bit of its own, into those of
// its object, which begin at base, and returns their bloom filter; 0: the name
// is there already, or may be, or there are too many.
func (m *Machine) addOther(base int, bloom, h uint64) uint64 {
	bit := uint64(1) << (h >> 58)
	known := m.others[base:]
	if bloom&bit != 0 && slices.Contains(known, h) || len(known) >= maxOthers {
		return 0
	}
	m.others = append(m.others, h)
	return bloom | bit
}

// nameFails tells what an object fails by a name; ok is false where that is all.
func (r *objectRules) nameFails(name []byte) (failed uint64, ok bool) {
	n := r.namesAre.node
	if n.unknown>>text&1 != 0 {
		return 0, false
	}
	failed, known := n.textFails(name, true)
	failed = n.settle(failed | n.fails[text])
	return r.namesAre.lift(failed), known && failed&hard == 0
}

// member judges the value of a member, which begins at i, and tells where it
// ends, and what its object fails by it.
func (m *Machine) member(mem *member, i, depth, path int) (end int, failed uint64) {
	judge := mem.node
	if mem.part >= 0 {
		part, known := m.chooser.Choose(m.notes)
		switch {
		case !known:
			m.later[mem.part] = i
		case part != nil && part.index == mem.part:
			judge = part.child.node
		}
	}
	if m.raw[i] == '"' { // as most are
		end, failed = m.text(judge, i)
	} else {
		end, failed = m.value(judge, i, depth, path)
	}
	if failed != 0 {
		if failed&hard != 0 {
			return unsure, 0
		}
		failed = mem.lift(failed)
	}
	if mem.note >= 0 && end != unsure {
		v := Value{Start: i, End: end, Kind: kindOf(m.raw[i])}
		if v.Kind == String {
			v.Start, v.End, v.Escaped = i+1, end-1, m.escaped
		}
		m.notes[mem.note] = v
	}
	return end, failed
}
