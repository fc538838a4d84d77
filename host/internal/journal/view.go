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

	mu      sync.Mutex
	damaged map[uint64]struct{} // frames that were reported
	bad     uint64              // frames that cannot be read
	missing uint64              // frames that are not there
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
// where to go on.
func (v *view) read(ctx context.Context, st *store, seq uint64) (*Frame, uint64, error) {
	errsBefore := st.readErrs.Load()
	data, at, found, err := st.fetch(ctx, v.name, seq)
	if err != nil {
		return nil, 0, err
	}
	if !found {
		if st.readErrs.Load() != errsBefore {
			return nil, 0, fmt.Errorf("frame %d of %s: its block cannot be read", seq, v.name)
		}
		next, err := v.passOver(ctx, st, seq)
		return nil, next, err
	}
	if at > v.committed.Load() {
		return nil, at, nil
	}
	if at > seq {
		if err := v.explainGap(ctx, st, seq, at); err != nil {
			return nil, 0, err
		}
	}
	frame, err := decodeFrame(data)
	if err != nil {
		v.reportBad(at, err)
		return nil, at + 1, nil
	}
	frame.seq = at
	return frame, 0, nil
}

// passOver returns where to go on after a frame that is not given out although
// it, or one after it, was committed.
func (v *view) passOver(ctx context.Context, st *store, seq uint64) (uint64, error) {
	state, err := st.state(ctx, v.name)
	if err != nil {
		return 0, err
	}
	v.sawFirst(state.first)
	switch {
	case seq < state.first:
		return state.first, nil // dropped by retention
	case state.messages == 0 || seq > state.last:
		return v.committed.Load() + 1, nil
	}
	v.reportBad(seq, fmt.Errorf("%w: its block is damaged", errBadFrame))
	return seq + 1, nil
}

// explainGap reports frames that are gone for another reason than retention,
// which drops the oldest only.
func (v *view) explainGap(ctx context.Context, st *store, seq, next uint64) error {
	state, err := st.state(ctx, v.name)
	if err != nil {
		return err
	}
	v.sawFirst(state.first)
	if from := max(seq, state.first); from < next && v.isNew(next-1) {
		v.mu.Lock()
		v.missing += next - from
		v.mu.Unlock()
		v.log.Error("frames are missing from the journal and are passed over", "code", "journal_frames_missing",
			"log", v.name, "first", from, "last", next-1, "remedy", "check the disk; events that a destination still lacked from them cannot be delivered")
	}
	return nil
}

func (v *view) reportBad(seq uint64, err error) {
	if !v.isNew(seq) {
		return
	}
	v.mu.Lock()
	v.bad++
	v.mu.Unlock()
	v.log.Error("a frame of the journal is damaged and is passed over", "code", "journal_bad_frame",
		"log", v.name, "frame", seq, "error", err, "remedy", "check the disk; events that a destination still lacked from it cannot be delivered")
}

// isNew reports, once for all readers, that a frame was not reported yet.
func (v *view) isNew(seq uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.damaged[seq]; known {
		return false
	}
	const most = 1 << 16 // beyond it, reports may come twice
	if v.damaged == nil || len(v.damaged) >= most {
		v.damaged = make(map[uint64]struct{})
	}
	v.damaged[seq] = struct{}{}
	return true
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
