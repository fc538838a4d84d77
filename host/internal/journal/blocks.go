package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// blockFiles makes a stream's messages durable. JetStream appends them to
// numbered block files and begins the next file when one is full; it has
// written a message when it acknowledges it, but has synced neither the file
// nor, where the file is new, its name in the directory.
type blockFiles struct {
	dir     string
	syncDir func(path string) error

	mu      sync.Mutex // one sync at a time
	current *os.File   // the newest block that was synced
	index   uint64     // its number
}

// openBlocks makes everything in a stream's directory durable and returns what
// keeps it so.
func openBlocks(dir string, syncDir func(string) error) (*blockFiles, error) {
	b := &blockFiles{dir: dir, syncDir: syncDir}
	if err := b.rescan(0); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// sync makes durable what was acknowledged before the call.
func (b *blockFiles) sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == nil {
		return b.rescan(b.index)
	}
	named, err := os.Stat(b.path(b.index))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	opened, err2 := b.current.Stat()
	if err2 != nil {
		return err2
	}
	if err != nil || !os.SameFile(named, opened) {
		return b.rescan(b.index)
	}
	switch _, err := os.Stat(b.path(b.index + 1)); {
	case err == nil:
		return b.rescan(b.index)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return b.current.Sync()
}

// rescan syncs every block from number from on, then the directory, and goes on
// with the newest.
func (b *blockFiles) rescan(from uint64) error {
	b.close()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		index, ok := blockIndex(e.Name())
		if !ok || index < from {
			continue
		}
		if err := b.syncBlock(index); err != nil {
			return err
		}
	}
	if err := b.syncDir(b.dir); err != nil {
		return fmt.Errorf("sync %s: %w", b.dir, err)
	}
	return nil
}

// syncBlock syncs a block, which may have been removed by retention, and keeps
// it open where it is the newest.
func (b *blockFiles) syncBlock(index uint64) error {
	f, err := os.OpenFile(b.path(index), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	if b.current != nil && index < b.index {
		return f.Close()
	}
	b.close()
	b.current, b.index = f, index
	return nil
}

func (b *blockFiles) path(index uint64) string {
	return filepath.Join(b.dir, strconv.FormatUint(index, 10)+blockSuffix)
}

func (b *blockFiles) close() {
	if b.current != nil {
		b.current.Close()
		b.current = nil
	}
}

const blockSuffix = ".blk"

func blockIndex(name string) (uint64, bool) {
	number, ok := strings.CutSuffix(name, blockSuffix)
	index, err := strconv.ParseUint(number, 10, 64)
	return index, ok && err == nil
}
