package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Options say what a loop connects.
type Options struct {
	Name    event.DestinationID
	Target  destination.Destination
	Journal Journal
	// Wants tells whether events of a source go to this destination. It is
	// asked at delivery.
	Wants      func(event.SourceID) bool
	Quarantine Quarantine
	// Dir is the folder that belongs to this destination: StateDir.
	Dir string
	// From is where a destination without a cursor begins.
	From config.From
	// MaxLag bounds how far the destination may be behind, a zero field not at
	// all. At it, Full says so, or what is too old is skipped.
	MaxLag  config.MaxLag
	AtLimit config.WhenBehind
	Log     *slog.Logger
}

// Loop delivers to one destination. Any goroutine may call its methods, Run and
// Close once.
type Loop struct {
	Options
	flusher  destination.Flusher // nil: Target is none
	cursor   *cursorFile
	read     *reader
	attempts *attemptLog
	status   status

	// done is the first event that is not resolved, doneOffset the journal's
	// bytes before its frame. The cursor follows.
	done       event.Position
	doneOffset uint64
	// resumed is whether the flusher is at the cursor's mark plus sent.
	resumed bool
	// kept is when the cursor was last synced, unsynced whether a later save
	// told of sent events.
	kept     time.Time
	unsynced bool
	// sent is what the destination took since the cursor was saved.
	sent tally
	hand hand
	// streak counts failures since something passed; backoff grows with it.
	streak int
	// warned is the code of the failure that was logged since then.
	warned string
	// refusals counts batches in a row of which everything was refused.
	refusals int
}

// Ways in which work ends early.
var (
	errLost = errors.New("the destination lost what it took since the last mark")
	errSkip = errors.New("the destination is too far behind")
)

// Open reads the destination's cursor or, where there is none, fixes where it
// begins: nothing that enters the journal from then on is missed.
func Open(ctx context.Context, o Options) (*Loop, error) {
	l := &Loop{Options: o}
	l.Log = o.Log.With("destination", string(o.Name))
	l.flusher, _ = o.Target.(destination.Flusher)
	l.read = newReader(o, l.gap)
	if s, ok := o.Target.(destination.Selector); ok {
		l.read.takes = func(e destination.Event) bool { return s.Takes(e, l.notice) }
	}
	if err := l.open(ctx); err != nil {
		return nil, fmt.Errorf("destination %s: %w", o.Name, err)
	}
	return l, nil
}

func (l *Loop) open(ctx context.Context) (err error) {
	c, found, err := openCursor(l.Dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	l.cursor = c
	next := c.last
	if found {
		next, err = l.locate(ctx, next)
	} else {
		next, err = begin(ctx, l.Journal, l.From)
	}
	if err != nil {
		return err
	}
	if err := c.save(next, true); err != nil {
		return fmt.Errorf("cursor: %w", err)
	}
	if l.attempts, err = openAttempts(l.Dir, l.Log); err != nil {
		return fmt.Errorf("attempt log: %w", err)
	}
	l.rewind()
	l.status.restore(c.last)
	return nil
}

// rewind goes back to the cursor.
func (l *Loop) rewind() {
	c := l.cursor.last
	l.done, l.doneOffset = c.Position, c.Offset
	l.read.seek(c.Position, c.Offset)
	l.sent, l.hand, l.resumed = tally{}, hand{}, false
}

// Close gives back the loop's files and the destination, after Run has returned.
func (l *Loop) Close() error {
	err := errors.Join(l.attempts.close(), l.cursor.close())
	if c, ok := l.Target.(destination.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("destination %s: close: %w", l.Name, err)
	}
	return nil
}

// Run delivers until ctx ends, and returns nil then. A call to the destination
// that is under way gets five seconds more.
func (l *Loop) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if r, ok := l.Target.(destination.Runner); ok {
		g.Go(func() error { return r.Run(ctx) })
	}
	g.Go(func() error {
		l.run(ctx)
		return nil
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("destination %s: %w", l.Name, err)
	}
	return nil
}

func (l *Loop) run(ctx context.Context) {
	if l.flusher == nil {
		l.status.run()
	}
	for ctx.Err() == nil {
		err := l.resume(ctx)
		if err == nil {
			err = l.work(ctx)
		}
		switch {
		case errors.Is(err, errLost):
			l.rewind()
		case errors.Is(err, errSkip):
			l.skip(ctx)
		}
	}
	l.finish(ctx)
	l.status.stop()
}

// resume brings a flusher back to the mark, until that works.
func (l *Loop) resume(ctx context.Context) error {
	for l.flusher != nil && !l.resumed {
		err := l.resumeOnce(ctx)
		if err == nil {
			l.resumed = true
			l.recovered()
			return nil
		}
		l.noteOldest(ctx)
		if err := l.hold(ctx, Retrying, destination.AsError(err)); err != nil {
			return err
		}
	}
	return nil
}

// noteOldest lets the lag's age count though nothing is read.
func (l *Loop) noteOldest(ctx context.Context) {
	if l.status.oldest.Load() == 0 {
		if f, err := l.read.peek(ctx); err == nil && f != nil {
			l.status.pending(f.Time())
		}
	}
}

func (l *Loop) resumeOnce(ctx context.Context) error {
	ctx, cancel := outlive(ctx)
	defer cancel()
	next := l.cursor.last
	if err := l.flusher.Resume(ctx, next.Mark, l.notice); err != nil {
		return err
	}
	mark, err := l.flusher.Flush(ctx)
	if err != nil {
		return err
	}
	next.Mark = mark
	return l.save(next, true)
}

// work reads, sends and keeps until something ends it.
func (l *Loop) work(ctx context.Context) error {
	for {
		if l.mustSkip() {
			return errSkip
		}
		if l.read.idle() {
			l.status.pending(time.Time{}) // before it waits
		}
		events, err := l.read.batch(ctx, l.deadline())
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			err = l.hold(ctx, Retrying, journalError(err))
		case len(events) > 0:
			err = l.deliver(ctx, events)
		default: // passed over others' events, or a deadline came
			l.done, l.doneOffset = l.read.pos, l.read.offset
			l.status.pending(time.Time{})
		}
		if err == nil {
			err = l.keep(ctx)
		}
		if err == nil && len(events) > 0 {
			err = l.slowDown(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func journalError(err error) *destination.Error {
	return &destination.Error{Code: "journal", Err: err}
}

// notice passes on what an operator should know.
func (l *Loop) notice(n destination.Notice) {
	l.Log.Warn(n.Text, "code", n.Code)
	l.status.notice(n)
}

// callGrace is what a call to the destination gets once the loop is to stop.
const callGrace = 5 * time.Second

// outlive returns a context which ends callGrace after ctx does.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(callGrace, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}
