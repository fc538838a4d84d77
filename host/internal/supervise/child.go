package supervise

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

const (
	// maxGreeting bounds the handshake line, which carries a certificate.
	maxGreeting = 16 << 10
	// pipeGrace is how long output is read on after a process has ended: what it
	// wrote is there at once, but a child that left the process group may keep
	// the pipes open for ever.
	pipeGrace = 500 * time.Millisecond
)

// program is what a child runs.
type program struct {
	path     string
	argv     []string
	env      []string
	dir      string  // working directory; empty: the host's
	listener *Socket // nil: none
}

// child is a plugin's process as the operating system sees it. It is the leader
// of its process group.
type child struct {
	pid      int
	lifeline *os.File  // the host's end: the child's reads end when it is closed
	greeting *greeting // the first line of standard output, for go-plugin
	logs     *logSink
	done     chan struct{} // closed when the process and its group are gone and their output is read
	wg       sync.WaitGroup

	mu     sync.Mutex
	killed bool // by kill
	reaped bool
	status unix.WaitStatus
}

// startChild forks a program and begins to read what it prints. The child is
// waited for by its done channel.
func startChild(ctx context.Context, l *launcher, p program, logs *logSink) (_ *child, err error) {
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(ours)
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	theirs = append(theirs, null)
	for range 3 { // standard output, standard error, lifeline
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("open pipe: %w", err)
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	// The lifeline runs the other way.
	ours[2], theirs[3] = theirs[3], ours[2]

	files := make([]uintptr, 0, len(theirs)+1)
	for _, f := range theirs {
		files = append(files, f.Fd())
	}
	env := slices.Concat(p.env, []string{wire.EnvLifeline + "=" + strconv.Itoa(wire.FirstFD)})
	if p.listener != nil {
		files = append(files, uintptr(p.listener.fd))
		env = append(env, wire.EnvListeners+"="+strconv.Itoa(wire.FirstFD+1))
	}
	pid, err := l.fork(ctx, p.path, p.argv, &syscall.ProcAttr{Dir: p.dir, Env: env, Files: files})
	if err != nil {
		return nil, err
	}
	c := &child{pid: pid, lifeline: ours[2], greeting: newGreeting(), logs: logs, done: make(chan struct{})}
	stdout, stderr := ours[0], ours[1]
	var output sync.WaitGroup
	output.Go(func() { c.readOutput(stdout) })
	output.Go(func() { c.readErrors(stderr) })
	c.wg.Go(func() { c.await(&output, stdout, stderr) })
	return c, nil
}

// await waits for the end of the process, ends what is left of its group, and
// lets the last of its output be read.
func (c *child) await(output *sync.WaitGroup, pipes ...*os.File) {
	defer close(c.done)
	c.reap()
	for _, p := range pipes {
		// It fails only on a file that is closed already.
		_ = p.SetReadDeadline(time.Now().Add(pipeGrace))
	}
	output.Wait()
	closeAll(pipes)
	c.lifeline.Close()
}

// kill ends the whole process group, whatever state it is in.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	c.signalGroup()
}

// signalGroup kills the group, unless its number may be another's by now. The
// caller holds mu.
func (c *child) signalGroup() {
	if !c.reaped {
		// ESRCH: it has ended already.
		_ = unix.Kill(-c.pid, unix.SIGKILL)
	}
}

// waitFor reaps a process.
func waitFor(pid int) (status unix.WaitStatus) {
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			return status
		}
	}
}

// wait blocks until the process and its group are gone.
func (c *child) wait() { c.wg.Wait() }

// readOutput gives the first line to go-plugin and reads the rest away, so that
// a plugin which prints never blocks on a full pipe.
func (c *child) readOutput(stdout *os.File) {
	r := bufio.NewReaderSize(stdout, maxGreeting)
	line, err := r.ReadSlice('\n')
	c.greeting.set(bytes.TrimSpace(line), err == nil)
	w := c.logs.writer("stdout")
	_, _ = io.Copy(w, r)
	w.flush()
}

func (c *child) readErrors(stderr *os.File) {
	w := c.logs.writer("stderr")
	_, _ = io.Copy(w, stderr)
	w.flush()
}

// exit tells how the process ended, such as "exited with status 3", and whether
// it did so without being killed by kill. It is valid once done is closed.
func (c *child) exit() (how string, byItself bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Signaled() {
		signal := c.status.Signal()
		return "was ended by signal " + unix.SignalName(signal), signal != unix.SIGKILL || !c.killed
	}
	return fmt.Sprintf("exited with status %d", c.status.ExitStatus()), true
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// greeting is the line by which a plugin says where it listens. It reads as
// empty where the process ended, or printed too much, before the line's end.
type greeting struct {
	ready chan struct{}
	line  string
	whole bool
	rest  strings.Reader
}

func newGreeting() *greeting { return &greeting{ready: make(chan struct{})} }

func (g *greeting) set(line []byte, whole bool) {
	g.line, g.whole = string(line), whole
	if whole {
		g.rest.Reset(g.line + "\n")
	}
	close(g.ready)
}

// Read waits for the line.
func (g *greeting) Read(p []byte) (int, error) {
	<-g.ready
	return g.rest.Read(p)
}

// Close does nothing: the line is in memory.
func (g *greeting) Close() error { return nil }

// printed is what the process printed first; empty: nothing yet.
func (g *greeting) printed() string {
	select {
	case <-g.ready:
		return g.line
	default:
		return ""
	}
}
