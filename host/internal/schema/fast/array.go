package fast

import "bytes"

// array judges the array whose first item begins at i.
func (m *Machine) array(n *node, i, depth, path int) (end int, failed uint64) {
	if depth > m.limits.Depth || n.unknown>>array&1 != 0 {
		return unsure, 0
	}
	rules, count, base := n.array, 0, len(m.spans)
	failed = n.fails[array]
	i = m.space(i)
	if i < len(m.raw) && m.raw[i] == ']' {
		return i + 1, n.settle(failed | countFails(rules.counts, 0))
	}
	for {
		c := &rules.rest
		if count < len(rules.first) {
			c = &rules.first[count]
		}
		end, below := m.value(c.node, i, depth, path+len("/0"))
		if end == unsure || below&hard != 0 {
			return unsure, 0
		}
		failed |= c.lift(below)
		count++
		if rules.unique != 0 {
			m.spans = append(m.spans, span{i, end})
		}
		if i = m.space(end); i >= len(m.raw) {
			return unsure, 0
		}
		switch m.raw[i] {
		case ']':
			m.values += count
			m.paths += count * (path + len("/0"))
			failed |= countFails(rules.counts, count)
			if rules.unique != 0 {
				equal, known := m.equalAmong(m.spans[base:])
				if !known {
					return unsure, 0
				}
				if equal {
					failed |= rules.unique
				}
				m.spans = m.spans[:base]
			}
			return i + 1, n.settle(failed)
		case ',':
			i = m.space(i + 1)
		default:
			return unsure, 0
		}
	}
}

// span is where a value is, with the quotes of a string.
type span struct{ start, end int }

// maxUnique is the most items that are compared with each other.
const maxUnique = 32

// equalAmong tells whether two of the values are equal; known is false where
// that takes more than a look at their bytes.
func (m *Machine) equalAmong(all []span) (equal, known bool) {
	if len(all) > maxUnique {
		return false, false
	}
	for i, a := range all {
		for _, b := range all[:i] {
			x, y := m.raw[a.start:a.end], m.raw[b.start:b.end]
			if bytes.Equal(x, y) {
				return true, true
			}
			if kindOf(x[0]) == kindOf(y[0]) && (!obvious(x) || !obvious(y)) {
				return false, false
			}
		}
	}
	return false, true
}

// obvious tells whether no other bytes stand for the same value.
func obvious(value []byte) bool {
	switch kindOf(value[0]) {
	case String:
		return bytes.IndexByte(value, '\\') < 0
	case Number:
		return !bytes.ContainsAny(value, ".eE") && string(value) != "-0"
	case Object, Array:
		return false
	}
	return true
}
