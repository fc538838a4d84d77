package file

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func (osDisk) stat(path string) (info, error) {
	i, err := statx(unix.AT_FDCWD, path, 0)
	if err != nil {
		return i, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return i, nil
}

func (osDisk) fstat(f *os.File) (info, error) {
	i, err := statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return i, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return i, nil
}

func statx(dir int, path string, flags int) (info, error) {
	var st unix.Statx_t
	const want = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	if err := retry(func() error { return unix.Statx(dir, path, flags, want, &st) }); err != nil {
		return info{}, err
	}
	i := info{
		id: identity{Inode: st.Ino}, size: int64(st.Size), links: uint64(st.Nlink),
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		i.id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return i, nil
}

// syncData makes a file's bytes durable, and of its metadata what they need.
func syncData(f *os.File) error {
	return os.NewSyscallError("fdatasync", retry(func() error { return unix.Fdatasync(int(f.Fd())) }))
}

func (osDisk) begin(f *os.File, from, size int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, size, unix.SYNC_FILE_RANGE_WRITE) // the sync finds what is wrong
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
