package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// turn is the end of a file, planned by Flush and done by the next Send, when the
// mark that names the next file has been kept.
type turn struct {
	file *os.File
	id   identity
	// rotate: the current file gets a name with a time. Otherwise someone else
	// moved it, or put another in its place.
	rotate bool
}

func (d *Destination) nextPath() string {
	return filepath.Join(filepath.Dir(d.path), "."+filepath.Base(d.path)+".next")
}

// prepare makes the next file, empty, under a name of its own.
func (d *Destination) prepare(rotate bool) error {
	if err := d.disk.makeDir(filepath.Dir(d.path)); err != nil {
		return err
	}
	f, here, err := d.openFile(d.nextPath(), os.O_CREATE)
	if err != nil {
		return err
	}
	if here.size > 0 { // not ours: it is only ever written under the other name
		if err := errors.Join(f.Close(), d.aside(d.nextPath())); err != nil {
			return err
		}
		return d.prepare(rotate)
	}
	d.next = &turn{file: f, id: here.id, rotate: rotate}
	return nil
}

// turn puts the next file in the place of the current one. Each step is found
// done, or not done, by whoever comes after a kill.
func (d *Destination) turn() error {
	here, err := d.disk.stat(d.path)
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !gone:
		return err
	case !gone && here.id == d.next.id:
	case !gone && here.id == d.id && d.next.rotate:
		err = d.moveAway(d.path, "")
	case !gone && here.size > 0:
		err = d.aside(d.path)
	default:
		err = nil
	}
	if err != nil {
		return err
	}
	if gone || here.id != d.next.id {
		if err := d.disk.rename(d.nextPath(), d.path); err != nil {
			return err
		}
	}
	if err := d.disk.syncDir(filepath.Dir(d.path)); err != nil {
		return err
	}
	old := d.file
	d.file, d.id, d.size, d.shared, d.next = d.next.file, d.next.id, 0, false, nil
	d.wake()
	if old != nil {
		return old.Close()
	}
	return nil
}

// stamp is the form of a time in a file's name: as text it sorts as the time does.
const stamp = "20060102T150405.000Z"

// aside renames a file that is someone else's.
func (d *Destination) aside(path string) error { return d.moveAway(path, ".aside") }

// moveAway renames a file to the path with a time that no file has, and that is
// later than that of every turned file, whatever the clock says.
func (d *Destination) moveAway(path, suffix string) error {
	t := time.Now().UTC().Truncate(time.Millisecond)
	turned, err := d.turned()
	if err != nil {
		return err
	}
	if n := len(turned); n > 0 {
		newest, err := time.Parse(stamp, turned[n-1][len(filepath.Base(d.path))+1:])
		if err == nil && !t.After(newest) {
			t = newest.Add(time.Millisecond)
		}
	}
	for ; ; t = t.Add(time.Millisecond) {
		name := d.path + "." + t.Format(stamp) + suffix
		_, err := d.disk.stat(name)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := d.disk.rename(path, name); err != nil {
			return err
		}
		return d.disk.syncDir(filepath.Dir(path))
	}
}

// turned lists the names of turned files, oldest first.
func (d *Destination) turned() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(d.path))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		after, ok := strings.CutPrefix(e.Name(), filepath.Base(d.path)+".")
		if _, err := time.Parse(stamp, after); ok && err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
