package supervise

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// maxTokenRequests bounds a stream's unanswered requests for a token.
const maxTokenRequests = 64

// stream is one Run stream. Its goroutines are receive, which hands batches to
// the session; answer, which sends the verdicts; answerTokens; passCommands; watch;
// and drain.
type stream struct {
	source  *source
	limits  Limits
	session Session
	rpc     wire.Source_RunClient
	// submitted holds the batches without a verdict, in order. Its capacity is the
	// window: a plugin that exceeds it ends its stream.
	submitted chan submission
	tokens    chan struct{} // unanswered token requests
	began     chan struct{} // closed by Started
	drained   chan struct{} // closed by Drained
	syncs     *syncDesk

	// sender is held while a message is sent: gRPC allows one at a time.
	sender sync.Mutex

	mu      sync.Mutex
	started bool
	heard   time.Time // when the plugin last said something, or the host paid its last debt
	sending time.Time // since when a message waits for the plugin to read; zero: none does
	owed    int       // answers that were not sent yet
	batches int       // without a verdict
	numbers sequence
}

type submission struct {
	message *wire.Received // whose Batch it is
	wait    Wait
}

// stream opens a Run stream and works on it until its end. It returns errDrained
// or why the stream ended.
func (s *source) stream(ctx context.Context) error {
	life, end := context.WithCancelCause(ctx)
	defer end(nil)
	g, ctx := errgroup.WithContext(life)
	g.Go(func() error { return s.boundDrain(ctx, end) })
	g.Go(func() error { return s.converse(ctx) })
	err := g.Wait()
	if errors.Is(context.Cause(life), errDrainLate) {
		s.log.Warn("source did not drain in time and is ended", "code", CodeSourceDrain,
			"deadline", s.tenure.entry.timing.Drain)
		return errDrained
	}
	return err
}

// boundDrain ends a stream that is not drained in time, whatever it waits for.
func (s *source) boundDrain(ctx context.Context, end context.CancelCauseFunc) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.tenure.draining:
	}
	s.update(func(st *SourceStatus) { st.State = Draining })
	deadline := time.NewTimer(s.tenure.entry.timing.Drain)
	defer deadline.Stop()
	select {
	case <-ctx.Done():
	case <-deadline.C:
		end(errDrainLate)
	}
	return nil
}

// converse speaks with the plugin until the stream ends. It never returns nil.
func (s *source) converse(ctx context.Context) error {
	session, err := s.tenure.entry.supervisor.options.Intake.Open(ctx, s.spec.ID, s.tenure.generation)
	if err != nil {
		return s.intakeFault("open", err)
	}
	defer session.Close()
	g, ctx := errgroup.WithContext(ctx)
	rpc, err := s.tenure.process.rpc.Run(ctx)
	if err != nil {
		return s.ended(err)
	}
	limits := s.tenure.entry.spec.Limits
	st := &stream{
		source: s, limits: limits, session: session, rpc: rpc,
		submitted: make(chan submission, limits.Window),
		tokens:    make(chan struct{}, maxTokenRequests),
		began:     make(chan struct{}),
		drained:   make(chan struct{}),
		syncs:     newSyncDesk(),
		heard:     time.Now(),
	}
	defer s.tenure.entry.supervisor.roster.leave(s.spec.ID, st)
	defer st.syncs.close()
	if dir := s.spec.StateDir; dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return s.fault(CodeSourceFailed, err.Error(), "let the user that runs wellhead write there")
		}
	}
	if err := st.send(&wire.ToSource{Message: &wire.ToSource_Start{Start: s.start(session)}}); err != nil {
		return err
	}
	g.Go(func() error { return st.receive(ctx) })
	g.Go(func() error { return st.answer(ctx) })
	g.Go(func() error { return st.answerTokens(ctx) })
	g.Go(func() error { return st.passCommands(ctx) })
	g.Go(func() error { return st.watch(ctx) })
	g.Go(func() error { return st.prove(ctx) })
	g.Go(func() error { return st.drain(ctx) })
	return g.Wait() // receive never returns nil
}

// prove calls the source healthy when it has run for a while.
func (s *stream) prove(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.began:
	}
	t := time.NewTimer(s.source.tenure.entry.timing.Healthy)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		s.source.healthy()
	}
	return nil
}

// send sends one message. The error says why the stream ended.
func (s *stream) send(m *wire.ToSource) error {
	s.sender.Lock()
	defer s.sender.Unlock()
	return s.sendLocked(m)
}

func (s *stream) sendLocked(m *wire.ToSource) error {
	s.setSending(time.Now())
	err := s.rpc.Send(m)
	s.setSending(time.Time{})
	if errors.Is(err, io.EOF) {
		// The stream has ended; receive learns why.
		return nil
	}
	if err != nil {
		return s.source.ended(err)
	}
	return nil
}

func (s *stream) setSending(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = since
}

// receive takes what the plugin says until the stream ends.
func (s *stream) receive(ctx context.Context) error {
	for {
		m := new(wire.Received)
		if err := s.rpc.RecvMsg(m); err != nil {
			return s.close(err)
		}
		s.hear()
		if err := s.take(ctx, m); err != nil {
			return err
		}
	}
}

func (s *stream) take(ctx context.Context, received *wire.Received) error {
	if _, ok := received.Message.(*wire.FromSource_Started); ok == s.started {
		return s.protocol("its first message must be Started, and no other")
	}
	switch m := received.Message.(type) {
	case *wire.FromSource_Started:
		s.started = true
		close(s.began)
		s.source.started()
		s.source.tenure.entry.supervisor.roster.enter(s.source.spec.ID, s)
	case *wire.FromSource_Batch:
		s.source.tenure.batches.Add(1)
		return s.submit(ctx, received)
	case *wire.FromSource_TokenRequest:
		return s.requestToken()
	case *wire.FromSource_TokenRejected:
		if t, ok := s.session.(Tokens); ok {
			t.TokenRejected(ctx, m.TokenRejected.GetAccessToken())
		}
	case *wire.FromSource_Progress:
		s.source.update(func(st *SourceStatus) { st.note(m.Progress) })
	case *wire.FromSource_Health:
		s.source.update(func(st *SourceStatus) { st.Problems = problems(m.Health.GetProblems()) })
	case *wire.FromSource_SyncReport:
		return s.report(m.SyncReport)
	case *wire.FromSource_Drained:
		return s.finished()
	default:
		return s.protocol("it sent a message that this host does not know")
	}
	return nil
}

// close says why the stream ended.
func (s *stream) close(err error) error {
	select {
	case <-s.drained:
		if errors.Is(err, io.EOF) {
			return errDrained
		}
	default:
	}
	return s.source.ended(err)
}

// finished takes Drained. The host half-closes the stream after the last verdict,
// and the plugin ends it.
func (s *stream) finished() error {
	select {
	case <-s.source.tenure.draining:
	default:
		return s.protocol("it sent Drained without being asked to drain")
	}
	select {
	case <-s.drained:
		return s.protocol("it sent Drained twice")
	default:
	}
	close(s.drained)
	s.paid(0)
	return nil
}

// paid counts answers that were sent. After the last one to a source that has
// drained the stream is half-closed.
func (s *stream) paid(n int) {
	s.mu.Lock()
	s.owed -= n
	s.heard = time.Now()
	owes := s.owed > 0
	s.mu.Unlock()
	select {
	case <-s.drained:
	default:
		return
	}
	if owes {
		return
	}
	s.sender.Lock()
	defer s.sender.Unlock()
	// It fails only on a stream that has ended.
	_ = s.rpc.CloseSend()
}

// submit hands a batch over, and waits where there is no room for it.
func (s *stream) submit(ctx context.Context, m *wire.Received) error {
	b := m.GetBatch()
	select {
	case <-s.drained:
		return s.protocol("it sent a batch after Drained")
	default:
	}
	if err := s.check(b); err != nil {
		return err
	}
	wait, err := s.session.Submit(ctx, b)
	if err != nil {
		return s.source.intakeFault("submit", err)
	}
	// There is room: check has counted.
	s.submitted <- submission{message: m, wait: wait}
	return nil
}

// answer sends the verdicts in the order of the batches.
func (s *stream) answer(ctx context.Context) error {
	for {
		var next submission
		select {
		case <-ctx.Done():
			return nil
		case next = <-s.submitted:
		}
		verdict, err := next.wait(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the stream has ended; its cause is told elsewhere
			}
			return s.source.intakeFault("verdict", err)
		}
		verdict.Batch = next.message.GetBatch().GetSeq()
		next.message.Release() // the session is done with it
		// Before it is sent: its receiver may answer it with the next batch.
		s.settle(verdict.GetBatch(), verdict.GetNotStored() == nil)
		if err := s.send(&wire.ToSource{Message: &wire.ToSource_Verdict{Verdict: verdict}}); err != nil {
			return err
		}
		s.paid(1)
	}
}

// requestToken notes that the plugin wants an access token.
func (s *stream) requestToken() error {
	s.mu.Lock()
	s.owed++
	s.mu.Unlock()
	select {
	case s.tokens <- struct{}{}:
		return nil
	default:
		return s.protocol("it asks for tokens faster than they can be answered")
	}
}

func (s *stream) answerTokens(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.tokens:
		}
		token := &wire.Token{Error: wire.Unavailable}
		if t, ok := s.session.(Tokens); ok {
			token = t.Token(ctx)
		}
		s.source.update(func(st *SourceStatus) {
			switch {
			case token.GetError() == wire.NeedsConsent:
				st.State = NeedsConsent
			case st.State == NeedsConsent:
				st.State = Running
			}
		})
		if err := s.send(&wire.ToSource{Message: &wire.ToSource_Token{Token: token}}); err != nil {
			return err
		}
		s.paid(1)
	}
}

// drain asks the source to finish when it is time.
func (s *stream) drain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.source.tenure.draining:
	}
	limit := s.source.tenure.entry.timing.Drain
	request := &wire.Drain{DeadlineMs: uint32(limit.Milliseconds())}
	return s.send(&wire.ToSource{Message: &wire.ToSource_Drain{Drain: request}})
}

// watch ends the stream where the plugin says nothing for too long and has
// nothing to wait for.
func (s *stream) watch(ctx context.Context) error {
	limit := s.source.silence
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		quiet, owes := s.quiet()
		if !owes && quiet >= limit {
			e := s.source.fault(CodeSourceSilent, "it said nothing for "+limit.String(),
				"it hangs, and gets a new stream")
			e.Err = errSilent
			return e
		}
		if owes {
			quiet = 0
		}
		timer.Reset(limit - quiet)
	}
}

func (s *stream) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
}

// quiet returns for how long the plugin has done nothing, and whether it waits
// for an answer. One that lets an answer wait does not.
func (s *stream) quiet() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sending.IsZero() {
		return min(time.Since(s.heard), time.Since(s.sending)), false
	}
	return time.Since(s.heard), s.owed > 0
}
