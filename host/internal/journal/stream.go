package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one log on one run of the server, as its only writer sees it.
type stream struct {
	config  streamConfig
	store   *store
	pub     *publisher
	disk    *disk
	latency *latency

	opened streamState // what it held when it was opened
	last   uint64      // number of the newest frame
	end    uint64      // offset of the next frame

	dirty  atomic.Bool // something was acknowledged since the last sync began
	mu     sync.Mutex  // one sync at a time; guards what follows
	blocks *blockFiles
	failed error // why a sync failed; none succeeds after it, see suspects
}

// openStream makes the stream exist and all of it durable, names and metadata
// included.
func openStream(ctx context.Context, s *stream) (*stream, error) {
	if err := s.store.ensure(ctx, s.config); err != nil {
		return nil, err
	}
	if err := s.syncMeta(); err != nil {
		return nil, err
	}
	var err error
	if s.blocks, err = openBlocks(s.store.blocks(s.config.name), s.disk); err != nil {
		return nil, err
	}
	state, err := s.store.state(ctx, s.config.name)
	if err == nil {
		s.opened, s.last = state, state.last
		s.end, err = s.findEnd(ctx, state)
	}
	if err != nil {
		s.rest()
		return nil, err
	}
	return s, nil
}

// syncMeta syncs the files that describe the stream, and every directory from
// it up to the journal's.
func (s *stream) syncMeta() error {
	dir := filepath.Dir(s.store.blocks(s.config.name))
	for _, file := range metaFiles {
		if err := syncPath(filepath.Join(dir, file)); err != nil { // a new file at each write: no suspect
			return err
		}
	}
	for ; ; dir = filepath.Dir(dir) {
		if err := s.disk.syncDir(dir); err != nil {
			return err
		}
		if dir == s.store.dir {
			return nil
		}
	}
}

// findEnd returns the offset at which the next frame begins. Frames at the end
// that cannot be read leave it a little short.
func (s *stream) findEnd(ctx context.Context, state streamState) (uint64, error) {
	for seq := state.last; seq >= state.first && seq > 0; seq-- {
		data, at, found, err := s.store.fetch(ctx, s.config.name, seq)
		if err != nil {
			return 0, err
		}
		if !found || at != seq {
			continue
		}
		if f, err := decodeFrame(data); err == nil {
			return f.End(), nil
		}
	}
	return 0, nil
}

// append stores a frame. It is durable after the next sync.
func (s *stream) append(frame []byte) error {
	seq, err := s.pub.publish(s.config.name, frame)
	if err != nil {
		return err
	}
	s.dirty.Store(true)
	if seq != s.last+1 {
		return fmt.Errorf("frame %d of %s was stored as %d: something else writes to it", s.last+1, s.config.name, seq)
	}
	s.last = seq
	s.end += uint64(len(frame))
	return nil
}

// sync returns when every frame that was acknowledged before the call is durable.
func (s *stream) sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || !s.dirty.Swap(false) {
		return s.failed
	}
	start := time.Now()
	if s.failed = s.blocks.sync(); s.failed == nil {
		s.latency.add(time.Since(start))
	}
	return s.failed
}

// rest closes the stream's file until the next sync.
func (s *stream) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks.close()
}
