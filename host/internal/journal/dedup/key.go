package dedup

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Key stands for a source and a message id: 128 bits of a SHA-256. Two
// different pairs with one Key are not to be expected.
type Key struct{ hi, lo uint64 }

// KeyOf hashes the length of source, source and messageID, in this order, so
// that no two pairs give the same bytes. It does not allocate.
func KeyOf(source event.SourceID, messageID string) Key {
	var buf [128]byte
	h := sha256.New()
	b := binary.AppendUvarint(buf[:0], uint64(len(source)))
	if len(b)+len(source)+len(messageID) <= len(buf) {
		b = append(append(b, source...), messageID...)
		h.Write(b)
	} else {
		h.Write(b)
		for rest := string(source); rest != ""; {
			n := copy(buf[:], rest)
			h.Write(buf[:n])
			rest = rest[n:]
		}
		for rest := messageID; rest != ""; {
			n := copy(buf[:], rest)
			h.Write(buf[:n])
			rest = rest[n:]
		}
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return Key{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

func (k Key) less(other Key) bool {
	return k.hi < other.hi || k.hi == other.hi && k.lo < other.lo
}

// entry is one id as the index holds it.
type entry struct {
	key Key
	pos event.Position
}

func (e entry) compare(other entry) int {
	switch {
	case e.key.less(other.key):
		return -1
	case e.key == other.key:
		return 0
	}
	return 1
}
