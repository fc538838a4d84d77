package host

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/host/internal/syncs"
	"github.com/wellhead-io/wellhead/sdk/wire"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

const (
	// maxInFlight bounds the claims, in bytes, of all batches that have no
	// verdict yet. A plugin that has more to hand over waits.
	maxInFlight = 64 << 20
	// behindAfter is how long a batch waits for room before its source hears
	// that the journal is behind.
	behindAfter = 5 * time.Second
)

// intake is what becomes of a batch of claims: the gate judges them, the
// refused go to the quarantine, the accepted to the journal, and when all is
// durable the plugin hears the verdict.
type intake struct {
	lanes       map[event.SourceID]*lane
	room        *semaphore.Weighted // bytes of claims in flight
	judges      chan struct{}       // a place for each batch that is being judged
	journal     appender
	quarantine  refuser
	checkpoints *checkpoints
	consents    *consent.Keeper // nil: no source has any
	syncs       *syncs.Book     // nil: sources are told to report none
	batches     sync.WaitGroup  // batches without a verdict
}

// appender is what the intake needs of the journal.
type appender interface {
	Append(ctx context.Context, b journal.Batch) (*journal.Ticket, error)
}

// refuser is what the intake needs of the quarantine.
type refuser interface {
	// Add returns when the refusals are durable.
	Add(ctx context.Context, refusals []event.Refusal) error
}

// lane is the way of one source's batches. It lives as long as the host.
type lane struct {
	in      *intake
	source  event.SourceID
	gate    *gate.Source
	limiter *rate.Limiter // nil: no limit
	// blocked tells which destination of the source is at its limit; "": none.
	blocked func() event.DestinationID
	counts  laneCounts

	mu       sync.Mutex
	appended chan struct{} // closed when the last batch so far is in the journal's queue
	settled  chan struct{} // closed when the last batch so far has its verdict
}

func newIntake(j appender, q refuser, c *checkpoints) *intake {
	return &intake{
		lanes:       map[event.SourceID]*lane{},
		room:        semaphore.NewWeighted(maxInFlight),
		judges:      make(chan struct{}, runtime.GOMAXPROCS(0)),
		journal:     j,
		quarantine:  q,
		checkpoints: c,
	}
}

// add gives a source its lane. All are added before the first is opened.
func (in *intake) add(l *lane) {
	l.in = in
	l.appended, l.settled = closedChan(), closedChan()
	in.lanes[l.source] = l
}

// drain waits until every batch that was submitted is settled.
func (in *intake) drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { in.batches.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open implements supervise.Intake.
func (in *intake) Open(ctx context.Context, source event.SourceID, generation uint64) (supervise.Session, error) {
	l := in.lanes[source]
	if l == nil {
		return nil, fmt.Errorf("source %s is not configured", source)
	}
	l.mu.Lock()
	settled := l.settled
	l.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	cp, err := in.checkpoints.open(source, generation)
	if err != nil {
		return nil, err
	}
	s := &session{lane: l, generation: generation, checkpoint: cp}
	if in.syncs == nil {
		return s, nil
	}
	return &syncSession{s, in.syncs.Stream(source)}, nil
}

// session is one stream of a source.
type session struct {
	lane       *lane
	generation uint64
	checkpoint []byte

	mu       sync.Mutex
	progress progress
}

// batch is a Batch on its way to its verdict.
type batch struct {
	*wire.Batch
	session *session
	size    int64
	// mine is closed when this batch has passed a stage, prev when the one
	// before it has: batches are judged side by side, but stored in order.
	prevAppended, appended chan struct{}
	prevSettled, settled   chan struct{}
	// Set when settled is closed.
	verdict    *wire.Verdict
	duplicates int
}

// wait returns the verdict when it is known.
func (b *batch) wait(ctx context.Context) (*wire.Verdict, error) {
	select {
	case <-b.settled:
		return b.verdict, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *session) Checkpoint() []byte { return s.checkpoint }

func (s *session) Close() {}

// Submit implements supervise.Session.
func (s *session) Submit(ctx context.Context, m *wire.Batch) (supervise.Wait, error) {
	b, err := s.submit(ctx, m)
	if err != nil {
		return nil, err
	}
	return b.wait, nil
}

func (s *session) submit(ctx context.Context, m *wire.Batch) (*batch, error) {
	b := &batch{Batch: m, session: s, size: sizeOf(m)}
	if ns := s.lane.admit(m); ns != nil {
		return s.refuse(b, ns), nil
	}
	bounded, cancel := context.WithTimeout(ctx, behindAfter)
	defer cancel()
	if err := s.lane.in.enter(bounded, b.size); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return s.refuse(b, notStored(wire.JournalBehind, time.Second)), nil
	}
	s.lane.queue(b)
	// The batch goes on when its stream ends: its events may be on their way
	// to the disk, and the next session waits for what becomes of them.
	ctx = context.WithoutCancel(ctx)
	s.lane.in.batches.Go(func() { s.lane.process(ctx, b) })
	return b, nil
}

// refuse answers a batch of which nothing was looked at.
func (s *session) refuse(b *batch, ns *wire.NotStored) *batch {
	s.mu.Lock()
	s.progress.lost(b.Seq)
	s.mu.Unlock()
	s.lane.counts.notStored.Add(uint64(len(b.Events)))
	b.verdict = &wire.Verdict{Outcome: &wire.Verdict_NotStored{NotStored: ns}}
	b.settled = closedChan()
	return b
}

// enter takes the place that a batch needs: memory, and a judge.
func (in *intake) enter(ctx context.Context, size int64) error {
	if err := in.room.Acquire(ctx, size); err != nil {
		return err
	}
	select {
	case in.judges <- struct{}{}:
		return nil
	case <-ctx.Done():
		in.room.Release(size)
		return ctx.Err()
	}
}

// admit looks at what can be said before a batch is judged.
func (l *lane) admit(m *wire.Batch) *wire.NotStored {
	if d := l.blocked(); d != "" && len(m.Events) > 0 {
		return notStored(wire.DestinationFull, 10*time.Second)
	}
	if l.limiter == nil || len(m.Events) == 0 {
		return nil
	}
	now := time.Now()
	r := l.limiter.ReserveN(now, min(len(m.Events), l.limiter.Burst()))
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return notStored(wire.RateLimited, wait)
	}
	return nil
}

// queue gives a batch its place behind the one before it.
func (l *lane) queue(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.prevAppended, b.prevSettled = l.appended, l.settled
	b.appended, b.settled = make(chan struct{}), make(chan struct{})
	l.appended, l.settled = b.appended, b.settled
}

// process brings a batch to its verdict.
func (l *lane) process(ctx context.Context, b *batch) {
	j := l.judge(b)
	<-l.in.judges
	<-b.prevAppended
	ticket, err := l.store(ctx, j)
	close(b.appended)
	if ticket != nil {
		err = ticket.Wait(ctx)
		b.duplicates = ticket.Duplicates()
	}
	<-b.prevSettled
	b.verdict = l.settle(b, j, err)
	j.release()
	l.in.room.Release(b.size)
	close(b.settled)
}

// store makes the refused events durable and hands the accepted ones over; the
// ticket is nil where there are none. The refused go first: where they find no
// room, nothing is stored.
func (l *lane) store(ctx context.Context, j judged) (*journal.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, behindAfter)
	defer cancel()
	if len(j.refusals) > 0 {
		if err := l.in.quarantine.Add(ctx, j.refusals); err != nil {
			return nil, err
		}
	}
	if len(j.accepted) == 0 {
		return nil, nil
	}
	return l.in.journal.Append(ctx, journal.Batch{Events: j.accepted})
}

// settle makes the verdict and, where everything before it is stored, the
// checkpoint durable.
func (l *lane) settle(b *batch, j judged, err error) *wire.Verdict {
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.progress.lost(b.Seq)
		l.counts.notStored.Add(uint64(len(b.Events)))
		return &wire.Verdict{Outcome: &wire.Verdict_NotStored{NotStored: reasonOf(err)}}
	}
	if cp := s.progress.stored(b.Seq, b.Checkpoint); cp != nil {
		l.in.checkpoints.put(l.source, s.generation, cp)
	}
	l.counts.count(j, b.duplicates)
	return &wire.Verdict{Outcome: &wire.Verdict_Stored{Stored: j.verdict()}}
}

func sizeOf(m *wire.Batch) int64 {
	n := 0
	for _, e := range m.Events {
		n += len(e)
	}
	for _, g := range m.Groups {
		n += len(g.Attachment)
	}
	// A batch of many tiny events costs more than its bytes; a larger one than
	// the whole bound has it for itself.
	return min(int64(n+128*len(m.Events)), maxInFlight)
}

func closedChan() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
