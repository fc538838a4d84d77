package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// Destination appends to one file. It implements destination.Flusher, Batcher,
// Runner and Closer.
type Destination struct {
	rotate Rotate
	// path is where the file is, symbolic links followed.
	path string
	disk disk
	// trim wakes Run.
	trim chan struct{}

	mu     sync.Mutex
	notify func(destination.Notice)

	file *os.File
	id   identity
	// size is the file's length, all of it whole lines.
	size int64
	// begun is up to where the disk was asked to begin writing.
	begun int64
	// next is the file that replaces this one at the next Send; nil: it stays.
	next *turn
	// shared is whether it was told that someone else writes to the file.
	shared bool
	buffer []byte
}

const (
	batchEvents = 4096
	batchBytes  = 1 << 20
)

// ahead is after how many bytes the disk is asked to begin writing them. What is
// left for the sync is then little: one of many megabytes holds up the journal's
// own syncs for 10 ms and more where both are on one file system.
const ahead = 256 << 10

// New returns a destination for a config that Validate found good. Resume opens
// the file.
func New(c Config) (*Destination, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	path, err := resolve(string(c.Path))
	if err != nil {
		return nil, err
	}
	d := &Destination{rotate: c.Rotate, path: path, disk: osDisk{}, trim: make(chan struct{}, 1)}
	d.trim <- struct{}{} // what an earlier run left
	return d, nil
}

// resolve follows symbolic links, so that a turn replaces the file and not a
// link to it.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}

// Batch makes large batches, since each is one write.
func (d *Destination) Batch() (events, bytes int) { return batchEvents, batchBytes }

// Send appends the batch in one write.
func (d *Destination) Send(_ context.Context, batch []destination.Event) error {
	if d.next != nil {
		if err := d.turn(); err != nil {
			e := d.failed("turn", err)
			e.Lost = true // Resume finds out how far it came
			return e
		}
	}
	if err := d.checkLinked(); err != nil {
		return err
	}
	d.buffer = d.buffer[:0]
	for i := range batch {
		d.buffer = append(append(d.buffer, batch[i].JSON...), '\n')
	}
	n, err := d.disk.write(d.file, d.buffer)
	if err != nil {
		e := d.failed("write", err)
		if n > 0 {
			err = d.disk.truncate(d.file, d.size)
			e.Lost, e.Err = err != nil, errors.Join(e.Err, err)
		}
		return e
	}
	begun := min(d.begun, d.size) // of this file: it may be another than at the last Send
	d.size += int64(n)
	if d.size-begun >= ahead {
		d.disk.begin(d.file, begun, d.size-begun)
		begun = d.size
	}
	d.begun = begun
	if cap(d.buffer) > 2*batchBytes {
		d.buffer = nil // it grew for one large event
	}
	return nil
}

// Flush syncs the file. Where it is full, or was moved, it prepares the next.
func (d *Destination) Flush(context.Context) (mark []byte, err error) {
	if err := d.disk.sync(d.file); err != nil {
		return nil, d.failed("sync", err)
	}
	if err := d.checkLinked(); err != nil {
		return nil, err
	}
	if d.next == nil {
		if err := d.plan(); err != nil {
			return nil, d.failed("prepare the next file for", err)
		}
	}
	m, err := d.mark()
	if err != nil {
		return nil, d.failed("read back", err)
	}
	return m.encode()
}

// plan decides whether the file goes on, and prepares the next if not.
func (d *Destination) plan() error {
	here, err := d.disk.stat(d.path)
	size := d.size
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && here.id != d.id:
		d.tell("file_moved", "%s was moved by someone else; a new file begins there", d.path)
		return d.prepare(false)
	case err != nil:
		return err
	case here.size < size:
		d.tell("file_shortened", "%s was shortened by someone else from %d to %d bytes; it is set aside and a new file begins", d.path, size, here.size)
		return d.prepare(false)
	case here.size > size:
		if !d.shared {
			d.tell("file_shared", "someone else writes to %s too, which may lose or tear lines", d.path)
		}
		d.shared, d.size = true, here.size
	}
	if d.rotate.Bytes > 0 && d.size >= int64(d.rotate.Bytes) {
		return d.prepare(true)
	}
	return nil
}

// checkLinked tells whether the open file still has a name. Without one, all that
// was written since the last mark is lost.
func (d *Destination) checkLinked() error {
	here, err := d.disk.fstat(d.file)
	if err != nil {
		return d.failed("stat", err)
	}
	if here.links > 0 {
		return nil
	}
	return &destination.Error{
		Code: "file_removed", Lost: true,
		Err: fmt.Errorf("%s was removed by someone else", d.path),
	}
}

// Close closes the file.
func (d *Destination) Close() error {
	var err error
	if d.next != nil {
		err = d.next.file.Close()
	}
	if d.file != nil {
		err = errors.Join(err, d.file.Close())
	}
	d.file, d.next = nil, nil
	return err
}

func (d *Destination) tell(code, format string, args ...any) {
	d.mu.Lock()
	notify := d.notify
	d.mu.Unlock()
	notify(destination.Notice{Code: code, Text: fmt.Sprintf(format, args...)})
}

// failed says what an error of the file system means.
func (d *Destination) failed(what string, err error) *destination.Error {
	e := &destination.Error{Code: "io_error", Err: fmt.Errorf("%s %s: %w", what, d.path, err)}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code = "disk_full"
		e.Hint = "make room on the file system of " + filepath.Dir(d.path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Code, e.Attention = "not_permitted", true
		e.Hint = "let the host's user write to " + filepath.Dir(d.path)
	case errors.Is(err, errNotRegular):
		e.Code, e.Attention = "not_a_file", true
		e.Hint = "give the destination a path of its own"
	case errors.Is(err, errInUse):
		e.Code, e.Attention = "file_in_use", true
		e.Hint = "give each destination a path of its own"
	}
	return e
}
