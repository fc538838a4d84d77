package fast

import "sync/atomic"

// maxOthers is how many names that the program does not know an object may have.
const maxOthers = 128

// reading is an object that is being read.
type reading struct {
	rules  *objectRules
	seen   uint64 // of the first 64 members, those that were read
	bloom  uint64 // of the hashes of the others
	base   int    // in Machine.others, where the object's begin
	failed uint64
	count  int
	name   int // bytes of the name that was read last
	path   int // bytes of the object's own path
	depth  int
}

// object judges the object whose first member begins at i.
func (m *Machine) object(n *node, i, depth, path int) (end int, failed uint64) {
	if depth > m.limits.Depth || n.unknown>>object&1 != 0 {
		return unsure, 0
	}
	o := reading{rules: n.object, failed: n.fails[object], base: len(m.others), path: path, depth: depth}
	raw, next := m.raw, &n.object.first
	i = m.space(i)
	if i < len(raw) && raw[i] == '}' {
		return i + 1, n.settle(o.failed | o.missing())
	}
	for {
		mem := o.rules.expected(next, raw, i)
		if mem != nil {
			i += len(mem.quoted)
			if !m.isNew(&o, mem, i-len(mem.name)-2, i-2, mem.hash) {
				return unsure, 0
			}
		} else {
			if mem, i = m.name(&o, i); i == unsure {
				return unsure, 0
			}
			if mem.index >= 0 {
				next.Store(uint32(mem.index))
			}
		}
		if mem.index >= 0 {
			next = &mem.next
		}
		if i = m.space(i); i >= len(raw) {
			return unsure, 0
		}
		if i = m.member(&o, mem, i); i == unsure {
			return unsure, 0
		}
		if i = m.space(i); i >= len(raw) {
			return unsure, 0
		}
		switch raw[i] {
		case ',':
			i = m.space(i + 1)
		case '}':
			m.values += o.count
			m.paths += o.count * (path + 1)
			m.others = m.others[:o.base]
			return i + 1, n.settle(o.failed | o.missing())
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

// missing tells what an object fails by what it has not.
func (o *reading) missing() (failed uint64) {
	for i := range o.rules.required {
		if r := &o.rules.required[i]; r.members&^o.seen != 0 {
			failed |= r.bit
		}
	}
	return failed | countFails(o.rules.counts, o.count)
}

// name reads the name that begins at i, and the colon, and tells what the
// program says of it.
func (m *Machine) name(o *reading, i int) (mem *member, end int) {
	if i >= len(m.raw) || m.raw[i] != '"' {
		return nil, unsure
	}
	start := i + 1
	end, h := endOfName(m.raw, start)
	if end == unsure {
		return nil, unsure
	}
	mem = o.rules.names.find(o.rules.members, m.raw, start, end, h)
	if mem == nil {
		if mem = o.rules.unnamed(m.raw[start:end]); mem == nil {
			return nil, unsure
		}
	}
	if !m.isNew(o, mem, start, end, h) {
		return nil, unsure
	}
	i = m.space(end + 1)
	if i+1 >= len(m.raw) || m.raw[i] != ':' {
		return nil, unsure
	}
	return mem, i + 1
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

// isNew takes in the name raw[start:end] of an object, which has hash h; false: it is there
// already, or may be, or cannot be judged.
func (m *Machine) isNew(o *reading, mem *member, start, end int, h uint64) bool {
	if end-start > m.limits.String {
		return false
	}
	o.count++
	o.name = end - start
	o.failed |= mem.fail
	if names := o.rules.namesAre; names != nil {
		if names.node.unknown>>text&1 != 0 {
			return false
		}
		failed, known := names.node.textFails(m.raw[start:end], true)
		failed = names.node.settle(failed | names.node.fails[text])
		if !known || failed&hard != 0 {
			return false
		}
		o.failed |= names.lift(failed)
	}
	if uint(mem.index) < 64 {
		bit := uint64(1) << mem.index
		isNew := o.seen&bit == 0
		o.seen |= bit
		return isNew
	}
	bit := uint64(1) << (h >> 58)
	known := m.others[o.base:]
	if o.bloom&bit != 0 {
		for _, other := range known {
			if other == h {
				return false
			}
		}
	}
	o.bloom |= bit
	m.others = append(m.others, h)
	return len(known) < maxOthers
}

// member judges the value of a member, which begins at i, and tells where it
// ends.
func (m *Machine) member(o *reading, mem *member, i int) int {
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
	var end int
	var failed uint64
	if m.raw[i] == '"' { // as most are
		end, failed = m.text(judge, i)
	} else {
		end, failed = m.value(judge, i, o.depth, o.path+1+o.name)
	}
	if failed != 0 {
		if failed&hard != 0 {
			return unsure
		}
		o.failed |= mem.lift(failed)
	}
	if mem.note >= 0 && end != unsure {
		v := Value{Start: i, End: end, Kind: kindOf(m.raw[i])}
		if v.Kind == String {
			v.Start, v.End, v.Escaped = i+1, end-1, m.escaped
		}
		m.notes[mem.note] = v
	}
	return end
}
