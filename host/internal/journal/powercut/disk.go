package powercut

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Disk is a folder as a recording leaves it.
type Disk struct {
	root string
	top  *node
	open map[int]*handle
	// NoSync makes a sync that it returns true for as if the program had none. A
	// test of a test uses it.
	NoSync func(path string) bool
}

// node is a file or a directory: as it is, and what of it is not synced.
type node struct {
	dir     bool
	data    []byte
	synced  []byte
	entries map[string]*node
	durable map[string]*node
	changes []change
}

// change is one that a power cut may lose: of a file's bytes or a directory's
// names.
type change struct {
	at    int64
	data  []byte // nil: a truncation to at
	names []entry
}

// entry is a name's new node; nil: it is gone.
type entry struct {
	name string
	node *node
}

type handle struct {
	node *node
	path string
	pos  int64
	// append and sync are from the flags of open.
	append, sync bool
}

// NewDisk makes an empty folder with the path that it had when it was recorded.
func NewDisk(root string) *Disk {
	return &Disk{root: filepath.Clean(root), top: newDir(), open: map[int]*handle{}}
}

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

// Play plays calls, in order.
func (d *Disk) Play(calls []Call) error {
	for i := range calls {
		c := &calls[i]
		if c.Result < 0 {
			continue
		}
		if err := d.play(c); err != nil {
			return fmt.Errorf("%s(%.120s): %w", c.Name, strings.Join(c.Args, ", "), err)
		}
	}
	return nil
}

func (d *Disk) play(c *Call) error {
	switch c.Name {
	case "openat", "open", "creat":
		return d.playOpen(c)
	case "write", "pwrite64":
		return d.playWrite(c)
	case "read":
		if h := d.handle(c.Args[0]); h != nil {
			h.pos += c.Result
		}
	case "lseek":
		if h := d.handle(c.Args[0]); h != nil {
			h.pos = c.Result
		}
	case "ftruncate":
		if h := d.handle(c.Args[0]); h != nil {
			size, err := strconv.ParseInt(c.Args[1], 0, 64)
			if err != nil {
				return err
			}
			h.node.truncate(size)
		}
	case "fsync", "fdatasync":
		if h := d.handle(c.Args[0]); h != nil && (d.NoSync == nil || !d.NoSync(h.path)) {
			h.node.sync()
		}
	case "mkdirat", "mkdir":
		return d.playName(c.Args[len(c.Args)-2], newDir())
	case "unlinkat", "unlink", "rmdir":
		path := c.Args[0]
		if c.Name == "unlinkat" {
			path = c.Args[1]
		}
		return d.playName(path, nil)
	case "renameat", "renameat2", "rename":
		return d.playRename(c)
	default:
		return d.refuse(c)
	}
	return nil
}

// refuse fails on a call that would change the folder and is not understood.
func (d *Disk) refuse(c *Call) error {
	for _, a := range c.Args {
		if strings.Contains(a, d.root+"/") {
			return fmt.Errorf("this call is not understood")
		}
	}
	return nil
}

// inside returns the names from the root to a path; ok is whether it is inside.
func (d *Disk) inside(path string) (names []string, ok bool) {
	if path == d.root {
		return nil, true
	}
	rel, ok := strings.CutPrefix(path, d.root+"/")
	if !ok {
		return nil, false
	}
	return strings.Split(filepath.Clean(rel), "/"), true
}

// parent returns the directory in which a path's last name stands.
func (d *Disk) parent(path string) (dir *node, name string, ok bool, err error) {
	names, ok := d.inside(path)
	if !ok || len(names) == 0 {
		return nil, "", false, nil
	}
	dir = d.top
	for _, n := range names[:len(names)-1] {
		if dir = dir.entries[n]; dir == nil || !dir.dir {
			return nil, "", true, fmt.Errorf("no directory %s in %s", n, path)
		}
	}
	return dir, names[len(names)-1], true, nil
}

func (d *Disk) handle(arg string) *handle {
	fd, path := descriptor(arg)
	h := d.open[fd]
	if h == nil || path == "" {
		return nil
	}
	// One that now shows a file elsewhere was closed and opened again, or is
	// another process's.
	if _, ok := d.inside(strings.TrimSuffix(path, " (deleted)")); !ok {
		return nil
	}
	return h
}

func (d *Disk) playOpen(c *Call) error {
	fd := int(c.Result)
	pathArg, flags := c.Args[0], ""
	if c.Name == "openat" {
		pathArg = c.Args[1]
		flags = c.Args[2]
	} else if c.Name == "open" {
		flags = c.Args[1]
	} else {
		flags = "O_CREAT|O_WRONLY|O_TRUNC"
	}
	path, err := unquote(pathArg)
	if err != nil {
		return err
	}
	if names, ok := d.inside(string(path)); ok && len(names) == 0 {
		d.open[fd] = &handle{node: d.top, path: string(path)}
		return nil
	}
	dir, name, ok, err := d.parent(string(path))
	if !ok || err != nil {
		return err
	}
	n := dir.entries[name]
	has := func(flag string) bool { return strings.Contains("|"+flags+"|", "|"+flag+"|") }
	switch {
	case n == nil && !has("O_CREAT"):
		return fmt.Errorf("a file was opened that is not there")
	case n == nil:
		n = &node{}
		dir.set(entry{name, n})
	case has("O_TRUNC") && len(n.data) > 0:
		n.truncate(0)
	}
	d.open[fd] = &handle{node: n, path: string(path), append: has("O_APPEND"), sync: has("O_SYNC") || has("O_DSYNC")}
	return nil
}

func (d *Disk) playWrite(c *Call) error {
	h := d.handle(c.Args[0])
	if h == nil {
		return nil
	}
	data, err := unquote(c.Args[1])
	if err != nil {
		return err
	}
	if int64(len(data)) < c.Result {
		return fmt.Errorf("%d bytes were recorded of %d that were written", len(data), c.Result)
	}
	data = data[:c.Result]
	at := h.pos
	switch {
	case c.Name == "pwrite64":
		if at, err = strconv.ParseInt(c.Args[3], 0, 64); err != nil {
			return err
		}
	case h.append:
		at = int64(len(h.node.data))
		fallthrough
	default:
		h.pos = at + c.Result
	}
	h.node.write(change{at: at, data: data})
	if h.sync && (d.NoSync == nil || !d.NoSync(h.path)) {
		h.node.sync()
	}
	return nil
}

func (d *Disk) playName(quoted string, n *node) error {
	path, err := unquote(quoted)
	if err != nil {
		return err
	}
	dir, name, ok, err := d.parent(string(path))
	if !ok || err != nil {
		return err
	}
	dir.set(entry{name, n})
	return nil
}

func (d *Disk) playRename(c *Call) error {
	from, to := c.Args[0], c.Args[1]
	if c.Name != "rename" {
		from, to = c.Args[1], c.Args[3]
	}
	fromPath, ferr := unquote(from)
	toPath, terr := unquote(to)
	if ferr != nil || terr != nil {
		return fmt.Errorf("paths %s and %s", from, to)
	}
	oldDir, oldName, ok, err := d.parent(string(fromPath))
	if !ok || err != nil {
		return err
	}
	newDir, newName, ok, err := d.parent(string(toPath))
	if !ok || err != nil {
		return err
	}
	n := oldDir.entries[oldName]
	if n == nil {
		return fmt.Errorf("a file was renamed that is not there")
	}
	if oldDir != newDir {
		newDir.set(entry{newName, n})
		oldDir.set(entry{oldName, nil})
		return nil
	}
	oldDir.set(entry{newName, n}, entry{oldName, nil})
	return nil
}

// set changes names of a directory, all together or none of them.
func (n *node) set(names ...entry) {
	c := change{names: names}
	c.apply(&n.data, n.entries)
	n.changes = append(n.changes, c)
}

func (n *node) write(c change) {
	c.apply(&n.data, nil)
	n.changes = append(n.changes, c)
}

func (n *node) truncate(size int64) { n.write(change{at: size}) }

// sync makes everything durable that the node itself is: a file's bytes, or a
// directory's names.
func (n *node) sync() {
	for _, c := range n.changes {
		c.apply(&n.synced, n.durable)
	}
	n.changes = nil
}

func (c *change) apply(data *[]byte, entries map[string]*node) {
	switch {
	case c.names != nil:
		for _, e := range c.names {
			if e.node == nil {
				delete(entries, e.name)
			} else {
				entries[e.name] = e.node
			}
		}
	case c.data == nil:
		*data = resize(*data, c.at)
	default:
		if end := c.at + int64(len(c.data)); end > int64(len(*data)) {
			*data = resize(*data, end)
		}
		copy((*data)[c.at:], c.data)
	}
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// page is what a disk writes whole.
const page = 4096

// Cut writes what the disk may hold after a power cut into a folder. With a nil
// chance everything that is not synced is dropped; otherwise every change, and
// of a write every page, is kept or dropped by it.
func (d *Disk) Cut(into string, chance *rand.Rand) error {
	return d.top.build(into, chance)
}

func (n *node) build(path string, chance *rand.Rand) error {
	if !n.dir {
		return os.WriteFile(path, n.after(chance), 0o600)
	}
	if err := os.MkdirAll(path, fs.FileMode(0o700)); err != nil {
		return err
	}
	names := map[string]*node{}
	for name, e := range n.durable {
		names[name] = e
	}
	for _, c := range n.changes {
		if chance != nil && chance.IntN(2) == 0 {
			c.apply(nil, names)
		}
	}
	for name, e := range names {
		if err := e.build(filepath.Join(path, name), chance); err != nil {
			return err
		}
	}
	return nil
}

// after returns a file's bytes after a cut.
func (n *node) after(chance *rand.Rand) []byte {
	data := bytes.Clone(n.synced)
	if chance == nil {
		return data
	}
	for _, c := range n.changes {
		if c.data == nil {
			if chance.IntN(2) == 0 {
				c.apply(&data, nil)
			}
			continue
		}
		for begin := 0; begin < len(c.data); {
			at := c.at + int64(begin)
			end := min(len(c.data), begin+int(page-at%page))
			if chance.IntN(2) == 0 {
				part := change{at: at, data: c.data[begin:end]}
				part.apply(&data, nil)
			}
			begin = end
		}
	}
	return data
}
