package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Format is the version of data_dir that this host reads and writes.
const Format = 1

const (
	lockFile   = "lock"
	formatFile = "format"
)

// ErrLocked is the error of a data_dir that another host has.
var ErrLocked = errors.New("another host is running on it")

// DirLock is a data_dir that belongs to this process until Unlock or its end.
type DirLock struct{ f *os.File }

// Lock takes a data_dir for this process, creating it where it is missing. The
// error is an ErrLocked where another host has it, and names that host's pid.
// A data_dir of a newer format is refused and stays as it is.
func Lock(dir string) (*DirLock, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("data_dir %s: %w", dir, err)
	}
	// The lock file is never removed: a lock on a file that has lost its name
	// keeps nobody out.
	// Nor is a link followed: the file that it names would be overwritten.
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, fileMode)
	if errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("%s is a symbolic link; remove it", filepath.Join(dir, lockFile))
	}
	if err != nil {
		return nil, fmt.Errorf("data_dir %s: %w", dir, err)
	}
	if err = lockAndSign(f); err == nil {
		err = checkFormat(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data_dir %s: %w", dir, err), f.Close())
	}
	return &DirLock{f}, nil
}

// Unlock gives the data_dir back.
func (l *DirLock) Unlock() error { return l.f.Close() }

func lockAndSign(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner := make([]byte, 32)
		n, _ := f.ReadAt(owner, 0)
		return fmt.Errorf("%w (pid %s); stop it first, or give this one a data_dir of its own",
			ErrLocked, strings.TrimSpace(string(owner[:n])))
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// checkFormat refuses a format that this host does not know, and signs a new
// data_dir with its own.
func checkFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(path, []byte(strconv.Itoa(Format)+"\n"))
	}
	if err != nil {
		return err
	}
	format, err := strconv.Atoi(strings.TrimSpace(string(data)))
	switch {
	case err != nil:
		return fmt.Errorf("%s holds %q, not a format version; restore the file, or move the directory away", path, data)
	case format > Format:
		return fmt.Errorf("its format %d is newer than the %d that this wellhead knows; run the version of wellhead that wrote it, or a later one", format, Format)
	}
	return nil
}
