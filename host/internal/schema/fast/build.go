package fast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// builder makes nodes, one for each set of schemas that can apply to a value
// together: so a schema that refers to itself has a program of finite size.
type builder struct {
	nodes map[string]*node
	ids   map[*jsonschema.Schema]int
	parts []spot // of the first node that is built, the root
}

// maxNodes bounds a program; what would be beyond it is not known.
const maxNodes = 20_000

// applied is a schema that applies to a value, and the bit of the value's node,
// or of its parent's, that is set where the value fails it.
type applied struct {
	schema *jsonschema.Schema
	bit    uint64
}

// child makes the program of a value that schemas apply to. The bits are those
// of the value around it.
func (b *builder) child(all []applied, notes *noteTree) child {
	var must, may []*jsonschema.Schema
	var up []uint64
	for _, a := range all {
		if a.bit == hard {
			if !slices.Contains(must, a.schema) {
				must = append(must, a.schema)
			}
		}
	}
	for _, a := range all {
		if a.bit == hard || slices.Contains(must, a.schema) {
			continue
		}
		if i := slices.Index(may, a.schema); i >= 0 {
			up[i] |= a.bit
			continue
		}
		may = append(may, a.schema)
		up = append(up, a.bit)
	}
	if len(all) == 0 && notes == nil && b.parts == nil {
		return child{node: anything}
	}
	key := b.key(must, may, notes)
	if n := b.nodes[key]; n != nil {
		return child{n, up}
	}
	if len(may) >= maxBits || len(b.nodes) >= maxNodes {
		return child{node: nowhere}
	}
	n := &nodeBuilder{builder: b, node: new(node), notes: notes, bits: 1 + len(may), seen: make(map[applied]bool)}
	b.nodes[key] = n.node
	n.parts, b.parts = b.parts, nil
	for _, s := range must {
		n.apply(s, hard)
	}
	for i, s := range may {
		n.apply(s, 2<<i)
	}
	n.finish()
	return child{n.node, up}
}

func (b *builder) key(must, may []*jsonschema.Schema, notes *noteTree) string {
	var key strings.Builder
	for _, list := range [][]*jsonschema.Schema{must, may} {
		for _, s := range list {
			id, ok := b.ids[s]
			if !ok {
				id = len(b.ids)
				b.ids[s] = id
			}
			fmt.Fprint(&key, id, " ")
		}
		key.WriteByte('|')
	}
	if notes != nil {
		fmt.Fprintf(&key, "%p", notes)
	}
	return key.String()
}

// maxBits is how many alternatives a node can tell apart, with what is hard.
const maxBits = 64

// nodeBuilder makes one node.
type nodeBuilder struct {
	*builder
	node    *node
	notes   *noteTree // nil: nothing is noted
	bits    int       // taken
	list    []applied // all schemas that apply, those in other schemas too
	seen    map[applied]bool
	within  []*jsonschema.Schema // that apply is in
	needs   []need
	allowed []allowed
	parts   []spot
}

// need are members that must be there, else bit is set.
type need struct {
	names []string
	bit   uint64
}

// cannot says that the program does not know about values of some sorts.
func (n *nodeBuilder) cannot(of uint8) { n.node.unknown |= of }

// fail sets a bit for values of some sorts.
func (n *nodeBuilder) fail(of uint8, bit uint64) {
	for s := range sorts {
		if of>>s&1 != 0 {
			n.node.fails[s] |= bit
		}
	}
}

// alternative gives a bit to what may fail although the value is good.
func (n *nodeBuilder) alternative() uint64 {
	if n.bits >= maxBits {
		n.cannot(every)
		return hard
	}
	n.bits++
	return 1 << (n.bits - 1)
}

// judged gives a bit to a schema that may fail.
func (n *nodeBuilder) judged(s *jsonschema.Schema) uint64 {
	bit := n.alternative()
	n.apply(s, bit)
	return bit
}

func (n *nodeBuilder) rule(op op, a, b, bit uint64) {
	n.node.rules = append(n.node.rules, rule{op, a, b, bit})
}

// apply adds what a schema says of the value; bit is set where it fails.
func (n *nodeBuilder) apply(s *jsonschema.Schema, bit uint64) {
	if slices.Contains(n.within, s) {
		n.cannot(every) // it never ends
		return
	}
	if n.seen[applied{s, bit}] || n.seen[applied{s, hard}] || n.node.unknown == every {
		return
	}
	n.seen[applied{s, bit}] = true
	n.within = append(n.within, s)
	defer func() { n.within = n.within[:len(n.within)-1] }()
	if s.Always != nil {
		if !*s.Always {
			n.fail(every, bit)
		}
		return
	}
	n.list = append(n.list, applied{s, bit})
	n.ofAll(s, bit)
	n.ofTexts(s, bit)
	n.ofNumbers(s, bit)
	n.ofArrays(s)
	n.ofObjects(s, bit)
	n.combined(s, bit)
}

// combined adds what other schemas say of the same value.
func (n *nodeBuilder) combined(s *jsonschema.Schema, bit uint64) {
	if s.RecursiveRef != nil || s.DynamicRef != nil || len(s.Extensions) > 0 {
		n.cannot(every)
	}
	if s.Ref != nil {
		n.apply(s.Ref, bit)
	}
	for _, each := range s.AllOf {
		n.apply(each, bit)
	}
	if len(s.AnyOf) > 0 {
		n.rule(anyHolds, n.alternatives(s.AnyOf), 0, bit)
	}
	if len(s.OneOf) > 0 {
		n.rule(oneHolds, n.alternatives(s.OneOf), 0, bit)
	}
	if s.Not != nil {
		n.rule(noneHolds, n.judged(s.Not), 0, bit)
	}
	if s.If != nil {
		condition := n.judged(s.If)
		if s.Then != nil {
			n.rule(thenHolds, condition, n.judged(s.Then), bit)
		}
		if s.Else != nil {
			n.rule(otherHolds, condition, n.judged(s.Else), bit)
		}
	}
}

func (n *nodeBuilder) alternatives(all []*jsonschema.Schema) (set uint64) {
	for _, s := range all {
		set |= n.judged(s)
	}
	return set
}

// finish makes the parts that need to know all schemas that apply.
func (n *nodeBuilder) finish() {
	n.node.array, n.node.object = anything.array, anything.object
	if n.node.unknown == every {
		*n.node = *nowhere
		return
	}
	n.finishTexts()
	n.finishArray()
	n.finishObject()
}

// patternsOf gives a schema's patterns in a fixed order.
func patternsOf(s *jsonschema.Schema) []*regexp.Regexp {
	var all []*regexp.Regexp
	for p := range s.PatternProperties {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *regexp.Regexp) int { return strings.Compare(a.String(), b.String()) })
	return all
}
