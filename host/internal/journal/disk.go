package journal

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// seams are where a test interferes: with the disk, and with what takes long.
type seams struct {
	syncFile func(*os.File) error
	syncDir  func(path string) error
	rewrite  func(path string, from int64, sync func(*os.File) error) error
	space    func(dir string) (space, error)

	publishTimeout func() time.Duration // the wait for an acknowledgement
	watch          time.Duration        // between looks at the disk
	retryMin       time.Duration        // between attempts to reopen the storage
	retryMax       time.Duration
}

var production = seams{
	syncFile:       (*os.File).Sync,
	syncDir:        syncPath,
	rewrite:        rewriteFile,
	space:          statSpace,
	publishTimeout: func() time.Duration { return 10 * time.Second },
	watch:          time.Second,
	retryMin:       time.Second,
	retryMax:       30 * time.Second,
}

// disk is the journal's way to the file system's syncs and its free space.
type disk struct {
	seams    *seams
	suspects suspects
}

// errSync marks what a sync has said.
var errSync = errors.New("sync failed")

// syncFile syncs a file of which the first durable bytes are known to be on disk.
func (d *disk) syncFile(f *os.File, durable int64) error {
	if err := d.seams.syncFile(f); err != nil {
		d.suspects.add(f.Name(), durable)
		return fmt.Errorf("%w: %s: %w", errSync, f.Name(), err)
	}
	return nil
}

func (d *disk) syncDir(path string) error {
	if err := d.seams.syncDir(path); err != nil {
		return fmt.Errorf("%w: %s: %w", errSync, path, err)
	}
	return nil
}
