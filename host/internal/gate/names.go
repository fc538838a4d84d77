package gate

import (
	"bytes"
	"hash/maphash"

	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// nameSet holds the names of the members of all objects of a text. Names are
// compared as they read once unescaped, since that is how a decoder takes them.
type nameSet struct {
	raw   []byte
	seed  maphash.Seed
	slots []slot // of a power of two; at most three of four are taken
	taken int
	buf   []byte // names that were unescaped
}

// slot is one name of one object. The zero slot is free: no object is 0.
type slot struct {
	hash    uint32
	object  uint32
	start   uint32 // in raw, or in buf
	length  uint32
	escaped bool
}

const (
	fewSlots = 128
	// manySlots is the largest table that is kept for the next text.
	manySlots = 1 << 14
)

// reset empties the set for the members of raw.
func (n *nameSet) reset(raw []byte) {
	n.raw = raw
	if n.slots == nil {
		n.seed = maphash.MakeSeed()
		n.slots = make([]slot, fewSlots)
	} else {
		clear(n.slots)
	}
	n.taken = 0
	n.buf = n.buf[:0]
}

// unescape reads a name that has escapes. The result is valid until reset.
func (n *nameSet) unescape(name []byte) []byte {
	start := len(n.buf)
	n.buf = fast.AppendUnescaped(n.buf, name)
	return n.buf[start:]
}

// add takes in a name of an object and tells whether it is new there.
func (n *nameSet) add(object uint32, name []byte, escaped bool, start int) bool {
	if n.taken*4 >= len(n.slots)*3 {
		n.grow()
	}
	if escaped {
		start = len(n.buf) - len(name)
	}
	hash := uint32(maphash.Bytes(n.seed, name)) + object*0x9e3779b1
	mask := uint32(len(n.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &n.slots[i]
		if s.object == 0 {
			*s = slot{hash: hash, object: object, start: uint32(start), length: uint32(len(name)), escaped: escaped}
			n.taken++
			return true
		}
		if s.hash == hash && s.object == object && bytes.Equal(n.name(s), name) {
			return false
		}
	}
}

func (n *nameSet) name(s *slot) []byte {
	from := n.raw
	if s.escaped {
		from = n.buf
	}
	return from[s.start : s.start+s.length]
}

func (n *nameSet) grow() {
	old := n.slots
	n.slots = make([]slot, 2*len(old))
	mask := uint32(len(n.slots) - 1)
	for _, s := range old {
		if s.object == 0 {
			continue
		}
		i := s.hash & mask
		for n.slots[i].object != 0 {
			i = (i + 1) & mask
		}
		n.slots[i] = s
	}
}
