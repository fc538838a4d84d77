package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// reportBurst is how many reports may come at once: those of a minute, which is
// for how long a host may stand still while its plugin goes on.
const reportBurst = int(time.Minute / wire.SyncReportEvery)

// SyncCommand asks the running stream of a source to do something with one of its
// syncs, and returns when the source has answered. The error is an *Error: what
// the source has against it, CodeCommandNotRunning or CodeCommandUnanswered; or
// it is ctx's cause.
func (s *Supervisor) SyncCommand(ctx context.Context, source event.SourceID, name, action string) error {
	st := s.roster.find(source)
	if st == nil {
		return &Error{Code: CodeCommandNotRunning, Source: source, Message: "it does not run now", Hint: "wellhead status tells why"}
	}
	answer, err := st.syncs.ask(&wire.SyncCommand{Sync: name, Action: action})
	if err != nil {
		return st.unanswered(err.Error())
	}
	limit := s.options.Timing.Command
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case a := <-answer:
		return st.refusal(a)
	case <-st.syncs.closed:
	case <-late.C:
		return st.unanswered(fmt.Sprintf("it did not answer within %s, and may still do it", limit))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case a := <-answer:
		return st.refusal(a)
	default:
		return st.unanswered("it stopped before it answered")
	}
}

func (s *stream) unanswered(why string) error {
	return s.source.fault(CodeCommandUnanswered, why, "look at wellhead status and at the plugin's log lines")
}

// refusal is what an answer has against a command; nil: it was done.
func (s *stream) refusal(a *wire.SyncAnswer) error {
	if a.GetError() == nil {
		return nil
	}
	p := problems([]*wire.Problem{a.GetError()})[0]
	return s.source.fault(cmp.Or(p.Code, CodeCommandRefused), p.Message, p.Fix)
}

// roster knows the stream of each source that runs.
type roster struct {
	mu      sync.Mutex
	streams map[event.SourceID]*stream
}

func (r *roster) enter(source event.SourceID, s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil {
		r.streams = map[event.SourceID]*stream{}
	}
	r.streams[source] = s
}

func (r *roster) leave(source event.SourceID, s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[source] == s {
		delete(r.streams, source)
	}
}

func (r *roster) find(source event.SourceID) *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[source]
}

// syncDesk is a stream's side of commands and reports.
type syncDesk struct {
	pace   *rate.Limiter
	asked  chan *wire.SyncCommand // to be sent
	closed chan struct{}          // closed when the stream has ended

	mu   sync.Mutex
	last uint64 // the last command's id
	// open holds the commands without an answer, also those for which nobody waits
	// any more.
	open map[uint64]chan *wire.SyncAnswer
}

func newSyncDesk() *syncDesk {
	return &syncDesk{
		pace:   rate.NewLimiter(rate.Every(wire.SyncReportEvery), reportBurst),
		asked:  make(chan *wire.SyncCommand, wire.MaxSyncCommands),
		closed: make(chan struct{}),
		open:   map[uint64]chan *wire.SyncAnswer{},
	}
}

func (d *syncDesk) close() { close(d.closed) }

// ask numbers a command and hands it over to be sent. It does not block.
func (d *syncDesk) ask(c *wire.SyncCommand) (<-chan *wire.SyncAnswer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) == wire.MaxSyncCommands {
		return nil, fmt.Errorf("it has not answered %d commands", len(d.open))
	}
	d.last++
	c.Id = d.last
	select {
	case d.asked <- c:
	default: // it answers what it has not read
		return nil, errors.New("it does not take up commands")
	}
	answer := make(chan *wire.SyncAnswer, 1)
	d.open[c.Id] = answer
	return answer, nil
}

// answer takes an answer. It returns false where none was asked for.
func (d *syncDesk) answer(a *wire.SyncAnswer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer, ok := d.open[a.GetCommand()]
	if ok {
		delete(d.open, a.GetCommand())
		answer <- a
	}
	return ok
}

// passCommands sends what people ask for.
func (s *stream) passCommands(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.drained:
			return nil // it hears nothing more
		case c := <-s.syncs.asked:
			if err := s.pass(c); err != nil {
				return err
			}
		}
	}
}

func (s *stream) pass(c *wire.SyncCommand) error {
	s.sender.Lock()
	defer s.sender.Unlock()
	select {
	case <-s.drained:
		return nil // the stream may be half-closed
	default:
	}
	return s.sendLocked(&wire.ToSource{Message: &wire.ToSource_SyncCommand{SyncCommand: c}})
}

// report takes what the source tells of its syncs.
func (s *stream) report(r *wire.SyncReport) error {
	keeper, ok := s.session.(Syncs)
	if !ok {
		return s.protocol("it tells of syncs, though its limits say that the host takes none")
	}
	if !s.syncs.pace.Allow() {
		return s.protocol(fmt.Sprintf("it reports its syncs more often than every %s", wire.SyncReportEvery))
	}
	answers, kept := r.GetAnswers(), bounded(r)
	keeper.Report(kept)
	s.source.update(func(st *SourceStatus) {
		for _, run := range kept.GetRuns() {
			if run.GetEndedUnixMs() != 0 {
				st.finished(run.GetSync())
			}
		}
	})
	// After what they changed is known.
	for _, a := range answers {
		if !s.syncs.answer(a) {
			return s.protocol(fmt.Sprintf("it answers command %d, which it was not given or has answered", a.GetCommand()))
		}
	}
	return nil
}

// bounded is what is kept of a report.
func bounded(r *wire.SyncReport) *wire.SyncReport {
	out := &wire.SyncReport{}
	if list := r.GetList().GetSyncs(); r.GetList() != nil {
		out.List = &wire.SyncList{}
		for _, s := range list[:min(len(list), wire.MaxSyncs)] {
			out.List.Syncs = append(out.List.Syncs, &wire.Sync{
				Name: shorten(s.GetName(), wire.MaxSyncName), State: shorten(s.GetState(), wire.MaxSyncWord), DueUnixMs: plausible(s.GetDueUnixMs()),
			})
		}
	}
	runs := r.GetRuns()
	for _, run := range runs[max(0, len(runs)-wire.MaxSyncRuns):] {
		kept := &wire.SyncRun{
			Sync: shorten(run.GetSync(), wire.MaxSyncName), Id: shorten(run.GetId(), wire.MaxSyncWord), Kind: shorten(run.GetKind(), wire.MaxSyncWord),
			StartedUnixMs: plausible(run.GetStartedUnixMs()), EndedUnixMs: plausible(run.GetEndedUnixMs()),
			Read: run.GetRead(), Emitted: run.GetEmitted(), Refused: run.GetRefused(),
		}
		if p := run.GetError(); p != nil {
			kept.Error = &wire.Problem{
				Code: shorten(p.GetCode(), wire.MaxSyncWord), Path: shorten(p.GetPath(), wire.MaxSyncText),
				Message: shorten(p.GetMessage(), wire.MaxSyncText), Fix: shorten(p.GetFix(), wire.MaxSyncText),
			}
		}
		out.Runs = append(out.Runs, kept)
	}
	return out
}

// plausible is a time in milliseconds since 1970, within the years that JSON can
// write; any other is none.
func plausible(ms int64) int64 {
	const year9999 = 253402300799999
	if ms < 0 || ms > year9999 {
		return 0
	}
	return ms
}
