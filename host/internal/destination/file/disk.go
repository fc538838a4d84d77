package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is what the destination asks of the file system, each call a step after
// which a kill may strike.
type disk interface {
	open(path string, flags int) (*os.File, error)
	write(f *os.File, b []byte) (int, error)
	sync(f *os.File) error
	// begin asks for a range to be written soon. It promises nothing.
	begin(f *os.File, from, size int64)
	truncate(f *os.File, size int64) error
	rename(from, to string) error
	makeDir(path string) error
	syncDir(path string) error
	stat(path string) (info, error)
	fstat(f *os.File) (info, error)
}

// info is what matters of a file.
type info struct {
	id      identity
	size    int64
	links   uint64
	regular bool
}

var (
	errNotRegular = errors.New("not a regular file")
	errInUse      = errors.New("another destination or another host writes to it")
)

// openFile opens a regular file for appending and reading, and locks it. One that
// it makes has its name durably.
func (d *Destination) openFile(path string, flags int) (*os.File, info, error) {
	here, err := d.disk.stat(path)
	if err == nil && !here.regular {
		return nil, here, errNotRegular // and no device or pipe is touched
	}
	f, err := d.disk.open(path, os.O_RDWR|os.O_APPEND|flags)
	if err != nil {
		return nil, here, err
	}
	if flags&os.O_CREATE != 0 {
		err = d.disk.syncDir(filepath.Dir(path))
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		here, err = d.disk.fstat(f)
	}
	if err != nil {
		return nil, here, errors.Join(err, f.Close())
	}
	return f, here, nil
}

// lock keeps other destinations and hosts off a file while it is open, where the
// file system has locks.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errInUse
	}
	return nil
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) open(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0o600) }

func (osDisk) write(f *os.File, b []byte) (int, error) { return f.Write(b) }

func (osDisk) sync(f *os.File) error { return syncData(f) }

func (osDisk) truncate(f *os.File, size int64) error { return f.Truncate(size) }

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

// makeDir makes a folder and those above it, each durably.
func (o osDisk) makeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := o.makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.syncDir(parent)
}

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
