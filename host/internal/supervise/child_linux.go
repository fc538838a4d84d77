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

// reap waits for the end of the process and ends what is left of its group.
// Until the process is reaped no other can get its number, so the group is ended
// in between.
func (c *child) reap() {
	for unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signalGroup()
	c.status = waitFor(c.pid)
	c.reaped = true
}
