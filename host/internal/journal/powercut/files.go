package powercut

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

func (m *machine) open(p *process, c *call, path string, flags int) error {
	p.drop(c.result)
	if c.has(flags, "O_TMPFILE") {
		if dir, _, _ := m.find(path); dir != nil {
			return errors.New("the model does not know O_TMPFILE")
		}
		return nil
	}
	dir, name, node := m.find(path)
	if dir == nil && node == nil {
		return nil
	}
	if node == nil && !c.has(flags, "O_CREAT") {
		if m.hurry(path) {
			_, _, node = m.find(path)
		}
		if node == nil {
			return fmt.Errorf("%s was opened and is not in the model", path)
		}
	}
	if node == nil {
		node = new(inode)
		rename(m.now(), edit{dir, name, node})
	} else if c.has(flags, "O_TRUNC") && !node.isDir {
		node.write(dataChange{change: m.now(), resize: true})
	}
	p.fds[c.result] = &descriptor{
		node: node, path: path, isAppend: c.has(flags, "O_APPEND"),
		isSync: (c.has(flags, "O_SYNC") || c.has(flags, "O_DSYNC")) && !m.skips(path),
	}
	if c.has(flags, "O_CLOEXEC") {
		p.cloexec[c.result] = true
	}
	return nil
}

func (m *machine) create(p *process, c *call, path string) error {
	return m.open(p, &call{args: []string{"", "O_CREAT|O_TRUNC"}, result: c.result}, path, 1)
}

func (m *machine) seek(p *process, c *call) error {
	fd, err := c.number(0)
	if d := p.fds[fd]; d != nil {
		d.offset = c.result
	}
	return err
}

func (m *machine) write(p *process, c *call) error {
	fd, err := c.number(0)
	if err != nil {
		return err
	}
	d := p.fds[fd]
	data, err := c.written()
	if d == nil {
		m.event.FD, m.event.Output = int(fd), data
		return nil // what goes elsewhere need not be whole
	}
	if err != nil {
		return err
	}
	if int64(len(data)) < c.result {
		return fmt.Errorf("the log has %d of %d bytes", len(data), c.result)
	}
	data = data[:c.result]
	offset := d.offset
	switch {
	case c.name != "write" && c.name != "writev":
		if offset, err = c.number(len(c.args) - 1); err != nil {
			return err
		}
	case d.isAppend:
		offset = d.node.size
		fallthrough
	default:
		d.offset = offset + c.result
	}
	at := m.now()
	if d.isSync {
		at.fate = durable
	}
	d.node.write(dataChange{change: at, offset: offset, bytes: data})
	return nil
}

// hang notes a file to which something was being written when the process ended.
func (m *machine) hang(p *process, c *call) error {
	switch c.name {
	case "write", "pwrite64", "writev", "pwritev", "ftruncate":
		fd, err := c.number(0)
		if d := p.fds[fd]; d != nil {
			d.node.unsure = true
		}
		return err
	}
	return nil
}

// written is the bytes that a call was to write.
func (c *call) written() ([]byte, error) {
	if len(c.args) < 2 {
		return nil, errors.New("too few arguments")
	}
	if c.name == "write" || c.name == "pwrite64" {
		return c.text(1)
	}
	return c.vector(1)
}

func (m *machine) truncate(_ *process, c *call, path string) error {
	_, _, node := m.find(path)
	return m.resize(node, c, false)
}

func (m *machine) ftruncate(p *process, c *call) error {
	fd, err := c.number(0)
	if d := p.fds[fd]; d != nil {
		return m.resize(d.node, c, false)
	}
	return err
}

func (m *machine) fallocate(p *process, c *call) error {
	fd, err := c.number(0)
	d := p.fds[fd]
	if d == nil || c.has(1, "FALLOC_FL_KEEP_SIZE") {
		return err
	}
	if c.args[1] != "0" {
		return fmt.Errorf("the model does not know mode %s", c.args[1])
	}
	offset, err1 := c.number(2)
	length, err2 := c.number(3)
	d.node.write(dataChange{change: m.now(), resize: true, grow: true, size: offset + length})
	return errors.Join(err1, err2)
}

func (m *machine) resize(node *inode, c *call, grow bool) error {
	size, err := c.number(1)
	if node != nil {
		node.write(dataChange{change: m.now(), resize: true, grow: grow, size: size})
	}
	return err
}

// refuseInside fails for a call on a path below the root.
func (m *machine) refuseInside(_ *process, _ *call, path string) error {
	if dir, _, node := m.find(path); dir != nil || node != nil {
		return errors.New("the model does not know this call below the root")
	}
	return nil
}

// refuseTracked fails for a call that moves bytes without showing them.
func (m *machine) refuseTracked(p *process, c *call) error {
	for i := range c.args {
		fd, err := c.number(i)
		if d := p.fds[fd]; err == nil && d != nil && (c.name != "sendfile" || i == 0) {
			return errors.New("the model does not know this call on a file below the root")
		}
	}
	return nil
}

func (m *machine) mmap(p *process, c *call) error {
	if len(c.args) < 5 || !c.has(2, "PROT_WRITE") || !c.has(3, "MAP_SHARED") {
		return nil
	}
	fd, err := c.number(4)
	if p.fds[fd] != nil && err == nil {
		return errors.New("the model does not know writes through a mapping")
	}
	return nil
}

// sync is fsync and fdatasync, which may fail.
func (m *machine) sync(p *process, c *call) error {
	fd, err := c.number(0)
	if d := p.fds[fd]; d != nil && !m.skips(d.path) {
		d.node.sync(c.before, c.result >= 0)
	}
	return err
}

func (m *machine) skips(path string) bool { return m.noSync != nil && m.noSync(path) }

func (m *machine) syncAll(_ *process, c *call) error {
	all := []*inode{m.top}
	for len(all) > 0 {
		n := all[0]
		all = all[1:]
		n.sync(c.before, true)
		for _, child := range n.live {
			all = append(all, child)
		}
	}
	return nil
}

func (m *machine) rename(p *process, c *call) error {
	from, to, err := m.twoPaths(p, c)
	if err != nil {
		return err
	}
	if c.name == "renameat2" && (c.has(4, "RENAME_EXCHANGE") || c.has(4, "RENAME_WHITEOUT")) {
		return errors.New("the model does not know these flags")
	}
	oldDir, oldName, node := m.find(from)
	if oldDir != nil && node == nil && m.hurry(from) {
		_, _, node = m.find(from)
	}
	newDir, newName, _ := m.find(to)
	if oldDir == nil && newDir == nil {
		return nil
	}
	if oldDir == nil || newDir == nil || node == nil {
		return errors.New("a rename across the root")
	}
	if oldDir == newDir && oldName == newName {
		return nil
	}
	rename(m.now(), edit{oldDir, oldName, nil}, edit{newDir, newName, node})
	return nil
}

func (m *machine) link(p *process, c *call) error {
	from, to, err := m.twoPaths(p, c)
	if err != nil {
		return err
	}
	_, _, node := m.find(from)
	dir, name, _ := m.find(to)
	if dir == nil {
		return nil
	}
	if node == nil {
		return errors.New("a link across the root")
	}
	rename(m.now(), edit{dir, name, node})
	return nil
}

func (m *machine) twoPaths(p *process, c *call) (from, to string, err error) {
	places := [4]int{-1, 0, -1, 1}
	if c.name != "rename" && c.name != "link" {
		places = [4]int{0, 1, 2, 3}
	}
	from, err1 := m.path(p, c, places[0], places[1])
	to, err2 := m.path(p, c, places[2], places[3])
	return from, to, errors.Join(err1, err2)
}

func (m *machine) unlink(_ *process, _ *call, path string) error {
	if dir, name, node := m.find(path); dir != nil && node != nil {
		rename(m.now(), edit{dir, name, nil})
	}
	return nil
}

func (m *machine) symlink(_ *process, c *call, path string) error {
	target, err := c.text(0)
	if dir, name, _ := m.find(path); dir != nil {
		rename(m.now(), edit{dir, name, &inode{symlink: string(target)}})
	}
	return err
}

func (m *machine) mkdir(_ *process, _ *call, path string) error {
	if dir, name, _ := m.find(path); dir != nil {
		rename(m.now(), edit{dir, name, newDir()})
	}
	return nil
}

// bind gives a unix socket a name. What is found there after a cut is an empty
// file: nobody listens on either.
func (m *machine) bind(p *process, c *call) error {
	if len(c.args) < 2 {
		return fmt.Errorf("bind has no address")
	}
	_, rest, ok := strings.Cut(c.args[1], "sun_path=\"")
	if !ok {
		return nil
	}
	quoted, _, _ := strings.Cut(rest, "\"")
	name, err := unquote(`"` + quoted + `"`)
	if err != nil {
		return err
	}
	path := string(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.cwd, path)
	}
	if dir, name, _ := m.find(path); dir != nil {
		rename(m.now(), edit{dir, name, &inode{}})
	}
	return nil
}
