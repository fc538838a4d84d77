package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	trimStep  = 64 << 20
	trimPause = 50 * time.Millisecond
)

// wake tells Run that there is one turned file more.
func (d *Destination) wake() {
	select {
	case d.trim <- struct{}{}:
	default:
	}
}

// Run removes turned files beyond those that are kept, until ctx ends. A file
// that cannot be removed is reported, and tried again at the next turn.
func (d *Destination) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.trim:
		}
		if err := d.removeOld(ctx); err != nil && ctx.Err() == nil {
			d.tell("file_not_removed", "old files of %s stay: %v", d.path, err)
		}
	}
}

func (d *Destination) removeOld(ctx context.Context) error {
	if d.rotate.Keep == 0 {
		return nil
	}
	turned, err := d.turned()
	if err != nil {
		return ignoreMissing(err)
	}
	dir := filepath.Dir(d.path)
	var errs error
	for _, name := range turned[:max(0, len(turned)-d.rotate.Keep)] {
		errs = errors.Join(errs, os.Rename(filepath.Join(dir, name), filepath.Join(dir, "."+name+".removing")))
	}
	entries, err := os.ReadDir(dir)
	errs = errors.Join(errs, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+filepath.Base(d.path)+".") && strings.HasSuffix(e.Name(), ".removing") {
			errs = errors.Join(errs, removeSlowly(ctx, filepath.Join(dir, e.Name())))
		}
	}
	return errs
}

// removeSlowly frees a file's blocks from its end, in steps.
func removeSlowly(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return ignoreMissing(err)
	}
	pause := time.NewTicker(trimPause)
	defer pause.Stop()
	for size := info.Size() - trimStep; size > 0; size -= trimStep {
		if err := os.Truncate(path, size); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
	return ignoreMissing(os.Remove(path))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
