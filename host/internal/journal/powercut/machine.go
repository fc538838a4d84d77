package powercut

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
)

// machine is the disk and the processes while a trace is replayed.
type machine struct {
	trace   *Trace
	top     *inode
	threads map[int]*process
	calls   int            // that have returned
	early   map[*call]bool // those that happened before they returned
	event   *Event
	noSync  func(path string) bool // nil: every sync counts

	handlers map[string]handler
}

// process is what the threads of one process share.
type process struct {
	cwd     string
	fds     map[int64]*descriptor
	cloexec map[int64]bool // those of fds that end with an execve
}

// descriptor is an open file; several numbers may stand for one.
type descriptor struct {
	node     *inode
	path     string // when it was opened
	offset   int64
	isAppend bool
	isSync   bool
}

func newMachine(t *Trace) *machine {
	return &machine{trace: t, top: newDir(), threads: make(map[int]*process), early: make(map[*call]bool), handlers: handlers()}
}

// process is that of a thread. A thread that was not heard of before takes after
// the one that made it; the log shows it before that one's call returns.
func (m *machine) process(thread int) *process {
	if p := m.threads[thread]; p != nil {
		return p
	}
	p := &process{cwd: m.trace.cwd, fds: make(map[int64]*descriptor), cloexec: make(map[int64]bool)}
	if b, ok := m.trace.births[thread]; ok {
		parent := m.process(b.parent)
		if b.sharesFiles {
			p = parent
		} else {
			p = &process{cwd: parent.cwd, fds: maps.Clone(parent.fds), cloexec: maps.Clone(parent.cloexec)}
		}
	}
	m.threads[thread] = p
	return p
}

// run lets the next call of the trace happen.
func (m *machine) run() error {
	c := &m.trace.calls[m.calls]
	m.calls++
	m.event = &Event{Began: c.began, Name: c.name, FD: -1}
	if m.early[c] {
		return nil
	}
	return m.apply(c)
}

// apply lets a call happen.
func (m *machine) apply(c *call) error {
	p := m.process(c.thread)
	if c.hung {
		return m.hang(p, c)
	}
	if c.name == "fsync" || c.name == "fdatasync" {
		return m.sync(p, c)
	}
	if c.result < 0 {
		return nil
	}
	handle, ok := m.handlers[c.name]
	if !ok {
		return fmt.Errorf("%s: the model does not know this call", c.name)
	}
	if err := handle(m, p, c); err != nil {
		return fmt.Errorf("%s(%.200s): %w", c.name, strings.Join(c.args, ", "), err)
	}
	return nil
}

// hurry lets a call happen that makes a path and has begun, but not returned:
// another thread has found the path already.
func (m *machine) hurry(path string) bool {
	const window = 1000 // calls that may return while another runs
	rest := m.trace.calls[m.calls:]
	for i := range rest[:min(window, len(rest))] {
		c := &rest[i]
		if c.before >= m.calls || c.result < 0 || m.early[c] {
			continue
		}
		if made, err := m.makes(c); err == nil && made == path {
			m.early[c] = true
			return m.apply(c) == nil
		}
	}
	return false
}

// makes is the path that a call makes, if any.
func (m *machine) makes(c *call) (string, error) {
	p := m.process(c.thread)
	switch c.name {
	case "mkdir", "creat":
		return m.path(p, c, -1, 0)
	case "mkdirat", "openat":
		return m.path(p, c, 0, 1)
	case "rename", "link":
		return m.path(p, c, -1, 1)
	case "renameat", "renameat2", "linkat":
		return m.path(p, c, 2, 3)
	}
	return "", nil
}

type handler = func(*machine, *process, *call) error

// at is a handler of a call with one path: argument name, seen from the directory
// of argument dir; -1: from the working directory.
func at(name, dir int, h func(*machine, *process, *call, string) error) handler {
	return func(m *machine, p *process, c *call) error {
		path, err := m.path(p, c, dir, name)
		if err != nil {
			return err
		}
		return h(m, p, c, path)
	}
}

func nothing(*machine, *process, *call) error { return nil }

// handlers are what the calls of the log do when they succeed.
func handlers() map[string]handler {
	return map[string]handler{
		"open":            at(0, -1, func(m *machine, p *process, c *call, path string) error { return m.open(p, c, path, 1) }),
		"openat":          at(1, 0, func(m *machine, p *process, c *call, path string) error { return m.open(p, c, path, 2) }),
		"openat2":         at(1, 0, (*machine).refuseInside),
		"creat":           at(0, -1, (*machine).create),
		"close":           (*machine).close,
		"close_range":     (*machine).closeRange,
		"dup":             (*machine).dup,
		"dup2":            (*machine).dup,
		"dup3":            (*machine).dup,
		"fcntl":           (*machine).fcntl,
		"lseek":           (*machine).seek,
		"write":           (*machine).write,
		"pwrite64":        (*machine).write,
		"writev":          (*machine).write,
		"pwritev":         (*machine).write,
		"truncate":        at(0, -1, (*machine).truncate),
		"ftruncate":       (*machine).ftruncate,
		"fallocate":       (*machine).fallocate,
		"copy_file_range": (*machine).refuseTracked,
		"sendfile":        (*machine).refuseTracked,
		"splice":          (*machine).refuseTracked,
		"pwritev2":        (*machine).refuseTracked,
		"mmap":            (*machine).mmap,
		"sync":            (*machine).syncAll,
		"syncfs":          (*machine).syncAll,
		"sync_file_range": nothing, // promises nothing
		"rename":          (*machine).rename,
		"renameat":        (*machine).rename,
		"renameat2":       (*machine).rename,
		"unlink":          at(0, -1, (*machine).unlink),
		"unlinkat":        at(1, 0, (*machine).unlink),
		"rmdir":           at(0, -1, (*machine).unlink),
		"link":            (*machine).link,
		"linkat":          (*machine).link,
		"symlink":         at(1, -1, (*machine).symlink),
		"symlinkat":       at(2, 1, (*machine).symlink),
		"mkdir":           at(0, -1, (*machine).mkdir),
		"mkdirat":         at(1, 0, (*machine).mkdir),
		"bind":            (*machine).bind,
		"chdir":           at(0, -1, func(_ *machine, p *process, _ *call, path string) error { p.cwd = path; return nil }),
		"fchdir":          (*machine).fchdir,
		"clone":           nothing, // see Trace.births
		"clone3":          nothing,
		"fork":            nothing,
		"vfork":           nothing,
		"execve":          (*machine).exec,
	}
}

// path is the absolute path of argument name, seen from the directory whose
// descriptor is argument dir; -1: from the working directory.
func (m *machine) path(p *process, c *call, dir, name int) (string, error) {
	text, err := c.text(name)
	if err != nil {
		return "", err
	}
	path := string(text)
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	from := p.cwd
	if dir >= 0 {
		fd, err := c.number(dir)
		if err != nil {
			return "", err
		}
		if fd != atCwd {
			d := p.fds[fd]
			if d == nil {
				return "/?", nil // a directory that is not followed
			}
			from = d.path
		}
	}
	return filepath.Join(from, path), nil
}

// find walks to a path: the directory that holds it, its name there, and what it
// is, each nil where it is not below the root or not there.
func (m *machine) find(path string) (dir *inode, name string, node *inode) {
	rel, err := filepath.Rel(m.trace.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return nil, "", nil
	}
	if rel == "." {
		return nil, "", m.top
	}
	dir = m.top
	parts := strings.Split(rel, "/")
	for i, part := range parts[:len(parts)-1] {
		if dir.live[part] == nil {
			m.hurry(filepath.Join(m.trace.root, filepath.Join(parts[:i+1]...)))
		}
		if dir = dir.live[part]; dir == nil || !dir.isDir {
			return nil, "", nil
		}
	}
	name = parts[len(parts)-1]
	return dir, name, dir.live[name]
}

func (m *machine) now() change { return change{after: m.calls} }

func (m *machine) exec(p *process, _ *call) error {
	for n := range p.cloexec {
		p.drop(n)
	}
	return nil
}

func (p *process) drop(fd int64) {
	delete(p.fds, fd)
	delete(p.cloexec, fd)
}

func (m *machine) close(p *process, c *call) error {
	fd, err := c.number(0)
	p.drop(fd)
	return err
}

func (m *machine) closeRange(p *process, c *call) error {
	first, err := c.number(0)
	if err != nil || c.has(2, "CLOSE_RANGE_CLOEXEC") {
		return err
	}
	last, err := c.number(1)
	for n := range p.fds {
		if n >= first && (n <= last || err != nil) { // ~0 exceeds an int64
			p.drop(n)
		}
	}
	return nil
}

func (m *machine) dup(p *process, c *call) error {
	fd, err := c.number(0)
	d := p.fds[fd]
	p.drop(c.result)
	if d != nil {
		p.fds[c.result] = d
		if c.has(2, "O_CLOEXEC") || c.has(1, "F_DUPFD_CLOEXEC") {
			p.cloexec[c.result] = true
		}
	}
	return err
}

func (m *machine) fcntl(p *process, c *call) error {
	if c.has(1, "F_DUPFD") || c.has(1, "F_DUPFD_CLOEXEC") {
		return m.dup(p, c)
	}
	return nil
}

func (m *machine) fchdir(p *process, c *call) error {
	fd, err := c.number(0)
	p.cwd = "/?"
	if d := p.fds[fd]; d != nil {
		p.cwd = d.path
	}
	return err
}
