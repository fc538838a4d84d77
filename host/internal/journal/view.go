package journal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// view is what readers see of one log.
type view struct {
	name string // the stream's
	log  *slog.Logger
	tail *tail

	first     atomic.Uint64 // oldest frame, as of the last look; it only grows
	committed atomic.Uint64 // newest frame that readers may have
	end       atomic.Uint64 // offset of the frame after it

	mu       sync.Mutex
	reported map[uint64]struct{} // lost frames, by the last of each run
	lost     uint64              // frames that were stored and cannot be read
}

// supply gives the store that is in use (nil: none at present) and a channel
// that closes when that changes.
type supply func(ctx context.Context) (*store, <-chan struct{}, error)

// next returns the first whole frame at or after seq, waiting while there is none.
func (v *view) next(ctx context.Context, seq uint64, current supply) (*Frame, error) {
	for {
		frame, grown := v.tail.get(seq)
		if frame != nil {
			return frame, nil
		}
		st, changed, err := current(ctx)
		if err != nil {
			return nil, err
		}
		if st != nil && seq <= v.committed.Load() {
			frame, next, err := v.read(ctx, st, seq)
			switch {
			case frame != nil:
				return frame, nil
			case err == nil:
				seq = next
				continue
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case !st.broken():
				return nil, err
			}
		}
		select {
		case <-grown:
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// read gets the first frame at or after seq from the stream, or no frame and
// where to go on. seq is not beyond what is committed.
func (v *view) read(ctx context.Context, st *store, seq uint64) (*Frame, uint64, error) {
	errsBefore := st.readErrs.Load()
	data, at, found, err := st.fetch(ctx, v.name, seq)
	if err == nil && !found {
		data, at, found, err = st.fetch(ctx, v.name, seq) // the block's cache may have gone in between
	}
	if err != nil {
		return nil, 0, err
	}
	if st.readErrs.Load() != errsBefore {
		// The server passes over what it cannot read, as if it were damaged.
		return nil, 0, fmt.Errorf("frame %d of %s: its block cannot be read", seq, v.name)
	}
	if found && at > v.committed.Load() {
		return nil, at, nil
	}
	if !found || at > seq {
		next, err := v.explainGap(ctx, st, seq, at)
		if err != nil || !found {
			return nil, next, err
		}
	}
	frame, err := decodeFrame(data)
	if err != nil {
		v.reportLost(at, at, err)
		return nil, at + 1, nil
	}
	frame.seq = at
	return frame, 0, nil
}

// explainGap reports frames from seq on that are not given out for another
// reason than retention, which drops the oldest only. They end before next; 0:
// nothing that can be read follows. It returns where to go on.
func (v *view) explainGap(ctx context.Context, st *store, seq, next uint64) (uint64, error) {
	state, err := st.state(ctx, v.name)
	if err != nil {
		return 0, err
	}
	v.sawFirst(state.first)
	switch committed := v.committed.Load(); {
	case next > 0:
	case seq < state.first:
		return state.first, nil // dropped by retention
	case state.messages == 0 || seq > state.last:
		return committed + 1, nil
	default:
		next = seq + 1
	}
	if from := max(seq, state.first); from < next {
		v.reportLost(from, next-1, errBadFrame)
	}
	return next, nil
}

// reportLost counts and logs lost frames, once for all readers.
func (v *view) reportLost(first, last uint64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.reported[last]; known {
		return
	}
	const most = 1 << 16 // beyond it, reports may come twice
	if v.reported == nil || len(v.reported) >= most {
		v.reported = make(map[uint64]struct{})
	}
	v.reported[last] = struct{}{}
	v.lost += last - first + 1
	v.log.Error("frames of the journal are damaged or missing and are passed over", "code", "journal_frames_lost",
		"log", v.name, "first", first, "last", last, "error", err,
		"remedy", "check the disk; events that a destination still lacked from them cannot be delivered")
}

func (v *view) sawFirst(first uint64) {
	for {
		known := v.first.Load()
		if first <= known || v.first.CompareAndSwap(known, first) {
			return
		}
	}
}

// publish shows readers a frame that is acknowledged.
func (v *view) publish(f *Frame) {
	v.end.Store(f.End())
	v.committed.Store(f.seq)
	v.tail.add(f)
}

// reset shows readers what a stream holds that was opened anew.
func (v *view) reset(s *stream) {
	v.end.Store(s.end)
	v.committed.Store(s.last)
	v.tail.clear()
}
