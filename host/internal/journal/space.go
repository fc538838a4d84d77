package journal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrDiskFull is the error of an Append while the file system has no more free
// space than the reserve. It passes by itself.
var ErrDiskFull = errors.New("the disk is full")

const (
	// The reserve is a twentieth of the file system, at most maxReserve.
	reserveShare = 20
	maxReserve   = 1 << 30
)

// space is what a file system has, in bytes.
type space struct{ free, total uint64 }

func statSpace(dir string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return space{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	size := uint64(st.Bsize)
	return space{free: st.Bavail * size, total: st.Blocks * size}, nil
}

func (s space) reserve() uint64 { return min(s.total/reserveShare, maxReserve) }
