package sdk

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Bounds on what the host takes notice of. A config schema that says so
// (maxProperties, maxLength) spares the operator the surprise.
const (
	MaxSyncs    = wire.MaxSyncs    // of one source; what is beyond is left out
	MaxSyncName = wire.MaxSyncName // bytes; what is longer is cut
)

// Sync is one query or object of a source that becomes one kind of call, on an
// interval.
type Sync struct {
	Name  string
	State SyncState // empty: SyncIdle
	// Due is when it runs next by itself; zero: it does not, or that is not known.
	Due time.Time
}

// SyncState is what a sync is doing.
type SyncState string

// The states of a Sync.
const (
	SyncIdle    SyncState = wire.SyncIdle
	SyncRunning SyncState = wire.SyncRunning
	SyncPaused  SyncState = wire.SyncPaused
	// SyncFailed is a sync whose last run failed. The operator sees that run's
	// error. With a Due it is tried again; without one a person has to mend
	// something first.
	SyncFailed SyncState = wire.SyncFailed
)

// SyncRun is one run of a sync, as far as it has come.
type SyncRun struct {
	Sync string
	// ID names the run among those of its sync, in at most 64 bytes. A run that
	// goes on after a restart keeps it.
	ID      string
	Kind    string // backfill, incremental, reconcile, …: for people, in at most 64 bytes
	Started time.Time
	Ended   time.Time // zero: it still runs
	Read    uint64    // rows
	Emitted uint64    // events that are stored
	Refused uint64    // events that the host refused, and rows that could not become one
	// Error is why the run failed; nil: it did not. Where it is a Problem or wraps
	// one, the operator sees its code and fix.
	Error error
}

// SyncCommand is what a person asks of one sync. It wants one call of Done.
type SyncCommand struct {
	Sync   string // the name of one of Stream.Syncs
	Action SyncAction

	done func(error)
}

// SyncAction is what a sync is asked to do.
type SyncAction string

// The actions of a SyncCommand.
const (
	// SyncRunNow asks for a run now, whatever Due says.
	SyncRunNow SyncAction = wire.SyncRunNow
	// SyncPause asks for no further run; one that is under way ends at its next
	// durable place. It holds across restarts, so it is in the checkpoint.
	SyncPause SyncAction = wire.SyncPause
	// SyncResume ends a pause. Where there is none, a Problem with the code
	// not_paused says so, which is no failure to whoever asks.
	SyncResume SyncAction = wire.SyncResume
	// SyncReset asks to forget how far the sync has come: its next run reads
	// everything. It is in the checkpoint before it is answered.
	SyncReset SyncAction = wire.SyncReset
)

// Done tells the person that it is done, or why not: an error that is a Problem
// or wraps one brings its code and fix. A person waits for 30 s. Calls after the
// first do nothing.
func (c *SyncCommand) Done(err error) { c.done(err) }

// Syncs tells all syncs of the source as they are now. It is called at the
// beginning of Run, and whenever a state or a Due changes.
//
// Syncs and Report never block. What they tell is put together and sent at most
// four times a second, the last of it before Run's return is seen by the host.
func (s *Stream) Syncs(all ...Sync) { s.reports.list(all) }

// Report tells of a run of a sync: that it begins, how far it is, that it has
// ended. It replaces what was told of the same run before and may be called for
// each page that is read. The host keeps the last runs for the operator; one
// that has no end when the stream ends is shown as interrupted.
func (s *Stream) Report(run SyncRun) { s.reports.run(run) }

// Commands returns the channel of what people ask of the source's syncs; it is
// always the same one. Run receives from it as long as it lives.
func (s *Stream) Commands() <-chan *SyncCommand { return s.commands }

// command takes a command from the host. It never blocks.
func (s *Stream) command(m *wire.SyncCommand) {
	c := &SyncCommand{Sync: m.GetSync(), Action: SyncAction(m.GetAction())}
	var once sync.Once
	c.done = func(err error) {
		once.Do(func() { s.reports.answer(&wire.SyncAnswer{Command: m.GetId(), Error: problemOf(err)}) })
	}
	switch c.Action {
	case SyncRunNow, SyncPause, SyncResume, SyncReset:
	default:
		c.Done(Problem{
			Code: "unknown_action", Message: "this plugin does not know how to " + string(c.Action),
			Fix: "build it with an sdk of the host's version",
		})
		return
	}
	select {
	case s.commands <- c:
	default:
		c.Done(Problem{Code: "busy", Message: "the source has not taken up earlier commands", Fix: "try again later"})
	}
}

// reports puts together what a source tells of its syncs, so that the host hears
// of it at a bounded rate whatever the source does, and of the end of it all.
type reports struct {
	on   bool // the host takes them
	send func(*wire.FromSource) error
	wake chan struct{} // holds a token while next has something

	mu   sync.Mutex
	next *wire.SyncReport
}

func newReports(limits *wire.Limits, send func(*wire.FromSource) error) *reports {
	return &reports{
		on: limits.GetSyncs() > 0, send: send,
		wake: make(chan struct{}, 1), next: &wire.SyncReport{},
	}
}

func (r *reports) list(all []Sync) {
	list := &wire.SyncList{}
	for _, s := range all[:min(len(all), wire.MaxSyncs)] {
		if s.State == "" {
			s.State = SyncIdle
		}
		list.Syncs = append(list.Syncs, &wire.Sync{
			Name: cut(s.Name, wire.MaxSyncName), State: string(s.State), DueUnixMs: unixMs(s.Due),
		})
	}
	r.add(func(next *wire.SyncReport) { next.List = list })
}

func (r *reports) run(run SyncRun) {
	m := &wire.SyncRun{
		Sync: cut(run.Sync, wire.MaxSyncName), Id: cut(run.ID, wire.MaxSyncWord), Kind: cut(run.Kind, wire.MaxSyncWord),
		StartedUnixMs: unixMs(run.Started), EndedUnixMs: unixMs(run.Ended),
		Read: run.Read, Emitted: run.Emitted, Refused: run.Refused, Error: problemOf(run.Error),
	}
	r.add(func(next *wire.SyncReport) {
		same := func(have *wire.SyncRun) bool { return have.Sync == m.Sync && have.Id == m.Id }
		if i := slices.IndexFunc(next.Runs, same); i >= 0 {
			next.Runs[i] = m
			return
		}
		if len(next.Runs) == wire.MaxSyncRuns {
			next.Runs = slices.Delete(next.Runs, 0, 1)
		}
		next.Runs = append(next.Runs, m)
	})
}

func (r *reports) answer(a *wire.SyncAnswer) {
	r.add(func(next *wire.SyncReport) { next.Answers = append(next.Answers, a) })
}

func (r *reports) add(change func(*wire.SyncReport)) {
	if !r.on {
		return
	}
	r.mu.Lock()
	change(r.next)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// work sends what there is, at its pace, until done is closed; and then the rest.
func (r *reports) work(done <-chan struct{}) {
	defer r.flush()
	for {
		select {
		case <-r.wake:
		case <-done:
			return
		}
		r.flush()
		select {
		case <-time.After(wire.SyncReportEvery):
		case <-done:
			return
		}
	}
}

// flush sends what there is. An error means that the stream has ended.
func (r *reports) flush() {
	r.mu.Lock()
	next := r.next
	r.next = &wire.SyncReport{}
	r.mu.Unlock()
	if next.List != nil || len(next.Runs) > 0 || len(next.Answers) > 0 {
		_ = r.send(&wire.FromSource{Message: &wire.FromSource_SyncReport{SyncReport: next}})
	}
}

// problemOf is what an error tells a person; nil: there is none.
func problemOf(err error) *wire.Problem {
	if err == nil {
		return nil
	}
	message := err.Error()
	var p Problem
	if errors.As(err, &p) {
		// What wraps it is of the message; code and fix have their own places.
		message = strings.Replace(message, p.Error(), p.Message, 1)
	}
	return &wire.Problem{
		Code: cut(p.Code, wire.MaxSyncWord), Path: cut(p.Path, wire.MaxSyncText),
		Message: cut(message, wire.MaxSyncText), Fix: cut(p.Fix, wire.MaxSyncText),
	}
}

// cut keeps the beginning of a text, at most so many bytes of it, as UTF-8:
// protobuf sends nothing else.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

// unixMs is a time in milliseconds since 1970; 0 for the zero time.
func unixMs(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
