package supervise

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// maxTokenRequests bounds a stream's unanswered requests for a token.
const maxTokenRequests = 64

// stream is one Run stream. Its goroutines are receive, which hands batches to
// the session; answer, which sends the verdicts; token; watch; and drain.
type stream struct {
	source  *source
	limits  Limits
	session Session
	rpc     wire.Source_RunClient
	// submitted holds the batches without a verdict, in order. Its capacity is the
	// window: a plugin that exceeds it ends its stream.
	submitted chan submission
	tokens    chan struct{} // unanswered token requests
	drained   chan struct{} // closed by Drained

	// sending is held while a message is sent: gRPC allows one at a time.
	sending sync.Mutex

	mu       sync.Mutex
	started  bool
	heard    time.Time // when the plugin last said something, or the host knew its last answer
	batches  int       // without a verdict
	requests int       // for a token, without an answer
	unsent   int       // answers that are owed, or known and not sent yet
	numbers  sequence
}

type submission struct {
	seq  uint64
	wait Wait
}

// stream opens a Run stream and works on it until its end. It returns errDrained
// or why the stream ended.
func (s *source) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	session, err := s.tenure.entry.supervisor.options.Intake.Open(ctx, s.spec.ID, s.tenure.generation)
	if err != nil {
		e := s.fault(CodeSourceIntake, "open: "+err.Error(), "look at the host's own health")
		e.Err = err
		return e
	}
	defer session.Close()
	rpc, err := s.tenure.process.rpc.Run(ctx)
	if err != nil {
		return s.ended(err)
	}
	limits := s.tenure.entry.spec.Limits
	st := &stream{
		source: s, limits: limits, session: session, rpc: rpc,
		submitted: make(chan submission, limits.Window),
		tokens:    make(chan struct{}, maxTokenRequests),
		drained:   make(chan struct{}),
		heard:     time.Now(),
	}
	if err := st.send(&wire.ToSource{Message: &wire.ToSource_Start{Start: s.start(session)}}); err != nil {
		return err
	}
	g.Go(func() error { return st.receive(ctx) })
	g.Go(func() error { return st.answer(ctx) })
	g.Go(func() error { return st.answerTokens(ctx) })
	g.Go(func() error { return st.watch(ctx) })
	g.Go(func() error { return st.drain(ctx) })
	return g.Wait()
}

// send sends one message. The error says why the stream ended.
func (s *stream) send(m *wire.ToSource) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	err := s.rpc.Send(m)
	if errors.Is(err, io.EOF) {
		// The stream has ended; receive learns why.
		return nil
	}
	if err != nil {
		return s.source.ended(err)
	}
	return nil
}

// receive takes what the plugin says until the stream ends.
func (s *stream) receive(ctx context.Context) error {
	for {
		m, err := s.rpc.Recv()
		if err != nil {
			return s.close(err)
		}
		s.hear()
		if err := s.take(ctx, m); err != nil {
			return err
		}
	}
}

func (s *stream) take(ctx context.Context, m *wire.FromSource) error {
	if _, ok := m.Message.(*wire.FromSource_Started); ok == s.started {
		return s.protocol("its first message must be Started, and no other")
	}
	switch m := m.Message.(type) {
	case *wire.FromSource_Started:
		s.started = true
		s.source.started()
	case *wire.FromSource_Batch:
		s.source.tenure.batches.Add(1)
		return s.submit(ctx, m.Batch)
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
	s.sent(0)
	return nil
}

// sent counts answers that were sent. After the last one to a source that
// has drained the stream is half-closed.
func (s *stream) sent(n int) {
	s.mu.Lock()
	s.unsent -= n
	more := s.unsent > 0
	s.mu.Unlock()
	select {
	case <-s.drained:
	default:
		return
	}
	if more {
		return
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	// It fails only on a stream that has ended.
	_ = s.rpc.CloseSend()
}

// submit hands a batch over, and waits where there is no room for it.
func (s *stream) submit(ctx context.Context, b *wire.Batch) error {
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
		return s.intake("submit", err)
	}
	// There is room: check has counted.
	s.submitted <- submission{seq: b.GetSeq(), wait: wait}
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
				return nil
			}
			return s.intake("verdict", err)
		}
		verdict.Batch = next.seq
		// Before it is sent: its receiver may answer it with the next batch. And
		// from now on it is up to the plugin, which may not read at all.
		s.settle(next.seq, verdict.GetNotStored() == nil)
		if err := s.send(&wire.ToSource{Message: &wire.ToSource_Verdict{Verdict: verdict}}); err != nil {
			return err
		}
		s.sent(1)
	}
}

// requestToken notes that the plugin wants an access token.
func (s *stream) requestToken() error {
	s.mu.Lock()
	s.requests++
	s.unsent++
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
		s.mu.Lock()
		s.requests--
		s.heard = time.Now()
		s.mu.Unlock()
		if err := s.send(&wire.ToSource{Message: &wire.ToSource_Token{Token: token}}); err != nil {
			return err
		}
		s.sent(1)
	}
}

// drain asks the source to finish when it is time, and ends the stream where it
// does not.
func (s *stream) drain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.source.tenure.draining:
	}
	s.source.update(func(st *SourceStatus) { st.State = Draining })
	limit := s.source.tenure.entry.timing.Drain
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	request := &wire.Drain{DeadlineMs: uint32(limit.Milliseconds())}
	if err := s.send(&wire.ToSource{Message: &wire.ToSource_Drain{Drain: request}}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-deadline.C:
		s.source.log.Warn("source did not drain in time and is ended", "code", CodeSourceDrain, "deadline", limit)
		return errDrained
	}
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

// quiet returns for how long the plugin has said nothing, and whether it waits
// for an answer that the host does not have yet.
func (s *stream) quiet() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.heard), s.batches+s.requests > 0
}
