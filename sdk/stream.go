package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Stream is one source while it runs. Its methods may be called from several
// goroutines; none of them may be called after Run has returned.
type Stream struct {
	settings   atomic.Pointer[Settings]
	checkpoint []byte
	limits     Limits
	log        *slog.Logger
	maxSilence time.Duration

	draining chan struct{}
	drain    sync.Once
	ended    chan struct{} // closed when the connection is over
	window   chan struct{} // a place for each batch without a verdict
	commands chan *SyncCommand
	reports  *reports

	send    func(*wire.FromSource) error
	sending sync.Mutex // orders sequence numbers as they are sent

	mu       sync.Mutex
	seq      uint64
	verdicts map[uint64]chan *wire.Verdict
	tokens   []chan *wire.Token
	updated  chan struct{}
}

// Limits are the host's bounds on what a stream sends.
type Limits struct {
	EventBytes  int // a larger event is refused, alone
	BatchBytes  int // of all events of a batch together
	BatchEvents int
	Window      int // batches without a verdict; a further Emit waits
}

// Batch is what Emit hands over.
type Batch struct {
	Events []Event
	// Checkpoint is what Run gets back when it starts again. It becomes
	// durable after the events, never before. Nil: none.
	Checkpoint []byte
	// Groups name runs of events that are stored together or not at all.
	Groups []Group
	// Violations are the source's own reasons to refuse events of the batch.
	Violations []Violation
}

// Group is a run of events in a Batch.
type Group struct {
	First, Count int
	Attachment   []byte // opaque bytes kept beside the group; nil: none
}

// Violation is one reason why an event was refused.
type Violation struct {
	Index     int    // of the event in its batch
	MessageID string // of the event, assigned by the host where it had none
	Code      string // stable: no_id, schema, plan, too_large, …
	Path      string // JSON Pointer into the event
	Keyword   string // of the schema
	Message   string
	Schema    string
	// Dropped tells that the event was dropped, as its operator chose, rather
	// than kept in the quarantine.
	Dropped bool
}

// Verdict is the host's answer to a batch: everything is durable, in the
// journal or in the quarantine, or was dropped as the operator chose.
type Verdict struct {
	// Violations of the refused events, in the order of the batch; of one
	// event there may be several. Empty: all were accepted.
	Violations []Violation
}

// Settings returns what the operator wrote, as it is now.
func (s *Stream) Settings() *Settings { return s.settings.Load() }

// Updated returns a channel that is closed when the settings change next.
func (s *Stream) Updated() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updated
}

// Checkpoint returns the durable checkpoint from which to go on; nil: from
// the beginning.
func (s *Stream) Checkpoint() []byte { return s.checkpoint }

// Limits returns the host's bounds.
func (s *Stream) Limits() Limits { return s.limits }

// Log returns a logger whose lines appear in the host's log with the plugin's
// and the source's name.
func (s *Stream) Log() *slog.Logger { return s.log }

// Draining returns a channel that is closed when the source has to finish:
// emit nothing new, wait for what is under way, return from Run.
func (s *Stream) Draining() <-chan struct{} { return s.draining }

// Emit hands over a batch and returns when all of it is durable. Errors:
// *NotStored when nothing of it is (emit it again, or tell the client to),
// *TooLarge, ErrEnded, or ctx's error, after which the outcome is not known.
func (s *Stream) Emit(ctx context.Context, b Batch) (Verdict, error) {
	m, err := s.encode(b)
	if err != nil {
		return Verdict{}, err
	}
	return s.emit(ctx, m)
}

// Store is Emit for sources that can wait: it emits the batch again, after the
// time that the host asks for, until it is stored.
func (s *Stream) Store(ctx context.Context, b Batch) (Verdict, error) {
	m, err := s.encode(b)
	if err != nil {
		return Verdict{}, err
	}
	for {
		v, err := s.emit(ctx, m)
		var ns *NotStored
		if !errors.As(err, &ns) {
			return v, err
		}
		if err := s.wait(ctx, ns.RetryAfter); err != nil {
			return Verdict{}, err
		}
	}
}

// Alive tells the host that the source's own loop still turns. A loop that
// has nothing to emit calls it more often than Plugin.MaxSilence; a helper
// goroutine that did so in its place would hide that the loop hangs.
func (s *Stream) Alive() { s.Health() }

// Health reports what is wrong with the source, for the operator; nothing: it
// is well again.
func (s *Stream) Health(problems ...Problem) {
	_ = s.say(&wire.FromSource{Message: &wire.FromSource_Health{Health: &wire.Health{Problems: problemsToWire(problems)}}})
}

// Progress tells how far a long read has come. A total of 0 means unknown.
func (s *Stream) Progress(stream string, done, total uint64, message string) {
	_ = s.say(&wire.FromSource{Message: &wire.FromSource_Progress{Progress: &wire.Progress{
		Stream: stream, Done: done, Total: total, Message: message,
	}}})
}

// Token returns an access token of the consent that the source's admin gave.
// Errors: ErrNeedsConsent, ErrNoToken, ErrEnded, or ctx's.
func (s *Stream) Token(ctx context.Context) (Token, error) {
	answer := make(chan *wire.Token, 1)
	s.mu.Lock()
	s.tokens = append(s.tokens, answer)
	s.mu.Unlock()
	if err := s.say(&wire.FromSource{Message: &wire.FromSource_TokenRequest{TokenRequest: &wire.TokenRequest{}}}); err != nil {
		return Token{}, err
	}
	select {
	case t := <-answer:
		switch t.Error {
		case "":
			return Token{AccessToken: t.AccessToken, InstanceURL: t.InstanceUrl}, nil
		case wire.NeedsConsent:
			return Token{}, ErrNeedsConsent
		default:
			return Token{}, fmt.Errorf("%w: %s", ErrNoToken, t.Error)
		}
	case <-s.ended:
		return Token{}, ErrEnded
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
}

// RejectToken tells the host that the service did not take this token, so that
// the next Token is a new one.
func (s *Stream) RejectToken(t Token) {
	_ = s.say(&wire.FromSource{Message: &wire.FromSource_TokenRejected{TokenRejected: &wire.TokenRejected{AccessToken: t.AccessToken}}})
}

func (s *Stream) encode(b Batch) (*wire.Batch, error) {
	size := 0
	m := &wire.Batch{Events: make([][]byte, len(b.Events)), Checkpoint: b.Checkpoint}
	for i, e := range b.Events {
		m.Events[i] = e
		size += len(e)
	}
	if max := s.limits.BatchEvents; max > 0 && len(b.Events) > max {
		return nil, &TooLarge{What: "events", Have: len(b.Events), Allowed: max}
	}
	if max := s.limits.BatchBytes; max > 0 && size > max {
		return nil, &TooLarge{What: "bytes", Have: size, Allowed: max}
	}
	if n := len(b.Checkpoint); n > wire.MaxCheckpoint {
		return nil, &TooLarge{What: "bytes of checkpoint", Have: n, Allowed: wire.MaxCheckpoint}
	}
	for _, g := range b.Groups {
		m.Groups = append(m.Groups, &wire.Group{First: uint32(g.First), Count: uint32(g.Count), Attachment: g.Attachment})
	}
	for _, v := range b.Violations {
		m.Violations = append(m.Violations, &wire.Violation{
			Index: uint32(v.Index), Code: v.Code, Path: v.Path, Keyword: v.Keyword, Message: v.Message, Schema: v.Schema,
		})
	}
	return m, nil
}

func (s *Stream) emit(ctx context.Context, m *wire.Batch) (Verdict, error) {
	select {
	case s.window <- struct{}{}:
	case <-s.ended:
		return Verdict{}, ErrEnded
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	}
	answer, err := s.sendBatch(m)
	if err != nil {
		return Verdict{}, err
	}
	select {
	case v := <-answer:
		return verdict(v)
	case <-s.ended:
		return Verdict{}, ErrEnded
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	}
}

// sendBatch numbers a batch, unless it has been sent before, and sends it.
func (s *Stream) sendBatch(m *wire.Batch) (<-chan *wire.Verdict, error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	answer := make(chan *wire.Verdict, 1)
	s.mu.Lock()
	if m.Seq == 0 {
		s.seq++
		m.Seq = s.seq
	}
	s.verdicts[m.Seq] = answer
	s.mu.Unlock()
	if err := s.send(&wire.FromSource{Message: &wire.FromSource_Batch{Batch: m}}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return answer, nil
}

func (s *Stream) say(m *wire.FromSource) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	select {
	case <-s.ended:
		return ErrEnded
	default:
	}
	if err := s.send(m); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return nil
}

func (s *Stream) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hear takes one message from the host. It never blocks.
func (s *Stream) hear(m *wire.ToSource) {
	switch m := m.Message.(type) {
	case *wire.ToSource_Verdict:
		s.mu.Lock()
		answer := s.verdicts[m.Verdict.Batch]
		delete(s.verdicts, m.Verdict.Batch)
		s.mu.Unlock()
		if answer != nil {
			<-s.window
			answer <- m.Verdict
		}
	case *wire.ToSource_Update:
		s.mu.Lock()
		s.settings.Store(settingsOf(m.Update.Source))
		close(s.updated)
		s.updated = make(chan struct{})
		s.mu.Unlock()
	case *wire.ToSource_Token:
		s.mu.Lock()
		if len(s.tokens) > 0 {
			s.tokens[0] <- m.Token
			s.tokens = s.tokens[1:]
		}
		s.mu.Unlock()
	case *wire.ToSource_SyncCommand:
		s.command(m.SyncCommand)
	case *wire.ToSource_Drain:
		s.drain.Do(func() { close(s.draining) })
	}
}

func (s *Stream) isDraining() bool {
	select {
	case <-s.draining:
		return true
	case <-s.ended:
		return true
	default:
		return false
	}
}

func verdict(v *wire.Verdict) (Verdict, error) {
	if ns := v.GetNotStored(); ns != nil {
		after := max(time.Duration(ns.RetryAfterSeconds)*time.Second, time.Second)
		return Verdict{}, &NotStored{Reason: Reason(ns.Reason), RetryAfter: after}
	}
	stored := v.GetStored()
	dropped := make(map[uint32]bool, len(stored.GetDropped()))
	for _, i := range stored.GetDropped() {
		dropped[i] = true
	}
	var out Verdict
	for _, w := range stored.GetViolations() {
		out.Violations = append(out.Violations, Violation{
			Index: int(w.Index), MessageID: w.MessageId, Code: w.Code, Path: w.Path, Keyword: w.Keyword,
			Message: w.Message, Schema: w.Schema, Dropped: dropped[w.Index],
		})
	}
	return out, nil
}

func settingsOf(c *wire.SourceConfig) *Settings {
	return &Settings{Source: c.GetSource(), Keys: c.GetKeys(), StateDir: c.GetStateDir(), config: c.GetConfig(), plugin: c.GetPlugin()}
}

func problemsToWire(problems []Problem) []*wire.Problem {
	var out []*wire.Problem
	for _, p := range problems {
		out = append(out, &wire.Problem{Code: p.Code, Path: p.Path, Message: p.Message, Fix: p.Fix, Warning: p.Warning})
	}
	return out
}
