package sync

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// digest is a set of Ids in a fixed space, an invertible Bloom lookup table
// (Goodrich and Mitzenmacher, 2011): of two sets that differ in few Ids, the
// difference of the digests gives them. So the Ids of an object of any size can
// be compared with those of a day ago.
type digest [digestCells]cell

// digestCells is enough for a difference of some 380 Ids.
const digestCells = 3 * 192

type cell struct {
	count int32
	ids   [15]byte // of all Ids together, by XOR
	check uint32
}

const cellBytes = 4 + 15 + 4

// add puts an Id in, or with -1 takes it out.
func (d *digest) add(id [15]byte, sign int32) {
	check, at := hash(id)
	for _, i := range at {
		c := &d[i]
		c.count += sign
		c.check ^= check
		for j := range id {
			c.ids[j] ^= id[j]
		}
	}
}

func hash(id [15]byte) (check uint32, at [3]int) {
	sum := sha256.Sum256(id[:])
	const third = digestCells / 3
	for i := range at {
		at[i] = i*third + int(binary.LittleEndian.Uint32(sum[4*i:])%third)
	}
	return binary.LittleEndian.Uint32(sum[12:]) | 1, at
}

// list empties the digest and returns the Ids that were put in more often than
// taken out. whole is false where there are too many to tell them all.
func (d *digest) list() (ids []string, whole bool) {
	for found := true; found; {
		found = false
		for i := range d {
			c := d[i]
			if c.count != 1 && c.count != -1 {
				continue
			}
			if check, at := hash(c.ids); check != c.check || at[i/(digestCells/3)] != i {
				continue
			}
			if c.count == 1 {
				ids = append(ids, string(c.ids[:]))
			}
			d.add(c.ids, -c.count)
			found = true
		}
	}
	return ids, *d == digest{}
}

func (d *digest) text() string {
	b := make([]byte, 0, digestCells*cellBytes)
	for _, c := range d {
		b = binary.LittleEndian.AppendUint32(b, uint32(c.count))
		b = append(b, c.ids[:]...)
		b = binary.LittleEndian.AppendUint32(b, c.check)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func parseDigest(text string) (*digest, error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(b) != digestCells*cellBytes {
		return nil, errors.New("digest of Ids has another size")
	}
	var d digest
	for i := range d {
		c := b[i*cellBytes:]
		d[i].count = int32(binary.LittleEndian.Uint32(c))
		copy(d[i].ids[:], c[4:])
		d[i].check = binary.LittleEndian.Uint32(c[19:])
	}
	return &d, nil
}
