//go:build !linux

package supervise

import "syscall"

// processAttributes puts the child into a process group of its own, so that it
// can be ended with its children. Without a parent-death signal only the
// lifeline ends it with the host.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// reap waits for the end of the process and ends what is left of its group.
// A group keeps its number as long as it has a process.
func (c *child) reap() {
	status := waitFor(c.pid)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signalGroup()
	c.status = status
	c.reaped = true
}
