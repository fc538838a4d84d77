package file

import (
	"os"
	"syscall"
)

func (osDisk) stat(path string) (info, error) { return infoOf(os.Stat(path)) }

func (osDisk) fstat(f *os.File) (info, error) { return infoOf(f.Stat()) }

func infoOf(fi os.FileInfo, err error) (info, error) {
	if err != nil {
		return info{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return info{
		id:   identity{Inode: st.Ino, Born: st.Birthtimespec.Nano()},
		size: fi.Size(), links: uint64(st.Nlink), regular: fi.Mode().IsRegular(),
	}, nil
}

func (osDisk) begin(*os.File, int64, int64) {}

func syncData(f *os.File) error { return f.Sync() }
