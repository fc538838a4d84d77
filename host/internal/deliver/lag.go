package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// Full tells whether the destination is at its largest lag and takes no new
// events. It is cheap: intake asks for every batch.
func (l *Loop) Full() bool { return l.AtLimit != config.WhenBehindSkip && l.over(l.MaxLag) }

func (l *Loop) mustSkip() bool { return l.AtLimit == config.WhenBehindSkip && l.over(l.MaxLag) }

func (l *Loop) over(limit config.MaxLag) bool {
	bytes, age := l.lag()
	return limit.Bytes > 0 && bytes > uint64(limit.Bytes) || limit.Age > 0 && age > limit.Age.Std()
}

func (l *Loop) lag() (bytes uint64, age time.Duration) {
	if end, offset := l.Journal.Extent().End, l.status.offset.Load(); end > offset {
		bytes = end - offset
	}
	if oldest := l.status.oldest.Load(); oldest != 0 {
		age = time.Since(time.Unix(0, oldest))
	}
	return bytes, age
}

// skip moves the cursor on until the lag is a tenth below its bound. What is
// passed over is counted in the cursor itself.
func (l *Loop) skip(ctx context.Context) {
	if err := l.trySkip(ctx); err != nil {
		l.rewind()
		_ = l.hold(ctx, Retrying, destination.AsError(err))
	}
}

func (l *Loop) trySkip(ctx context.Context) error {
	next, from := l.cursor.last, l.done
	skipped := uint64(l.hand.events - l.hand.passed - l.hand.refused)
	if l.flusher != nil && l.sent.events > 0 {
		longer, cancel := outlive(ctx)
		defer cancel()
		mark, err := l.flusher.Flush(longer)
		if err == nil {
			next.Mark = mark
		} else { // what it took since the mark is skipped too
			l.rewind()
			from, skipped = l.done, 0
		}
	}
	passed, oldest, err := l.passOver(ctx)
	if err != nil {
		return err
	}
	skipped += passed
	next.Position, next.Offset = l.read.pos, l.read.offset
	next.Skipped += skipped
	next.GapFrames += l.sent.gapFrames
	if err := l.save(next, true); err != nil {
		return err
	}
	l.attempts.add(Attempt{Time: time.Now(), From: from, To: next.Position, Events: skipped, Code: CodeSkipped, Sends: 1})
	l.attempts.write()
	l.done, l.doneOffset, l.hand = next.Position, next.Offset, hand{}
	l.status.advance(next, l.sent)
	l.status.pending(oldest)
	l.sent = tally{}
	l.notice(destination.Notice{
		Code: "lag_skipped",
		Text: fmt.Sprintf("%d events from %s up to %s were skipped, since the destination was more than max_lag behind", skipped, from, next.Position),
	})
	return nil
}

// passOver reads on until the lag is well below its bound. It counts the events
// that the destination was to get, and tells the age of what it stopped at.
func (l *Loop) passOver(ctx context.Context) (events uint64, oldest time.Time, err error) {
	bytes, age := uint64(l.MaxLag.Bytes)/10*9, l.MaxLag.Age.Std()/10*9
	for {
		f, err := l.read.peek(ctx)
		if err != nil || f == nil {
			return events, oldest, err
		}
		behind := l.Journal.Extent().End - f.Offset()
		if (bytes == 0 || behind <= bytes) && (age == 0 || time.Since(f.Time()) <= age) {
			return events, f.Time(), nil
		}
		events += l.read.pass()
	}
}

// gap notes that the journal no longer has the frames from the reader's position
// to f.
func (l *Loop) gap(f Frame) {
	missed := f.Seq() - l.read.pos.Frame()
	var bytes uint64
	if f.Offset() > l.read.offset {
		bytes = f.Offset() - l.read.offset
	}
	l.sent.gapFrames += missed
	l.notice(destination.Notice{
		Code: "gap",
		Text: fmt.Sprintf("%d frames (%d bytes) from %s on are not in the journal any more, or cannot be read, and were not delivered: where they were too old, give the journal more room or set max_lag lower",
			missed, bytes, l.read.pos),
	})
}
