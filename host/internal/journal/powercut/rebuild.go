package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const pageSize = 4096

// Loss decides what becomes of a change that no sync has covered. The zero Loss
// loses every one.
type Loss struct {
	// Random, where it is set, keeps a change, or a page of it, with the
	// probability Keep.
	Random *rand.Rand
	Keep   float64
	// NoSync makes the syncs of a path as if they had not been made. It is for the
	// test of a test, which must then see a loss.
	NoSync func(path string) bool
}

func (l Loss) keeps() bool { return l.Random != nil && l.Random.Float64() < l.Keep }

// Events are the calls of the trace, in the order in which they returned.
func (t *Trace) Events() ([]Event, error) {
	m := newMachine(t)
	events := make([]Event, len(t.calls))
	for i := range events {
		if err := m.run(); err != nil {
			return nil, fmt.Errorf("call %d: %w", i, err)
		}
		events[i] = *m.event
	}
	return events, nil
}

// Rebuild writes into the directory dir, which must be empty, what the root may
// hold after a power cut behind the first n calls.
func (t *Trace) Rebuild(n int, dir string, l Loss) error {
	m, err := t.replay(n, l.NoSync)
	if err != nil {
		return err
	}
	names := func(c *nameChange) bool { return c.fate == durable || l.keeps() }
	data := func(d *dataChange) []dataChange {
		switch {
		case d.fate == durable:
			return []dataChange{*d}
		case d.resize && l.keeps():
			return []dataChange{*d}
		case d.resize || l.Random == nil:
			return nil
		}
		return d.somePages(l)
	}
	return writeTree(m.top, dir, names, data)
}

// Verify compares what the model holds after the last call, nothing lost, with
// the directory as the process has left it. A file whose last write never
// returned is passed over.
func (t *Trace) Verify(dir string) error {
	m, err := t.replay(len(t.calls), nil)
	if err != nil {
		return err
	}
	return compareTree(m.top, dir)
}

func (t *Trace) replay(n int, noSync func(string) bool) (*machine, error) {
	m := newMachine(t)
	m.noSync = noSync
	for i := range n {
		if err := m.run(); err != nil {
			return nil, fmt.Errorf("call %d: %w", i, err)
		}
	}
	return m, nil
}

// somePages are the pages of a write that a loss keeps.
func (d *dataChange) somePages(l Loss) []dataChange {
	var parts []dataChange
	for start := int64(0); start < int64(len(d.bytes)); {
		end := min((d.offset+start)/pageSize*pageSize+pageSize-d.offset, int64(len(d.bytes)))
		if l.keeps() {
			parts = append(parts, dataChange{offset: d.offset + start, bytes: d.bytes[start:end]})
		}
		start = end
	}
	return parts
}

func writeTree(n *inode, path string, names func(*nameChange) bool, data func(*dataChange) []dataChange) error {
	if n.symlink != "" {
		return os.Symlink(n.symlink, path)
	}
	if !n.isDir {
		return os.WriteFile(path, n.content(data), 0o600)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries := n.entries(names)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := writeTree(entries[name], filepath.Join(path, name), names, data); err != nil {
			return err
		}
	}
	return nil
}

func compareTree(n *inode, path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return fmt.Errorf("the model has what the disk has not: %w", err)
	case n.symlink != "", info.Mode()&os.ModeSocket != 0:
		return nil
	case info.IsDir() != n.isDir:
		return fmt.Errorf("%s: the model has a directory: %v", path, n.isDir)
	case !n.isDir:
		return compareFile(n, path)
	}
	onDisk, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range onDisk {
		if n.live[e.Name()] == nil {
			return fmt.Errorf("%s is not in the model", filepath.Join(path, e.Name()))
		}
	}
	for name, child := range n.live {
		if err := compareTree(child, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func compareFile(n *inode, path string) error {
	if n.unsure {
		return nil
	}
	want, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	got := n.content(func(d *dataChange) []dataChange { return []dataChange{*d} })
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		return fmt.Errorf("%s has %d bytes, the model %d; they differ from byte %d on", path, len(want), len(got), at)
	}
	return nil
}
