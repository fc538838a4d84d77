package fast

import (
	"encoding/binary"
	"math/bits"
)

// nameTable finds members by the hash of their names, times a factor that was
// chosen so that the names have few collisions, mostly none.
type nameTable struct {
	slots  []uint16 // indexes of members from 1; a power of two, half empty at least
	factor uint64
	shift  uint8
}

// maxNames is the most names that a table holds.
const maxNames = 1 << 12

// factors are the odd numbers that a table is tried with.
const (
	firstFactor = 0x9e3779b97f4a7c15
	factors     = 32
)

func newNameTable(members []*member) nameTable {
	if len(members) == 0 {
		return nameTable{}
	}
	size := 4
	for size < 2*len(members) {
		size *= 2
	}
	best, fewest := nameTable{}, -1
	factor := uint64(firstFactor)
	for range factors {
		t := nameTable{slots: make([]uint16, size), factor: factor, shift: uint8(64 - bits.Len(uint(size-1)))}
		if n := t.fill(members); fewest < 0 || n < fewest {
			best, fewest = t, n
		}
		if fewest == 0 {
			break
		}
		factor = factor*factor*firstFactor | 1
	}
	return best
}

// fill enters the members and counts the collisions.
func (t *nameTable) fill(members []*member) (collisions int) {
	mask := len(t.slots) - 1
	for i, m := range members {
		at := int(hash([]byte(m.name), 0, len(m.name)) * t.factor >> t.shift)
		for t.slots[at] != 0 {
			at = (at + 1) & mask
			collisions++
		}
		t.slots[at] = uint16(i + 1)
	}
	return collisions
}

// find gives the member whose name is raw[start:end], which has hash h; nil:
// there is none.
func (t *nameTable) find(members []*member, raw []byte, start, end int, h uint64) *member {
	if len(members) == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for at := h * t.factor >> t.shift; ; at++ {
		i := t.slots[at&mask]
		if i == 0 {
			return nil
		}
		if m := members[i-1]; m.name == string(raw[start:end]) {
			return m
		}
	}
}

// hash makes a number of all of a name's bytes. Equal names have equal hashes.
func hash(raw []byte, start, end int) (h uint64) {
	length := end - start
	for ; end-start >= 8; start += 8 {
		h = mix(h, binary.LittleEndian.Uint64(raw[start:]))
	}
	var w uint64
	for i := end - 1; i >= start; i-- {
		w = w<<8 | uint64(raw[i])
	}
	return mix(h, w) + uint64(length)
}

func mix(h, w uint64) uint64 {
	h = (h ^ w) * firstFactor
	return h ^ h>>32
}

// endOfName finds the quote that ends the name that begins at start, and the
// name's hash; unsure: it is no valid name, or has escapes.
func endOfName(raw []byte, start int) (end int, h uint64) {
	i := start
	for ; i+8 <= len(raw); i += 8 {
		w := binary.LittleEndian.Uint64(raw[i:])
		stop := special(w)
		if stop == 0 {
			h = mix(h, w)
			continue
		}
		n := bits.TrailingZeros64(stop) &^ 7
		if i += n / 8; raw[i] != '"' {
			break
		}
		return i, mix(h, w&(1<<n-1)) + uint64(i-start)
	}
	end, escaped, _ := endOfText(raw, i)
	if end == unsure || escaped {
		return unsure, 0
	}
	return end, hash(raw, start, end)
}
