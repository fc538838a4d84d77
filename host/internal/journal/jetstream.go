package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	requestTimeout = 30 * time.Second

	// nativeDuplicates is the least that JetStream takes. Its own deduplication
	// is not used, and at each start it reads all messages of that time.
	nativeDuplicates = 100 * time.Millisecond
)

// streamConfig describes a stream.
type streamConfig struct {
	name       string // as fileName writes it
	maxBytes   int64  // 0: no bound
	maxAge     time.Duration
	discardNew bool // at maxBytes refuse what is new, rather than drop what is old
}

func (c streamConfig) jetstream() jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:        c.name,
		Subjects:    []string{c.name},
		MaxBytes:    -1,
		MaxAge:      c.maxAge,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
		Duplicates:  nativeDuplicates,
	}
	if c.maxBytes > 0 {
		cfg.MaxBytes = c.maxBytes
	}
	if c.discardNew {
		cfg.Discard = jetstream.DiscardNew
	}
	return cfg
}

// ensure makes a stream exist with this configuration.
func (s *store) ensure(ctx context.Context, c streamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	want := c.jetstream()
	stream, err := s.js.Stream(ctx, c.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if err := s.adopt(c.name); err != nil {
			return err
		}
		_, err = s.js.CreateStream(ctx, want)
	case err == nil:
		have := stream.CachedInfo().Config
		if have.MaxBytes != want.MaxBytes || have.MaxAge != want.MaxAge || have.Discard != want.Discard {
			_, err = s.js.UpdateStream(ctx, want)
		}
	}
	if err != nil {
		return s.because(fmt.Errorf("nats stream %s: %w", c.name, err))
	}
	return nil
}

// adopt clears the way for creating a stream whose directory is there although
// the server does not know it: a crash has left its metadata unreadable. The
// blocks are whole, and the new stream takes them over.
func (s *store) adopt(name string) error {
	dir := s.streamDir(name)
	for _, file := range metaFiles {
		switch err := os.Remove(filepath.Join(dir, file)); {
		case err == nil:
			s.log.Warn("journal metadata was unreadable and is written anew", "code", "journal_meta_repaired", "path", filepath.Join(dir, file))
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// exists reports whether a stream was ever created.
func (s *store) exists(name string) (bool, error) {
	_, err := os.Stat(s.streamDir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// streamState is what the server says of a stream.
type streamState struct {
	first, last uint64
	messages    uint64
	bytes       uint64
	firstTime   time.Time
}

func (s *store) state(ctx context.Context, name string) (streamState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return streamState{}, s.because(fmt.Errorf("nats stream %s: %w", name, err))
	}
	st := stream.CachedInfo().State
	return streamState{st.FirstSeq, st.LastSeq, st.Msgs, st.Bytes, st.FirstTime}, nil
}

// Where the server keeps its streams.
const (
	blocksDir  = "msgs"
	streamsDir = "streams"
)

var metaFiles = []string{"meta.inf", "meta.sum"}

func streamsIn(dir string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, streamsDir)
}

func (s *store) streamDir(name string) string { return filepath.Join(streamsIn(s.dir), name) }

// blocks is the directory of a stream's block files.
func (s *store) blocks(name string) string { return filepath.Join(s.streamDir(name), blocksDir) }
