package journal

import (
	"context"
	"fmt"
)

// Next returns the first whole frame whose number is seq or greater, waiting
// while there is none. A number greater than seq means that those between are
// gone: dropped by retention, or damaged.
//
// Frames that readers get are acknowledged; before a position in one is kept
// beyond a power cut, Sync must have returned.
func (j *Journal) Next(ctx context.Context, seq uint64) (*Frame, error) {
	for {
		frame, grown := j.tail.get(seq)
		if frame != nil {
			return frame, nil
		}
		if seq <= j.committed.Load() {
			frame, next, err := j.read(ctx, seq)
			if err != nil || frame != nil {
				return frame, err
			}
			seq = next
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// read gets a frame from the stream, or nil and where to go on.
func (j *Journal) read(ctx context.Context, seq uint64) (*Frame, uint64, error) {
	j.mu.Lock()
	st := j.store
	j.mu.Unlock()
	if st == nil {
		return nil, 0, ErrClosed
	}
	data, at, found, err := st.fetch(ctx, mainStream, seq)
	if err != nil {
		return nil, 0, err
	}
	if !found {
		return nil, seq + 1, nil
	}
	frame, err := decodeFrame(data)
	if err != nil {
		return nil, 0, fmt.Errorf("frame %d: %w", at, err)
	}
	frame.Seq = at
	return frame, 0, nil
}

// Last returns the number of the newest frame that Next gives; 0: there was
// never one.
func (j *Journal) Last() uint64 { return j.committed.Load() }

// End returns the offset at which the next frame will begin.
func (j *Journal) End() uint64 { return j.end.Load() }

// Sync returns when everything that was acknowledged, or that Next gave, before
// the call is on disk.
func (j *Journal) Sync(ctx context.Context) error {
	if j.opts.SyncInterval == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.store == nil {
		return ErrClosed
	}
	return j.main.sync()
}
