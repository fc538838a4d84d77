//go:build !linux

package supervise

import "syscall"

// processAttributes puts the child into a process group of its own, so that it
// can be ended with its children. Without a parent-death signal only the
// lifeline ends it with the host.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit returns at once: the caller's wait reaps the process, and for a
// moment afterwards its number may be given away.
func awaitExit(int) {}
