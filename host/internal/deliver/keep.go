package deliver

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// keepEvery is how often a cursor is synced and a flusher flushed, at most.
const keepEvery = 100 * time.Millisecond

// keep moves the cursor to what is resolved: after each batch of a plain
// destination, of a flusher when a flush is due.
func (l *Loop) keep(ctx context.Context) error {
	l.attempts.writeOld()
	return l.keepNow(ctx, time.Since(l.kept) >= keepEvery)
}

// keepNow is keep; due says whether to flush and sync.
func (l *Loop) keepNow(ctx context.Context, due bool) error {
	news := l.sent.events > 0
	next := l.cursor.last
	moved := l.done != next.Position
	switch {
	case news && (l.flusher == nil || due):
	case moved && !news && due:
	case l.unsynced && due:
	default:
		return nil
	}
	next.Position, next.Offset = l.done, l.doneOffset
	next.GapFrames += l.sent.gapFrames
	if news {
		next.Time = time.Now()
		l.unsynced = true
	}
	if news && l.flusher != nil {
		mark, err := l.flush(ctx)
		if err != nil {
			return err
		}
		next.Mark = mark
	}
	if err := l.mustSave(ctx, next, due && l.unsynced); err != nil {
		return err
	}
	if due {
		l.kept, l.unsynced = time.Now(), false
	}
	l.status.advance(next, l.sent)
	l.sent = tally{}
	return nil
}

// flush asks the flusher for a mark. If it has none to give, all since the last
// one is to be sent again.
func (l *Loop) flush(ctx context.Context) (mark []byte, err error) {
	longer, cancel := outlive(ctx)
	defer cancel()
	if mark, err = l.flusher.Flush(longer); err == nil {
		return mark, nil
	}
	l.rewind()
	if err := l.hold(ctx, Retrying, destination.AsError(err)); err != nil {
		return nil, err
	}
	return nil, errLost
}

// mustSave saves the cursor, until that works: what is sent while it does not would
// be sent again after a restart.
func (l *Loop) mustSave(ctx context.Context, next cursor, sync bool) error {
	for {
		err := l.save(next, sync)
		if err == nil {
			return nil
		}
		if err := l.hold(ctx, Retrying, destination.AsError(err)); err != nil {
			return err
		}
	}
}

func (l *Loop) save(next cursor, sync bool) error {
	err := l.cursor.save(next, sync)
	if err == nil {
		return nil
	}
	return &destination.Error{
		Code: "cursor", Attention: true, Err: err,
		Hint: "make " + l.Dir + " writable",
	}
}

// deadline is when keep has something to do though no event comes; zero: never.
func (l *Loop) deadline() time.Time {
	if l.sent.events > 0 || l.unsynced || l.done != l.cursor.last.Position {
		return l.kept.Add(keepEvery)
	}
	return l.attempts.deadline()
}

// finish keeps what is resolved when the loop is to stop.
func (l *Loop) finish(ctx context.Context) {
	if l.flusher != nil && (l.hand.passed > 0 || !l.resumed) {
		return // Resume takes back the part of a batch
	}
	_ = l.keepNow(ctx, true) // what is not kept is sent again
}
