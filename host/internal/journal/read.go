package journal

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Next returns the first whole frame whose number is seq or greater, waiting
// while there is none. A number greater than seq means that those between are
// gone: dropped by retention, or damaged, which is logged and counted.
//
// What readers get is acknowledged. Before a place in it is remembered beyond a
// power cut, Sync must have returned. The error is ctx's, ErrClosed after Close,
// or says that the storage cannot be read at present.
func (j *Journal) Next(ctx context.Context, seq uint64) (*Frame, error) {
	return j.view.next(ctx, seq, func(context.Context) (*store, <-chan struct{}, error) {
		s, changed, err := j.current()
		if err != nil || s == nil {
			return nil, changed, err
		}
		return s.store, changed, nil
	})
}

// Extent is what the journal holds at one moment.
type Extent struct {
	// First and Last are the numbers of the oldest and the newest frame. Of an
	// empty journal First is Last+1. First is up to a second old.
	First, Last uint64
	// End is the offset at which the next frame will begin.
	End uint64
}

// Extent tells what the journal holds. It costs next to nothing.
func (j *Journal) Extent() Extent {
	last := j.view.committed.Load()
	return Extent{First: min(max(j.view.first.Load(), 1), last+1), Last: last, End: j.view.end.Load()}
}

// Sync returns when everything that was acknowledged before the call, in the
// journal and in all secondary logs, is on disk. Where each acknowledgement
// waits for the disk anyway, that is at once.
func (j *Journal) Sync(ctx context.Context) error {
	if j.opts.SyncInterval == 0 {
		return nil
	}
	for {
		s, changed, err := j.current()
		if err != nil {
			return err
		}
		if s != nil {
			return s.syncAll()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// synced is Sync as the dedup index asks for it.
func (j *Journal) synced(ctx context.Context, _ event.Position) error { return j.Sync(ctx) }

// Stats are figures of the journal for operators.
type Stats struct {
	Extent
	Frames uint64
	Bytes  uint64 // on disk
	// Oldest is when the oldest frame was written; zero: there is none.
	Oldest time.Time
	// Queued is how many bytes wait to be durable.
	Queued int
	// Closed is why nothing is taken at present; nil: the intake is open.
	Closed error
	// LostFrames were stored and are damaged or missing now, as far as a reader
	// has come across them.
	LostFrames uint64
	// CutBytes were cut off block files by recoveries.
	CutBytes int64
	// SyncP50 and SyncP99 are of the last 512 syncs.
	SyncP50, SyncP99 time.Duration
	// Free is what the journal's disk has free, and Reserve what is kept free.
	Free, Reserve uint64
}

// Stats returns the figures, of which some are up to a second old.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	held := j.held
	j.mu.Unlock()
	s := Stats{
		Extent: j.Extent(), Frames: held.messages, Bytes: held.bytes, Oldest: held.firstTime,
		Queued: j.queue.size() + j.logQueue.size(), Closed: j.intake.closed(),
		LostFrames: j.view.lostFrames(), CutBytes: j.cut.Load(),
	}
	s.SyncP50, s.SyncP99 = j.latency.quantiles()
	if sp, err := j.disk.seams.space(j.opts.Dir); err == nil {
		s.Free, s.Reserve = sp.free, sp.reserve()
	}
	return s
}

// sawState takes note of what the server says of the main stream.
func (j *Journal) sawState(state streamState) {
	j.view.sawFirst(state.first)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = state
}

// LogStats are figures of a secondary log.
type LogStats struct {
	First, Last uint64 // numbers of the oldest and the newest frame
	Frames      uint64
	Bytes       uint64 // on disk
	Oldest      time.Time
	LostFrames  uint64 // as in Stats
}

// Stats returns the log's figures. Those of a log that never had a record are 0.
func (l *Log) Stats(ctx context.Context) (LogStats, error) {
	s, _, err := l.journal.current()
	if err != nil {
		return LogStats{}, err
	}
	if s == nil {
		return LogStats{}, l.journal.intake.closed()
	}
	stream, err := l.open(ctx, s, false)
	if err != nil || stream == nil {
		return LogStats{}, err
	}
	state, err := s.store.state(ctx, l.view.name)
	if err != nil {
		return LogStats{}, err
	}
	return LogStats{
		First: state.first, Last: l.view.committed.Load(),
		Frames: state.messages, Bytes: state.bytes, Oldest: state.firstTime,
		LostFrames: l.view.lostFrames(),
	}, nil
}

func (v *view) lostFrames() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lost
}
