package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
)

// suspects are the files of which a sync has failed. The kernel then takes their
// pages for clean: it may drop them, and another sync would succeed without
// writing anything. So the bytes are written again before the file is trusted.
type suspects struct {
	mu    sync.Mutex
	files map[string]int64 // path → bytes from its start that are on disk
}

func (s *suspects) add(path string, durable int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = make(map[string]int64)
	}
	if known, ok := s.files[path]; !ok || durable < known {
		s.files[path] = durable
	}
}

// rewrite writes the doubtful bytes of every suspect again. Nothing else may
// write to them meanwhile. What was lost already is found by its checksum later.
func (s *suspects) rewrite(via *seams) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, from := range s.files {
		if err := via.rewrite(path, from, via.syncFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rewrite %s: %w", path, err)
		}
		delete(s.files, path)
	}
	return nil
}

// rewriteFile writes a file's bytes from an offset on again, and syncs it.
func rewriteFile(path string, from int64, sync func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, math.MaxInt64-from))
	if err == nil {
		_, err = f.WriteAt(data, from)
	}
	if err == nil {
		err = sync(f)
	}
	return errors.Join(err, f.Close())
}
