package dedup

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// writeBuffer is how much a writer collects before it writes.
	writeBuffer = 64 << 10
	// syncEvery is how much may be written before it is synced. A large file
	// synced at once would make the journal's own syncs wait for all of it.
	syncEvery = 4 << 20

	// unfinished ends the name of a file until it is whole.
	unfinished = ".tmp"
)

// writer writes one slice file from entries that come in the order of their
// keys.
type writer struct {
	disk disk
	name string // of the unfinished file
	file file
	contents

	buf      []byte
	begun    int // where the open bucket begins in buf
	open     int // the open bucket
	unsynced int
	size     int64
}

// newWriter begins a slice of at most ids entries.
func newWriter(d disk, s span, ids, bitsPerID int) (*writer, error) {
	name := fileName(s) + unfinished
	f, err := d.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	w := &writer{disk: d, name: name, file: f, buf: make([]byte, 0, writeBuffer+perBucket*entrySize)}
	w.span = s
	w.buckets = make([]bucket, ids/perBucket+2)
	w.filter = newFilter(ids*bitsPerID/(lineSize*8) + 1)
	w.buf = append(w.buf, header...)
	w.begun = len(w.buf)
	return w, nil
}

func (w *writer) add(e entry) error {
	if b := place(e.key, len(w.buckets)-1); b != w.open {
		if err := w.closeBuckets(b); err != nil {
			return err
		}
	}
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.key.hi)
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.key.lo)
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(e.pos))
	w.filter.add(e.key)
	w.ids++
	return nil
}

// closeBuckets ends the open bucket and all before bucket next, which it opens.
func (w *writer) closeBuckets(next int) error {
	w.buckets[w.open].crc = crc32.Checksum(w.buf[w.begun:], castagnoli)
	for w.open++; w.open <= next; w.open++ {
		w.buckets[w.open].start = uint32(w.ids) // its checksum stays that of nothing: 0
	}
	w.open = next
	w.begun = len(w.buf)
	if len(w.buf) < writeBuffer {
		return nil
	}
	w.begun = 0
	return w.flush()
}

func (w *writer) flush() error {
	if _, err := w.file.Write(w.buf); err != nil {
		return fmt.Errorf("write %s: %w", w.name, err)
	}
	w.size += int64(len(w.buf))
	w.unsynced += len(w.buf)
	w.buf = w.buf[:0]
	if w.unsynced < syncEvery {
		return nil
	}
	return w.sync()
}

func (w *writer) sync() error {
	w.unsynced = 0
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", w.name, err)
	}
	return nil
}

// finish writes directory, filter and footer, makes the file durable and
// returns the slice. Its name is not final: see Index.publish.
func (w *writer) finish() (*slice, error) {
	if err := w.closeBuckets(len(w.buckets) - 1); err != nil {
		return nil, err
	}
	crc := uint32(0)
	word := func(v uint64) error {
		w.buf = binary.BigEndian.AppendUint64(w.buf, v)
		if len(w.buf) < writeBuffer {
			return nil
		}
		crc = crc32.Update(crc, castagnoli, w.buf)
		return w.flush()
	}
	if err := w.flush(); err != nil { // the checksum begins here
		return nil, err
	}
	for _, b := range w.buckets {
		if err := word(uint64(b.start)<<32 | uint64(b.crc)); err != nil {
			return nil, err
		}
	}
	for i := range w.filter.lines {
		for _, v := range w.filter.lines[i] {
			if err := word(v); err != nil {
				return nil, err
			}
		}
	}
	crc = crc32.Update(crc, castagnoli, w.buf)
	w.appendFooter(crc)
	if err := w.flush(); err != nil {
		return nil, err
	}
	if err := w.sync(); err != nil {
		return nil, err
	}
	return &slice{contents: w.contents, name: fileName(w.span), size: w.size, file: w.file}, nil
}

func (w *writer) appendFooter(crc uint32) {
	foot := make([]byte, 0, footerSize)
	for _, v := range []uint64{uint64(w.after), uint64(w.upTo), uint64(w.from), uint64(w.to)} {
		foot = binary.BigEndian.AppendUint64(foot, v)
	}
	for _, v := range []uint32{uint32(w.ids), uint32(len(w.buckets) - 1), uint32(len(w.filter.lines)), crc} {
		foot = binary.BigEndian.AppendUint32(foot, v)
	}
	ends := crc32.Update(crc32.Checksum([]byte(header), castagnoli), castagnoli, foot)
	w.buf = binary.BigEndian.AppendUint32(append(w.buf, foot...), ends)
}

// memory is what the writer holds, in bytes.
func (w *writer) memory() int64 {
	return int64(cap(w.buf)) + w.filter.memory() + int64(len(w.buckets))*bucketSize
}

// abandon removes the unfinished file.
func (w *writer) abandon() {
	w.filter.free()
	_ = w.file.Close()
	_ = w.disk.Remove(w.name) // the next Open removes what is left of it
}
