package fast

import "bytes"

// Limits are what a text may be and no more. What is beyond them is left to
// others to refuse.
type Limits struct {
	Depth    int // of nested objects and arrays
	Number   int // characters of a number
	Exponent int // of a number, above or below 0
	String   int // bytes of a string or a name, escapes as written
	Values   int // of the whole text
	Paths    int // bytes of the JSON Pointers of all values together
}

// Machine runs programs. It can be used again and again, by one goroutine at a
// time, and allocates nothing once it has run.
type Machine struct {
	limits  Limits
	raw     []byte
	notes   []Value
	chooser Chooser
	lines   bool
	escaped bool // the string that was read last
	values  int
	paths   int
	others  []uint64 // hashes of the names of the objects that are being read
	spans   []span   // of items that must be unique
	later   []int    // by part: where the member begins that is to be judged again
	scratch []byte   // a string without its escapes
}

// Text is what a Machine found out about a text.
type Text struct {
	Begin, End int  // of the value, without the space around it
	Lines      bool // there are line breaks between tokens
}

// unsure is the end of a value of which the machine does not know.
const unsure = -1

// maxScratch is the longest text without escapes that a machine keeps the memory
// of.
const maxScratch = 64 << 10

// Run judges raw: true means that it is JSON in UTF-8, within the limits,
// without an escape in a name or a name that is twice in an object, and good by
// the program, which chooser completes. False means nothing.
//
// chooser may be nil where the program has no parts. It notes in notes where the members are that the program was told of; notes
// are only right where Run is true.
func (m *Machine) Run(p *Program, raw []byte, limits Limits, notes []Value, chooser Chooser) (Text, bool) {
	clear(notes)
	m.limits, m.raw, m.notes, m.chooser = limits, raw, notes, chooser
	m.lines, m.values, m.paths = false, 1, 0
	m.others, m.spans, m.later = m.others[:0], m.spans[:0], m.later[:0]
	for range p.parts {
		m.later = append(m.later, 0)
	}
	t, ok := m.run(p)
	m.raw, m.notes, m.chooser = nil, nil, nil
	if cap(m.scratch) > maxScratch {
		m.scratch = nil
	}
	return t, ok
}

func (m *Machine) run(p *Program) (Text, bool) {
	begin := m.space(0)
	end, failed := m.value(p.root, begin, 0, 0)
	if end == unsure || failed&hard != 0 || m.space(end) < len(m.raw) {
		return Text{}, false
	}
	for i, start := range m.later {
		if start == 0 {
			continue
		}
		part, _ := m.chooser.Choose(m.notes)
		if part == nil || part.index != i {
			continue
		}
		if at, failed := m.value(part.child.node, start, 1, len(p.parts[i].name)+1); at == unsure || failed&hard != 0 {
			return Text{}, false
		}
	}
	// A path is as long as that of the value around it and its own name, which
	// stands in the text.
	if m.values > m.limits.Values || m.paths+len(m.raw) > m.limits.Paths {
		return Text{}, false
	}
	return Text{Begin: begin, End: end, Lines: m.lines}, true
}

// space skips space from i on.
func (m *Machine) space(i int) int {
	if i < len(m.raw) && m.raw[i] > ' ' {
		return i
	}
	return m.moreSpace(i)
}

func (m *Machine) moreSpace(i int) int {
	for i < len(m.raw) {
		switch m.raw[i] {
		case '\n', '\r':
			m.lines = true
		case ' ', '\t':
		default:
			return i
		}
		i++
	}
	return i
}

// value judges the value that begins at i, in depth objects and arrays, whose
// path has so many bytes. It tells where the value ends, and what of the node
// it fails.
func (m *Machine) value(n *node, i, depth, path int) (end int, failed uint64) {
	if i >= len(m.raw) {
		return unsure, 0
	}
	switch m.raw[i] {
	case '"':
		return m.text(n, i)
	case '{':
		return m.object(n, i+1, depth+1, path)
	case '[':
		return m.array(n, i+1, depth+1, path)
	case 't':
		return m.word(n, i, "true", isTrue)
	case 'f':
		return m.word(n, i, "false", isFalse)
	case 'n':
		return m.word(n, i, "null", null)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return m.number(n, i)
	}
	return unsure, 0
}

func (m *Machine) word(n *node, i int, w string, s sort) (end int, failed uint64) {
	if n.unknown>>s&1 != 0 || !bytes.HasPrefix(m.raw[i:], []byte(w)) {
		return unsure, 0
	}
	return i + len(w), n.settle(n.fails[s])
}
