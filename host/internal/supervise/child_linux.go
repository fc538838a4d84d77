package supervise

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes puts the child into a process group of its own, so that it
// can be ended with its children, and has the kernel kill it with the host.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when the process has ended, and leaves it unreaped: as long
// as it is, no other process can get its number.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
