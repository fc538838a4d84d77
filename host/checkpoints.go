package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// checkpointRetry is how long the keeper waits after a write that failed.
const checkpointRetry = time.Second

// stateStore is what the keeper needs of the journal's state.
type stateStore interface {
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
}

// checkpoints keeps the sources' checkpoints. One is written only after the
// sync of every event before it, in whichever log that is; the latest of a
// source replaces those that wait to be written.
type checkpoints struct {
	state stateStore
	sync  func(context.Context) error // returns when all that was stored is on disk
	log   *slog.Logger

	mu      sync.Mutex
	latest  map[event.SourceID]checkpoint // known, durable or about to be
	pending map[event.SourceID]checkpoint // to be written
	puts    uint64
	wake    chan struct{}
}

type checkpoint struct {
	generation uint64
	bytes      []byte
	put        uint64 // which put it came with
}

func newCheckpoints(state stateStore, sync func(context.Context) error, log *slog.Logger) *checkpoints {
	return &checkpoints{
		state: state, sync: sync, log: log,
		latest:  map[event.SourceID]checkpoint{},
		pending: map[event.SourceID]checkpoint{},
		wake:    make(chan struct{}, 1),
	}
}

// open returns the checkpoint from which a process of this generation goes on,
// and refuses the checkpoints of earlier ones from now on.
func (c *checkpoints) open(source event.SourceID, generation uint64) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, known := c.latest[source]
	if !known {
		raw, err := c.state.Get(checkpointKey(source))
		if err != nil {
			return nil, fmt.Errorf("checkpoint of source %s: %w", source, err)
		}
		if have, err = decodeCheckpoint(raw); err != nil {
			return nil, fmt.Errorf("checkpoint of source %s: %w", source, err)
		}
	}
	have.generation = max(have.generation, generation)
	c.latest[source] = have
	return have.bytes, nil
}

// put notes a checkpoint whose events are stored. That of an earlier
// generation than the source's present one is dropped.
func (c *checkpoints) put(source event.SourceID, generation uint64, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation < c.latest[source].generation {
		return
	}
	c.puts++
	next := checkpoint{generation: generation, bytes: b, put: c.puts}
	c.latest[source], c.pending[source] = next, next
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run writes checkpoints until ctx ends, and then those that still wait.
func (c *checkpoints) Run(ctx context.Context) error {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return c.write(context.WithoutCancel(ctx))
		}
		if err := c.write(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("checkpoint not written, trying again", "code", "checkpoint_write", "err", err)
			c.pauseAndWake(ctx)
		}
	}
}

func (c *checkpoints) pauseAndWake(ctx context.Context) {
	t := time.NewTimer(checkpointRetry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *checkpoints) write(ctx context.Context) error {
	c.mu.Lock()
	todo := maps.Clone(c.pending)
	c.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	if err := c.sync(ctx); err != nil {
		return fmt.Errorf("sync before checkpoints: %w", err)
	}
	var errs []error
	for source, cp := range todo {
		if err := c.state.Put(checkpointKey(source), encodeCheckpoint(cp)); err != nil {
			errs = append(errs, fmt.Errorf("checkpoint of source %s: %w", source, err))
			continue
		}
		c.mu.Lock()
		if c.pending[source].put == cp.put {
			delete(c.pending, source)
		}
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}

func checkpointKey(source event.SourceID) string { return "checkpoint/" + string(source) }

func encodeCheckpoint(c checkpoint) []byte {
	return append(binary.BigEndian.AppendUint64(nil, c.generation), c.bytes...)
}

func decodeCheckpoint(raw []byte) (checkpoint, error) {
	switch {
	case len(raw) == 0:
		return checkpoint{}, nil
	case len(raw) < 8:
		return checkpoint{}, fmt.Errorf("stored value of %d bytes is too short", len(raw))
	default:
		return checkpoint{generation: binary.BigEndian.Uint64(raw), bytes: raw[8:]}, nil
	}
}
