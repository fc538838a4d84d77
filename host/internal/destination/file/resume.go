package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// Resume opens the file and brings it back to the mark.
func (d *Destination) Resume(_ context.Context, raw []byte, notify func(destination.Notice)) error {
	d.mu.Lock()
	d.notify = notify
	d.mu.Unlock()
	if err := d.Close(); err != nil {
		return d.failed("close", err)
	}
	m, err := decodeMark(raw)
	if err != nil {
		return &destination.Error{
			Code: "mark", Attention: true, Err: err,
			Hint: "run the host that wrote it, or remove the destination's state: events may then come twice",
		}
	}
	if err := d.disk.makeDir(filepath.Dir(d.path)); err != nil {
		return d.failed("make the folder of", err)
	}
	switch {
	case m == nil:
		err = d.adopt()
	case m.Next != nil:
		err = d.completeTurn(m)
	default:
		err = d.reopen(m)
	}
	if err != nil {
		return d.failed("open", err)
	}
	return nil
}

// adopt begins without a mark: what is there is kept, and appended to.
func (d *Destination) adopt() error {
	if err := d.open(os.O_CREATE); err != nil || d.size == 0 {
		return err
	}
	d.tell("file_existed", "%s existed with %d bytes; events are appended to it", d.path, d.size)
	last := make([]byte, 1)
	if _, err := d.file.ReadAt(last, d.size-1); err != nil || last[0] == '\n' {
		return err
	}
	if _, err := d.disk.write(d.file, []byte{'\n'}); err != nil {
		return err
	}
	d.size++
	return nil
}

// reopen goes on with the file of the mark, cut to it, or begins a new one where
// it is not what it was.
func (d *Destination) reopen(m *mark) error {
	err := d.open(0)
	if errors.Is(err, fs.ErrNotExist) {
		d.tell("file_moved", "%s is gone, moved or removed by someone else; a new file begins there", d.path)
		return d.open(os.O_CREATE)
	}
	if err != nil {
		return err
	}
	ours, err := d.holds(m)
	if err != nil {
		return err
	}
	if !ours {
		return d.setAside()
	}
	if d.size == m.Offset {
		return nil
	}
	d.size = m.Offset
	return d.disk.truncate(d.file, d.size)
}

// holds tells whether the open file is the mark's, with all that the mark covers.
func (d *Destination) holds(m *mark) (bool, error) {
	switch {
	case d.id != m.File:
		d.tell("file_replaced", "%s is another file than the one that was written; it is set aside and a new file begins", d.path)
		return false, nil
	case d.size < m.Offset:
		d.tell("file_shortened", "%s was shortened by someone else from %d to %d bytes; it is set aside and a new file begins", d.path, m.Offset, d.size)
		return false, nil
	}
	tail, err := tailOf(d.file, m.Offset)
	if err == nil && tail != m.Tail {
		d.tell("file_replaced", "%s has other content than was written; it is set aside and a new file begins", d.path)
	}
	return tail == m.Tail, err
}

// setAside puts a new file in the place of the open one, which is someone
// else's. An empty one is used.
func (d *Destination) setAside() error {
	if d.size == 0 {
		return nil
	}
	if err := d.Close(); err != nil {
		return err
	}
	if err := d.aside(d.path); err != nil {
		return err
	}
	return d.open(os.O_CREATE)
}

// completeTurn goes on where a turn was when the host ended. The next file has
// nothing yet that a mark covers.
func (d *Destination) completeTurn(m *mark) error {
	here, err := d.disk.stat(d.path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && here.id == m.Next.File:
		if err := d.open(0); err != nil || d.size == 0 {
			return err
		}
		d.size = 0
		d.wake()
		return d.disk.truncate(d.file, 0)
	}
	next, err := d.disk.stat(d.nextPath())
	switch {
	case err == nil && next.id == m.Next.File:
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case here.id != m.File:
		return d.reopen(m) // neither file is left
	}
	d.id, d.size = m.File, m.Offset
	if err := d.prepare(m.Next.Rotate); err != nil {
		return err
	}
	return d.turn()
}

// open opens the path for appending.
func (d *Destination) open(flags int) error {
	f, here, err := d.openFile(d.path, flags)
	if err != nil {
		return err
	}
	d.file, d.id, d.size, d.shared = f, here.id, here.size, false
	return nil
}
