package supervise

import (
	"context"
	"runtime"
	"syscall"
)

// launcher forks every plugin from one operating system thread. The kernel sends
// a parent-death signal when the *thread* that forked ends, and Go ends threads
// as it likes: hence one goroutine, locked to its thread, that lives as long as
// the plugins may.
type launcher struct {
	requests chan forkRequest
}

type forkRequest struct {
	path  string
	argv  []string
	attr  *syscall.ProcAttr
	reply chan forkReply // buffered
}

type forkReply struct {
	pid int
	err error
}

func newLauncher() *launcher { return &launcher{requests: make(chan forkRequest)} }

// run serves until ctx ends. What it launched and still runs is killed by its
// return (on Linux).
func (l *launcher) run(ctx context.Context) {
	// Never unlocked: the thread ends with the goroutine.
	runtime.LockOSThread()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-l.requests:
			// Not os.StartProcess: it calls File.Fd, which makes the description
			// of a listening socket blocking for everyone who shares it.
			pid, err := syscall.ForkExec(r.path, r.argv, r.attr)
			r.reply <- forkReply{pid, err}
		}
	}
}

// fork starts a program in a process group of its own.
func (l *launcher) fork(ctx context.Context, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	attr.Sys = processAttributes()
	r := forkRequest{path: path, argv: argv, attr: attr, reply: make(chan forkReply, 1)}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	reply := <-r.reply
	return reply.pid, reply.err
}
