package file

import (
	"errors"
	"os"
)

// Step is asked before each step; f is nil where a path is all there is.
type Step func(op, path string, f *os.File) error

// NewOn is New on a disk that asks before each step. A step that gets an error
// does not happen, but a write that gets ErrHalf, of which half happens.
func NewOn(c Config, step Step) (*Destination, error) {
	d, err := New(c)
	if err == nil {
		d.disk = faultyDisk{step: step}
	}
	return d, err
}

// HalfError is an error after half of a write.
type HalfError struct{ Err error }

func (e HalfError) Error() string { return e.Err.Error() }
func (e HalfError) Unwrap() error { return e.Err }

type faultyDisk struct {
	osDisk
	step Step
}

func (d faultyDisk) open(path string, flags int) (*os.File, error) {
	op := "open"
	if _, err := os.Lstat(path); err != nil && flags&os.O_CREATE != 0 {
		op = "create"
	}
	if err := d.step(op, path, nil); err != nil {
		return nil, err
	}
	return d.osDisk.open(path, flags)
}

func (d faultyDisk) write(f *os.File, b []byte) (int, error) {
	err := d.step("write", f.Name(), f)
	var half HalfError
	if errors.As(err, &half) {
		n, _ := d.osDisk.write(f, b[:len(b)/2])
		return n, half
	}
	if err != nil {
		return 0, err
	}
	return d.osDisk.write(f, b)
}

// A sync has no effect that a test could see, and costs much time.
func (d faultyDisk) sync(f *os.File) error { return d.step("sync", f.Name(), f) }

func (d faultyDisk) syncDir(path string) error { return d.step("syncDir", path, nil) }

func (d faultyDisk) truncate(f *os.File, size int64) error {
	if err := d.step("truncate", f.Name(), f); err != nil {
		return err
	}
	return d.osDisk.truncate(f, size)
}

func (d faultyDisk) rename(from, to string) error {
	if err := d.step("rename", from+"\x00"+to, nil); err != nil {
		return err
	}
	return d.osDisk.rename(from, to)
}

func (d faultyDisk) makeDir(path string) error {
	if err := d.step("makeDir", path, nil); err != nil {
		return err
	}
	return d.osDisk.makeDir(path)
}
