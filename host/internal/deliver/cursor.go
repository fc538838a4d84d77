package deliver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// cursor is what a loop knows after a restart.
type cursor struct {
	Version int `json:"v"`
	// Saved numbers the saves of one file; the highest whole one counts.
	Saved uint64 `json:"saved"`
	// Position is the first event that the destination does not have yet,
	// Offset the journal's bytes before its frame.
	Position event.Position `json:"position"`
	Offset   uint64         `json:"offset"`
	// Mark is the destination's own, of a Flusher.
	Mark []byte `json:"mark,omitempty"`
	// Time is when the destination last took something, or the loop began.
	Time time.Time `json:"time"`
	// Skipped and GapFrames have been counted since the destination exists.
	Skipped   uint64 `json:"skipped,omitempty"`
	GapFrames uint64 `json:"gap_frames,omitempty"`
}

const (
	cursorVersion = 1
	cursorSlots   = 3
	slotSize      = 8192
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cursorFile keeps a cursor in a file of three slots, each a line of checksum and
// JSON. A save writes in place and never touches the slot that was synced last
// nor the newest one: so a kill costs nothing, a power cut at most what was
// saved without a sync, and a full disk cannot stop it.
type cursorFile struct {
	f      *os.File
	last   cursor
	newest int // slot of last
	synced int
}

// openCursor opens the file in dir, making both; found is false where it is new.
func openCursor(dir string) (c *cursorFile, found bool, err error) {
	if err := makeDir(dir); err != nil {
		return nil, false, fmt.Errorf("folder of the cursor: %w", err)
	}
	path := filepath.Join(dir, "cursor")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createCursor(dir, path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("cursor: %w", err)
	}
	c = &cursorFile{f: f}
	if found, err = c.load(); err != nil {
		return nil, false, errors.Join(fmt.Errorf("cursor %s: %w", path, err), f.Close())
	}
	return c, found, nil
}

// createCursor makes the file at its full size under another name first.
func createCursor(dir, path string) (*os.File, error) {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, cursorSlots*slotSize))
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// load reads the newest whole slot, and syncs it: nobody knows whether it was.
func (c *cursorFile) load() (found bool, err error) {
	var torn int
	for slot := range cursorSlots {
		b := make([]byte, slotSize)
		if _, err := c.f.ReadAt(b, int64(slot)*slotSize); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if b[0] == 0 {
			continue
		}
		cur, err := decodeSlot(b)
		switch {
		case err != nil:
			torn++
		case cur.Version > cursorVersion:
			return false, fmt.Errorf("its format version is %d, this host knows %d: run the newer host", cur.Version, cursorVersion)
		case !found || cur.Saved > c.last.Saved:
			c.last, c.newest, found = cur, slot, true
		}
	}
	if !found && torn > 0 {
		return false, errors.New("no whole record in it: restore it, or remove it to start as a new destination")
	}
	c.synced = c.newest
	return found, syncData(c.f)
}

func decodeSlot(b []byte) (c cursor, err error) {
	line, _, ok := bytes.Cut(b, []byte("\n"))
	sum, record, ok2 := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || !ok2 || err != nil || uint32(want) != crc32.Checksum(record, castagnoli) {
		return c, errors.New("torn record")
	}
	return c, json.Unmarshal(record, &c)
}

// save replaces the cursor. It survives a kill at once, and a power cut once a
// save with sync has returned.
func (c *cursorFile) save(next cursor, sync bool) error {
	next.Version, next.Saved = cursorVersion, c.last.Saved+1
	record, err := json.Marshal(next)
	if err != nil {
		return err
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(record, castagnoli), record)
	if len(line) > slotSize {
		return fmt.Errorf("cursor of %d bytes, the destination's mark is too long", len(line))
	}
	slot := 0
	for slot == c.newest || slot == c.synced {
		slot++
	}
	if _, err := c.f.WriteAt(line, int64(slot)*slotSize); err != nil {
		return err
	}
	if sync {
		if err := syncData(c.f); err != nil {
			return err
		}
		c.synced = slot
	}
	c.last, c.newest = next, slot
	return nil
}

func (c *cursorFile) close() error { return c.f.Close() }

// makeDir makes a folder and those above it, durably: with the folder of a cursor
// a power cut would take the cursor.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
