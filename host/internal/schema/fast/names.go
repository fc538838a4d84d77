package fast

import (
	"encoding/binary"
	"math/bits"
)

// nameTable finds members by name: a hash of a name's two ends and its length,
// with a factor that was chosen so that the names have few collisions, mostly
// none.
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
		at := t.slot([]byte(m.name), 0, len(m.name))
		for t.slots[at] != 0 {
			at = (at + 1) & mask
			collisions++
		}
		t.slots[at] = uint16(i + 1)
	}
	return collisions
}

// find gives the member whose name is raw[start:end]; nil: there is none.
func (t *nameTable) find(members []*member, raw []byte, start, end int) *member {
	mask := len(t.slots) - 1
	for at := t.slot(raw, start, end); ; at = (at + 1) & mask {
		i := t.slots[at&mask]
		if i == 0 {
			return nil
		}
		if m := members[i-1]; m.name == string(raw[start:end]) {
			return m
		}
	}
}

func (t *nameTable) slot(raw []byte, start, end int) int {
	n := end - start
	w := uint64(n)
	if n >= 8 {
		w ^= binary.LittleEndian.Uint64(raw[start:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(raw[end-8:]), 23)
	} else {
		w ^= short(raw, start, end) << 3 // beyond the length
	}
	return int(w * t.factor >> t.shift)
}

// short reads less than 8 bytes as a number.
func short(raw []byte, start, end int) uint64 {
	if start+8 <= len(raw) {
		return binary.LittleEndian.Uint64(raw[start:]) & (1<<(8*(end-start)) - 1)
	}
	var w uint64
	for i := end - 1; i >= start; i-- {
		w = w<<8 | uint64(raw[i])
	}
	return w
}

// hash makes a number of all of a name's bytes. Equal names have equal hashes.
func hash(raw []byte, start, end int) uint64 {
	h := uint64(end - start)
	for ; end-start >= 8; start += 8 {
		h = (h ^ binary.LittleEndian.Uint64(raw[start:])) * firstFactor
		h ^= h >> 32
	}
	h = (h ^ short(raw, start, end)) * firstFactor
	return h ^ h>>32
}
