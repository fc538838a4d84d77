package dedup

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// disk is what the index asks of a file system: one directory of files. Tests
// put one with faults and power cuts in its place.
type disk interface {
	List() ([]string, error)
	// Create makes an empty file, open for reading and writing.
	Create(name string) (file, error)
	// Open opens a file for reading and tells its size.
	Open(name string) (file, int64, error)
	Rename(from, to string) error
	// Remove of a file that is not there is no error.
	Remove(name string) error
	Truncate(name string, size int64) error
	// Sync makes what Create, Rename and Remove did durable.
	Sync() error
}

type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	// Sync makes what was written durable, but not the file's name.
	Sync() error
}

// directory is a disk on the real file system.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d directory) Create(name string) (file, error) {
	return os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (d directory) Open(name string) (file, int64, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) Remove(name string) error {
	if err := os.Remove(d.path(name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d directory) Truncate(name string, size int64) error { return os.Truncate(d.path(name), size) }

func (d directory) Sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
