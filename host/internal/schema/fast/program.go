package fast

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/schema"
)

// Root says what a program is to hold.
type Root struct {
	All []*schema.Schema // of which each must hold
	Any []*schema.Schema // of which one must hold, where there are any
	// Notes are the members whose place is noted, each by the names that lead to
	// it. The notes of a run are in this order.
	Notes [][]string
	// Usual are members that texts often have, by the names that lead to each. The
	// program reads them faster, though the schemas may say nothing of them.
	Usual [][]string
	// Parts are members of the value itself of which more may have to hold than
	// the schemas say, by what else is in it.
	Parts []string
}

// Program judges texts. It never changes, and is safe for concurrent use.
type Program struct {
	root  *node
	parts []spot
}

// spot is a member that Parts named, and what the schemas say of it.
type spot struct {
	name  string
	below []applied
	notes *noteTree
}

// Part is what else must hold of one of the program's parts.
type Part struct {
	index int
	child child
}

// Chooser tells which Part holds by what was noted so far: nil for none. known
// is false as long as that cannot be told; it is asked again at the end.
type Chooser interface {
	Choose(notes []Value) (part *Part, known bool)
}

// New builds the program of a Root. It takes time in proportion to the schemas'
// size. What it cannot tell from, the program does not know.
func New(r Root) *Program {
	return build(compiled(r.All), compiled(r.Any), r)
}

func compiled(all []*schema.Schema) []*jsonschema.Schema {
	out := make([]*jsonschema.Schema, len(all))
	for i, s := range all {
		out[i] = s.Compiled()
	}
	return out
}

func build(all, some []*jsonschema.Schema, r Root) *Program {
	p := &Program{}
	notes := &noteTree{note: -1}
	for i, path := range r.Notes {
		notes.add(path, i)
	}
	for _, path := range r.Usual {
		notes.add(path, -1)
	}
	for _, name := range r.Parts {
		p.parts = append(p.parts, spot{name: name, notes: notes.below[name]})
	}
	var roots []applied
	for _, s := range all {
		roots = append(roots, applied{s, hard})
	}
	if len(some) > 0 {
		roots = append(roots, applied{anyOf(some), hard})
	}
	b := &builder{nodes: make(map[string]*node), ids: make(map[*jsonschema.Schema]int), parts: p.parts}
	p.root = b.child(roots, notes).node
	return p
}

// Part builds what s says of the member name, which is one of the program's
// parts, beside what the program says of it itself.
func (p *Program) Part(name string, s *schema.Schema) *Part {
	for i, at := range p.parts {
		if at.name == name {
			b := &builder{nodes: make(map[string]*node), ids: make(map[*jsonschema.Schema]int)}
			below := slices.Concat(at.below, []applied{{s.Compiled(), hard}})
			return &Part{index: i, child: b.child(below, at.notes)}
		}
	}
	return &Part{index: -1}
}

// anyOf is the schema that one of several must hold.
func anyOf(some []*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{
		AnyOf: some, MinProperties: -1, MaxProperties: -1, MinItems: -1, MaxItems: -1, MinLength: -1, MaxLength: -1,
		MinContains: 1, MaxContains: -1,
	}
}

// noteTree has the members that the program knows beside those that schemas
// name, and where they are noted.
type noteTree struct {
	note  int // -1: the value is not noted
	below map[string]*noteTree
}

func (t *noteTree) add(path []string, note int) {
	if len(path) == 0 {
		t.note = max(t.note, note)
		return
	}
	if t.below == nil {
		t.below = make(map[string]*noteTree)
	}
	next := t.below[path[0]]
	if next == nil {
		next = &noteTree{note: -1}
		t.below[path[0]] = next
	}
	next.add(path[1:], note)
}
