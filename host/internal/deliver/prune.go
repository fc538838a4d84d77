package deliver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// keepRemoved is how long the state of a destination is kept after it left the
// config.
const keepRemoved = 7 * 24 * time.Hour

// removedFile, in a destination's folder, has the time since when it is not in
// the config.
const removedFile = "removed"

// StateDir is the folder of one destination under the folder of all.
func StateDir(all string, name event.DestinationID) string {
	return filepath.Join(all, string(name))
}

// Prune drops the state of destinations that have been out of the config for
// seven days. Configured are all that are in it, enabled or not. It is called at
// start and whenever the config changes or a day has gone by.
func Prune(all string, configured []event.DestinationID, now time.Time) (dropped []event.DestinationID, err error) {
	entries, err := os.ReadDir(all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state of destinations: %w", err)
	}
	kept := make(map[string]bool, len(configured))
	for _, name := range configured {
		kept[string(name)] = true
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		gone, perr := prune(filepath.Join(all, e.Name()), kept[e.Name()], now)
		if perr != nil {
			err = errors.Join(err, fmt.Errorf("state of destination %s: %w", e.Name(), perr))
		}
		if gone {
			dropped = append(dropped, event.DestinationID(e.Name()))
		}
	}
	return dropped, err
}

func prune(dir string, keep bool, now time.Time) (gone bool, err error) {
	path := filepath.Join(dir, removedFile)
	text, err := os.ReadFile(path)
	switch {
	case keep && errors.Is(err, fs.ErrNotExist):
		return false, nil
	case keep:
		return false, os.Remove(path)
	case err == nil:
		since, perr := time.Parse(time.RFC3339, string(text))
		if perr == nil && now.Sub(since) < keepRemoved {
			return false, nil
		}
		if perr == nil {
			return true, os.RemoveAll(dir)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	return false, os.WriteFile(path, []byte(now.UTC().Format(time.RFC3339)), 0o600)
}
