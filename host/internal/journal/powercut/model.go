package powercut

// fate is what is known of a change.
type fate byte

const (
	pending fate = iota // written, not synced
	durable             // covered by a sync that succeeded
	lost                // covered by a sync that failed
)

// inode is a file or a directory, with every change in order.
type inode struct {
	isDir   bool
	symlink string
	data    []*dataChange
	names   []*nameChange

	size   int64             // of a file, at present
	unsure bool              // whether it is as it was written: a write to it never returned
	live   map[string]*inode // of a directory, at present
}

// write changes a file.
func (n *inode) write(d dataChange) {
	n.data = append(n.data, &d)
	switch {
	case !d.resize:
		n.size = max(n.size, d.offset+int64(len(d.bytes)))
	case !d.grow || d.size > n.size:
		n.size = d.size
	}
}

// rename makes names come and go.
func rename(at change, edits ...edit) {
	c := &nameChange{at, edits}
	for i, e := range edits {
		if i == 0 || e.dir != edits[0].dir {
			e.dir.names = append(e.dir.names, c)
		}
		if e.node == nil {
			delete(e.dir.live, e.name)
		} else {
			e.dir.live[e.name] = e.node
		}
	}
}

func newDir() *inode { return &inode{isDir: true, live: make(map[string]*inode)} }

// change is common to both kinds.
type change struct {
	after int // number of calls that had returned when it was made
	fate  fate
}

// dataChange is bytes at an offset, or with resize a new size.
type dataChange struct {
	change
	offset int64
	bytes  []byte
	resize bool
	size   int64
	grow   bool // a resize which never shortens
}

// nameChange is names that come and go together. One that spans two directories
// is in the list of both.
type nameChange struct {
	change
	edits []edit
}

type edit struct {
	dir  *inode
	name string
	node *inode // nil: the name goes
}

// sync covers what was changed before so many calls had returned. Names outlive
// one that fails: they are in a file system's own journal, not in pages that it
// may take for clean.
func (n *inode) sync(before int, ok bool) {
	for _, d := range n.data {
		d.cover(before, ok)
	}
	for _, c := range n.names {
		if ok {
			c.cover(before, ok)
		}
	}
}

func (c *change) cover(before int, ok bool) {
	switch {
	case c.fate != pending || c.after > before:
	case ok:
		c.fate = durable
	default:
		c.fate = lost
	}
}

// content is a file's bytes, of the changes that keep lets through; it may
// shorten a change's bytes to some of their pages.
func (n *inode) content(keep func(*dataChange) []dataChange) []byte {
	var content []byte
	for _, d := range n.data {
		for _, part := range keep(d) {
			content = part.apply(content)
		}
	}
	return content
}

func (d *dataChange) apply(content []byte) []byte {
	size := d.offset + int64(len(d.bytes))
	if d.resize {
		size = d.size
		if size < int64(len(content)) {
			if d.grow {
				return content
			}
			return content[:size:size]
		}
	}
	if size > int64(len(content)) {
		content = append(content, make([]byte, size-int64(len(content)))...)
	}
	copy(content[d.offset:], d.bytes)
	return content
}

// entries are a directory's names, of the changes that keep lets through.
func (n *inode) entries(keep func(*nameChange) bool) map[string]*inode {
	entries := make(map[string]*inode)
	for _, c := range n.names {
		if !keep(c) {
			continue
		}
		for _, e := range c.edits {
			switch {
			case e.dir != n:
			case e.node == nil:
				delete(entries, e.name)
			default:
				entries[e.name] = e.node
			}
		}
	}
	return entries
}
