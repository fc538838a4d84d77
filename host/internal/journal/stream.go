package journal

import (
	"context"
	"fmt"
	"path/filepath"
)

// stream is one log on one run of the server, as its only writer sees it.
type stream struct {
	config streamConfig
	store  *store
	pub    *publisher
	blocks *blockFiles
	last   uint64 // sequence number of the newest frame
	end    uint64 // offset of the next frame
}

// openStream makes the stream exist and all of it durable, names and metadata
// included.
func openStream(ctx context.Context, st *store, pub *publisher, c streamConfig) (*stream, error) {
	if err := st.ensure(ctx, c); err != nil {
		return nil, err
	}
	s := &stream{config: c, store: st, pub: pub}
	if err := s.syncMeta(); err != nil {
		return nil, err
	}
	var err error
	if s.blocks, err = openBlocks(st.blocks(c.name), syncPath); err != nil {
		return nil, err
	}
	state, err := st.state(ctx, c.name)
	if err == nil {
		s.last = state.last
		s.end, err = s.findEnd(ctx, state)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// syncMeta syncs the files that describe the stream, and every directory from
// it up to the one that holds the journal.
func (s *stream) syncMeta() error {
	msgs := s.store.blocks(s.config.name)
	dir := filepath.Dir(msgs)
	for _, file := range []string{"meta.inf", "meta.sum"} {
		if err := syncPath(filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	for ; ; dir = filepath.Dir(dir) {
		if err := syncPath(dir); err != nil {
			return err
		}
		if dir == s.store.dir {
			return nil
		}
	}
}

// findEnd returns the offset at which the next frame begins. Frames that cannot
// be read any more leave it a little short.
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
	if seq != s.last+1 {
		return fmt.Errorf("frame %d of %s was stored as %d: something else writes to it", s.last+1, s.config.name, seq)
	}
	s.last = seq
	s.end += uint64(len(frame))
	return nil
}

// sync makes every appended frame durable.
func (s *stream) sync() error { return s.blocks.sync() }

func (s *stream) close() { s.blocks.close() }
