package dedup_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// memDisk is a file system in memory that knows what a power cut leaves: names
// that were synced, any of the changes to names since, of each file what was
// synced, and any part of what was written since.
type memDisk struct {
	mu      sync.Mutex
	files   map[string]*memFile
	synced  map[string]*memFile
	pending []change // of names, since synced

	// before is called before each operation; an error is the operation's.
	before func(op, name string) error
}

type change struct{ from, to string } // from "": created; to "": removed

type memFile struct {
	disk   *memDisk
	name   string
	data   []byte
	synced []byte
}

func newMemDisk() *memDisk {
	return &memDisk{files: map[string]*memFile{}, synced: map[string]*memFile{}}
}

// begin locks the disk where before has nothing against the operation.
func (d *memDisk) begin(op, name string) error {
	if d.before != nil {
		if err := d.before(op, name); err != nil {
			return err
		}
	}
	d.mu.Lock()
	return nil
}

func (d *memDisk) List() ([]string, error) {
	if err := d.begin("list", ""); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files)), nil
}

func (d *memDisk) Create(name string) (dedup.File, error) {
	if err := d.begin("create", name); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	f := &memFile{disk: d, name: name}
	d.files[name] = f
	d.pending = append(d.pending, change{to: name})
	return f, nil
}

func (d *memDisk) Open(name string) (dedup.File, int64, error) {
	if err := d.begin("open", name); err != nil {
		return nil, 0, err
	}
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, 0, os.ErrNotExist
	}
	return f, int64(len(f.data)), nil
}

func (d *memDisk) Rename(from, to string) error {
	if err := d.begin("rename", from); err != nil {
		return err
	}
	defer d.mu.Unlock()
	return d.apply(d.files, change{from, to})
}

func (d *memDisk) Remove(name string) error {
	if err := d.begin("remove", name); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return nil
	}
	return d.apply(d.files, change{from: name})
}

func (d *memDisk) apply(names map[string]*memFile, c change) error {
	f := names[c.from]
	if f == nil {
		return fmt.Errorf("%s: %w", c.from, os.ErrNotExist)
	}
	delete(names, c.from)
	if c.to != "" {
		names[c.to] = f
	}
	d.pending = append(d.pending, c)
	return nil
}

func (d *memDisk) Truncate(name string, size int64) error {
	if err := d.begin("truncate", name); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.files[name].data = d.files[name].data[:size]
	return nil
}

func (d *memDisk) Sync() error {
	if err := d.begin("syncdir", ""); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.synced = maps.Clone(d.files)
	d.pending = nil
	return nil
}

func (f *memFile) Write(b []byte) (int, error) {
	if err := f.disk.begin("write", f.name); err != nil {
		return 0, err
	}
	defer f.disk.mu.Unlock()
	f.data = append(f.data, b...)
	return len(b), nil
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.disk.begin("read", f.name); err != nil {
		return 0, err
	}
	defer f.disk.mu.Unlock()
	if at > int64(len(f.data)) {
		return 0, io.EOF
	}
	if n := copy(b, f.data[at:]); n < len(b) {
		return n, io.EOF
	}
	return len(b), nil
}

func (f *memFile) Sync() error {
	if err := f.disk.begin("sync", f.name); err != nil {
		return err
	}
	defer f.disk.mu.Unlock()
	f.synced = slices.Clone(f.data)
	return nil
}

func (f *memFile) Close() error { return nil }

// copy returns a disk in the same state, whose files are its own.
func (d *memDisk) copy() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	twins := map[*memFile]*memFile{}
	twin := func(names, of map[string]*memFile) {
		for name, f := range of {
			if twins[f] == nil {
				// What is synced is not written again, so it may be shared.
				twins[f] = &memFile{disk: c, name: name, data: slices.Clip(f.data), synced: f.synced}
			}
			names[name] = twins[f]
		}
	}
	twin(c.files, d.files)
	twin(c.synced, d.synced)
	c.pending = slices.Clone(d.pending)
	return c
}

// kill returns what a killed process leaves: all that it did.
func (d *memDisk) kill() *memDisk {
	c := d.copy()
	c.before = nil
	return c
}

// cutPower returns one of the states that a power cut can leave.
func (d *memDisk) cutPower(r *rand.Rand) *memDisk {
	c := d.copy()
	created := map[string]*memFile{}
	for name, f := range c.files {
		created[name] = f
	}
	names := maps.Clone(c.synced)
	for _, p := range c.pending {
		if r.IntN(2) == 0 {
			continue
		}
		if p.from != "" {
			_ = (&memDisk{}).apply(names, p) // its name may not have survived
		} else if f := created[p.to]; f != nil {
			names[p.to] = f
		}
	}
	c.files, c.synced, c.pending = names, maps.Clone(names), nil
	for _, f := range names {
		f.data = tear(r, f.data, f.synced)
		f.synced = f.data
	}
	return c
}

// tear returns what is left of a file's data.
func tear(r *rand.Rand, data, synced []byte) []byte {
	if bytes.Equal(data, synced) {
		return synced
	}
	switch r.IntN(4) {
	case 0:
		return synced
	case 1:
		return data
	case 2:
		return data[:len(synced)+r.IntN(max(1, len(data)-len(synced)))]
	}
	holes := slices.Clone(data)
	for i := len(synced); i < len(holes); i += 512 {
		if r.IntN(2) == 0 {
			clear(holes[i:min(len(holes), i+512)])
		}
	}
	return holes
}
