package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// blockFiles makes a stream's messages durable. JetStream appends them to
// numbered block files and begins the next file when one is full; it has
// written a message when it acknowledges it, but has synced neither the file
// nor, where the file is new, its name in the directory. It is for one goroutine
// at a time.
type blockFiles struct {
	dir  string
	disk *disk

	current *os.File // the newest block that was synced; nil: closed
	index   uint64   // its number
	durable int64    // how much of it is known to be on disk
}

// openBlocks makes everything in a stream's directory durable and returns what
// keeps it so.
func openBlocks(dir string, d *disk) (*blockFiles, error) {
	b := &blockFiles{dir: dir, disk: d}
	if err := b.rescan(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// sync makes durable what was acknowledged before the call.
func (b *blockFiles) sync() error {
	same, err := b.stillNewest()
	if err != nil {
		return err
	}
	if !same {
		return b.rescan()
	}
	return b.syncCurrent()
}

// stillNewest reports whether the open block is still the one that JetStream
// appends to: it has its name, and no block follows it.
func (b *blockFiles) stillNewest() (bool, error) {
	if b.current == nil {
		return false, nil
	}
	opened, err := b.current.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(b.path(b.index))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = os.Stat(b.path(b.index + 1))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return err != nil && os.SameFile(opened, named), nil
}

// rescan syncs every block that is not older than the last one that was synced,
// then the directory, and goes on with the newest.
func (b *blockFiles) rescan() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	from := b.index
	for _, e := range entries {
		if index, ok := blockIndex(e.Name()); ok && index >= from {
			if err := b.syncBlock(index); err != nil {
				return err
			}
		}
	}
	return b.disk.syncDir(b.dir)
}

// syncBlock syncs a block, which retention may have removed, and keeps it open
// where it is the newest.
func (b *blockFiles) syncBlock(index uint64) error {
	f, err := os.OpenFile(b.path(index), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if index < b.index {
		return errors.Join(b.disk.syncFile(f, 0), f.Close())
	}
	if index > b.index {
		b.durable = 0
	}
	b.close()
	b.current, b.index = f, index
	return b.syncCurrent()
}

func (b *blockFiles) syncCurrent() error {
	info, err := b.current.Stat()
	if err != nil {
		return err
	}
	if err := b.disk.syncFile(b.current, b.durable); err != nil {
		return err
	}
	b.durable = info.Size()
	return nil
}

// close closes the open block until the next sync.
func (b *blockFiles) close() {
	if b.current != nil {
		_ = b.current.Close() // a failed sync has told
		b.current = nil
	}
}

func (b *blockFiles) path(index uint64) string {
	return filepath.Join(b.dir, strconv.FormatUint(index, 10)+blockSuffix)
}

const blockSuffix = ".blk"

func blockIndex(name string) (uint64, bool) {
	number, ok := strings.CutSuffix(name, blockSuffix)
	index, err := strconv.ParseUint(number, 10, 64)
	return index, ok && err == nil
}
