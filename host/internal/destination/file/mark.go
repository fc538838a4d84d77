package file

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// mark is how far a file is good. It is kept beside the cursor.
type mark struct {
	Version int      `json:"v"`
	File    identity `json:"file"`
	// Offset is the good length, Tail the CRC-32C of the tailSize bytes before
	// it (of all, where there are fewer).
	Offset int64  `json:"offset"`
	Tail   uint32 `json:"tail"`
	// Next is the file that takes this one's place; nil: it goes on.
	Next *nextMark `json:"next,omitempty"`
}

type nextMark struct {
	File   identity `json:"file"`
	Rotate bool     `json:"rotate"`
}

// identity tells one file from another that has its path, or has its inode after
// it.
type identity struct {
	Inode uint64 `json:"inode"`
	// Born is when the file was made, in Unix ns; 0 where that is not known.
	Born int64 `json:"born,omitempty"`
}

const (
	markVersion = 1
	tailSize    = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (d *Destination) mark() (mark, error) {
	tail, err := tailOf(d.file, d.size)
	m := mark{Version: markVersion, File: d.id, Offset: d.size, Tail: tail}
	if d.next != nil {
		m.Next = &nextMark{File: d.next.id, Rotate: d.next.rotate}
	}
	return m, err
}

func (m mark) encode() ([]byte, error) { return json.Marshal(m) }

// decodeMark reads a mark; nil: there is none.
func decodeMark(b []byte) (*mark, error) {
	if b == nil {
		return nil, nil
	}
	var m mark
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("mark of the cursor: %w", err)
	}
	if m.Version != markVersion {
		return nil, fmt.Errorf("mark of the cursor has version %d, this host knows %d", m.Version, markVersion)
	}
	return &m, nil
}

// tailOf returns the checksum of what comes before the offset.
func tailOf(f *os.File, offset int64) (uint32, error) {
	b := make([]byte, min(offset, tailSize))
	if _, err := f.ReadAt(b, offset-int64(len(b))); err != nil && err != io.EOF {
		return 0, err
	}
	return crc32.Checksum(b, castagnoli), nil
}
