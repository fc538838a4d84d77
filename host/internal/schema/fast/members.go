package fast

import (
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// maxPatterns is the most patterns of names for which every set of those that
// match has a program.
const maxPatterns = 4

// finishObject adds what holds of members.
func (n *nodeBuilder) finishObject() {
	rules, names := &objectRules{}, n.names()
	if len(names) > maxNames {
		n.cannot(1 << object)
		return
	}
	index := make(map[string]int, len(names))
	for i, name := range names {
		index[name] = i
		rules.members = append(rules.members, n.named(i, name))
	}
	rules.names = newNameTable(rules.members)
	n.finishNeeds(rules, index)
	for _, a := range n.list {
		if s := a.schema; s.MinProperties != -1 || s.MaxProperties != -1 {
			rules.counts = append(rules.counts, countCheck{min: s.MinProperties, max: n.bound(s.MaxProperties, 1<<object), bit: a.bit})
		}
	}
	n.finishOthers(rules)
	var ofNames []applied
	for _, a := range n.list {
		if s := a.schema.PropertyNames; s != nil {
			ofNames = append(ofNames, applied{s, a.bit})
		}
	}
	if ofNames != nil {
		c := n.child(ofNames, nil)
		rules.namesAre = &c
	}
	other := rules.other
	if len(names) > 0 || other == nil || other.node != anything || other.fail != 0 || rules.counts != nil || rules.namesAre != nil {
		n.node.object = rules
	}
}

// names are those that the program knows, the ones that must be there first.
func (n *nodeBuilder) names() []string {
	var needed, known []string
	for _, need := range n.needs {
		needed = append(needed, need.names...)
	}
	for _, a := range n.list {
		known = append(known, sorted(a.schema.Properties)...)
	}
	if n.notes != nil {
		known = append(known, sorted(n.notes.below)...)
	}
	for _, p := range n.parts {
		known = append(known, p.name)
	}
	slices.Sort(needed)
	first := slices.Compact(needed)
	slices.Sort(known)
	all := slices.Clone(first)
	for _, name := range slices.Compact(known) {
		if _, found := slices.BinarySearch(first, name); !found {
			all = append(all, name)
		}
	}
	return all
}

func (n *nodeBuilder) finishNeeds(rules *objectRules, index map[string]int) {
	for _, need := range n.needs {
		r := required{bit: need.bit}
		for _, name := range need.names {
			if index[name] >= 64 {
				n.cannot(1 << object)
				return
			}
			r.members |= 1 << index[name]
		}
		i := slices.IndexFunc(rules.required, func(other required) bool { return other.bit == r.bit })
		if i >= 0 {
			rules.required[i].members |= r.members
		} else {
			rules.required = append(rules.required, r)
		}
	}
}

// named makes what is said of a name that is known.
func (n *nodeBuilder) named(index int, name string) *member {
	m, below := n.member(func(s *jsonschema.Schema) *jsonschema.Schema { return s.Properties[name] },
		func(p *regexp.Regexp) bool { return p.MatchString(name) })
	m.index, m.name, m.quoted = index, name, `"`+name+`":`
	m.hash = hash([]byte(name), 0, len(name))
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		m.quoted = "\x00" // it is never written as it reads
	}
	var notes *noteTree
	if n.notes != nil {
		if notes = n.notes.below[name]; notes != nil {
			m.note = notes.note
			if notes.below == nil {
				notes = nil
			}
		}
	}
	for i := range n.parts {
		if n.parts[i].name == name {
			m.part = i
			n.parts[i].below, n.parts[i].notes = below, notes
		}
	}
	m.child = n.child(below, notes)
	return m
}

// finishOthers makes what is said of names that are not known.
func (n *nodeBuilder) finishOthers(rules *objectRules) {
	nothing := func(*jsonschema.Schema) *jsonschema.Schema { return nil }
	var patterns []*regexp.Regexp
	for _, a := range n.list {
		for _, p := range patternsOf(a.schema) {
			same := func(q *regexp.Regexp) bool { return q.String() == p.String() }
			if !slices.ContainsFunc(patterns, same) {
				patterns = append(patterns, p)
			}
		}
	}
	if len(patterns) == 0 {
		m, below := n.member(nothing, nil)
		m.child = n.child(below, nil)
		rules.other = m
		return
	}
	rules.patterns = patterns
	if len(patterns) > maxPatterns {
		return
	}
	for set := range 1 << len(patterns) {
		m, below := n.member(nothing, func(p *regexp.Regexp) bool {
			i := slices.IndexFunc(patterns, func(q *regexp.Regexp) bool { return q.String() == p.String() })
			return set>>i&1 != 0
		})
		m.child = n.child(below, nil)
		rules.matched = append(rules.matched, m)
	}
}

// member makes what is said of a name, and gives the schemas of its value.
func (n *nodeBuilder) member(property func(*jsonschema.Schema) *jsonschema.Schema, matches func(*regexp.Regexp) bool) (m *member, below []applied) {
	m = &member{index: -1, note: -1, part: -1}
	for _, a := range n.list {
		known := false
		if s := property(a.schema); s != nil {
			below, known = append(below, applied{s, a.bit}), true
		}
		for _, p := range patternsOf(a.schema) {
			if matches(p) {
				below, known = append(below, applied{a.schema.PatternProperties[p], a.bit}), true
			}
		}
		if known {
			continue
		}
		switch more := a.schema.AdditionalProperties.(type) {
		case bool:
			if !more {
				m.fail |= a.bit
			}
		case *jsonschema.Schema:
			below = append(below, applied{more, a.bit})
		}
	}
	return m, below
}
