package syncs

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

const (
	// writeEvery is the least time between two writes, each of all that has
	// changed.
	writeEvery = time.Second
	// writeRetry is how long the Book waits after a write that failed.
	writeRetry = 10 * time.Second
	// countsEvery is how often the counts of a run that goes on are worth a write.
	countsEvery = 10 * time.Second
	// forgetAfter is how long the runs of a source that left the config are kept.
	forgetAfter = 7 * 24 * time.Hour
)

// Options are what a Book works with.
type Options struct {
	Store Store
	// Sources are those of the config, also disabled ones.
	Sources []event.SourceID
	Log     *slog.Logger
}

// Book keeps what sources tell of their syncs. Its methods may be called from
// any goroutine, and none but Run waits for the disk.
type Book struct {
	store Store
	log   *slog.Logger
	wake  chan struct{} // holds a token while something is worth a write

	mu      sync.Mutex
	sources map[event.SourceID]*source
	gone    map[string]bool // keys to delete
}

// source is what is known of one source. It has at most wire.MaxSyncs syncs,
// also those that it does not list any more.
type source struct {
	syncs map[string]*entry
	live  *Stream // nil: the source does not run
}

// Stream takes the reports of one stream of a source.
type Stream struct {
	book   *Book
	source event.SourceID
}

// Open reads what was kept. Files that cannot be read are reported and begun
// anew; the error is of the store as a whole.
func Open(o Options) (*Book, error) {
	b := &Book{
		store: o.Store, log: o.Log, wake: make(chan struct{}, 1),
		sources: map[event.SourceID]*source{}, gone: map[string]bool{},
	}
	return b, b.load(o.Sources)
}

// Stream begins a stream of a source. Another one of the same source is over.
func (b *Book) Stream(id event.SourceID) *Stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Stream{book: b, source: id}
	b.source(id).live = s
	return s
}

// Close tells that the stream has ended: runs of it without an end are
// interrupted.
func (s *Stream) Close() {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	if known := s.book.source(s.source); known.live == s {
		known.live = nil
	}
}

// Report takes a report, which is within the bounds of package wire.
func (s *Stream) Report(r *wire.SyncReport) {
	b, now := s.book, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.source(s.source)
	if known.live != s {
		return
	}
	if r.GetList() != nil {
		b.list(s.source, r.GetList().GetSyncs(), now)
	}
	for _, run := range r.GetRuns() {
		e := b.entry(s.source, run.GetSync(), now)
		e.listed = true
		e.note(recordOf(run, s, now))
	}
	b.wakeFor(known, now)
}

// list takes the list of a source's syncs.
func (b *Book) list(id event.SourceID, list []*wire.Sync, now time.Time) {
	for _, e := range b.source(id).syncs {
		e.listed = false
	}
	for _, told := range list {
		e := b.entry(id, told.GetName(), now)
		e.listed = true
		e.due = timeOf(told.GetDueUnixMs())
		if state := stateOf(told.GetState()); state != e.state {
			e.state, e.unsaved, e.urgent = state, true, true
		}
	}
}

// Syncs returns the syncs of a source by name, each with at most so many runs.
func (b *Book) Syncs(id event.SourceID, runs int) []Sync {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.sources[id]
	if known == nil {
		return nil
	}
	var out []Sync
	for _, e := range known.syncs {
		if e.listed {
			out = append(out, e.view(known.live, runs))
		}
	}
	slices.SortFunc(out, func(a, b Sync) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (b *Book) source(id event.SourceID) *source {
	s := b.sources[id]
	if s == nil {
		s = &source{syncs: map[string]*entry{}}
		b.sources[id] = s
	}
	return s
}

// entry finds a sync, or makes room for it: of the others the one goes that is
// not listed, or else was not heard of for the longest time.
func (b *Book) entry(id event.SourceID, name string, now time.Time) *entry {
	syncs := b.source(id).syncs
	e := syncs[name]
	if e == nil {
		if len(syncs) >= wire.MaxSyncs {
			last := slices.MinFunc(slices.Collect(maps.Values(syncs)), byUse)
			delete(syncs, last.name)
			if !last.saved.IsZero() {
				b.gone[storeKey(id, last.name)] = true
			}
		}
		e = &entry{name: name, state: Idle, unsaved: true, urgent: true}
		delete(b.gone, storeKey(id, name))
		syncs[name] = e
	}
	e.heard = now
	return e
}

// byUse has those first that can go first.
func byUse(a, b *entry) int {
	switch {
	case a.listed == b.listed:
		return a.heard.Compare(b.heard)
	case b.listed:
		return -1
	default:
		return 1
	}
}

// wakeFor wakes the writer where a source has something that is worth a write.
func (b *Book) wakeFor(s *source, now time.Time) {
	worth := len(b.gone) > 0
	for _, e := range s.syncs {
		if e.unsaved && now.Sub(e.saved) >= countsEvery {
			e.urgent = true
		}
		worth = worth || e.urgent
	}
	if worth {
		b.poke()
	}
}

func (b *Book) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run writes what is worth it until ctx ends, and then all the rest.
func (b *Book) Run(ctx context.Context) error {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return b.write(true)
		}
		pause := writeEvery
		if err := b.write(false); err != nil {
			b.log.Warn("history of syncs not written, trying again", "code", "syncs_write", "err", err)
			pause = writeRetry
			b.poke()
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

func recordOf(m *wire.SyncRun, s *Stream, now time.Time) record {
	r := record{
		ID: m.GetId(), Kind: m.GetKind(), Started: timeOf(m.GetStartedUnixMs()), Ended: timeOf(m.GetEndedUnixMs()),
		Read: m.GetRead(), Emitted: m.GetEmitted(), Refused: m.GetRefused(), stream: s,
	}
	// Host and plugin have one clock: what lies ahead of it is a mistake.
	if r.Started.IsZero() || r.Started.After(now) {
		r.Started = now.UTC()
	}
	if r.ended() {
		r.Ended = later(r.Started, earlier(r.Ended, now.UTC()))
	}
	if p := m.GetError(); p != nil {
		r.Error = &Error{Code: p.GetCode(), Path: p.GetPath(), Message: p.GetMessage(), Fix: p.GetFix()}
	}
	return r
}

func stateOf(word string) State {
	switch state := State(word); state {
	case Idle, Running, Paused, Failed:
		return state
	default:
		return Unknown
	}
}

// timeOf is a time of the wire; 0 is the zero time.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
