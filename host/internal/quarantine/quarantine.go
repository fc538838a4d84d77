// Package quarantine keeps refused events, with their bytes and every reason,
// until they are replayed, dropped or too old: those that the gate refused, and
// accepted ones that a destination refused for good. What the source attached to
// a group stays with the group's first event.
//
// Each source has a log of its own, so that one source's mistakes fill no
// other's quarantine. An event is an entry in the log; what happens to it later
// is a small record further on. A refusal with the same bytes, attachment and
// reasons as a recent entry only raises that entry's count.
//
// Memory holds no entries: of every stretch of 256 KiB of a log it holds a sum,
// how many entries of which reason it has, so that listing and counting read
// only where there is something to find. The rest is bounded per source: 1,024
// entries are recognised when they come again, 4,096 have a count of repeats,
// 256 reasons are told apart.
//
// The package judges nothing and sends nothing: replaying is its caller's job.
package quarantine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"golang.org/x/sync/errgroup"
)

// Options say how a quarantine works.
type Options struct {
	Logs Logs
	// Cache makes opening fast; nil: every log is read whole.
	Cache Cache
	// MaxBytes is what the open entries of one source may take. An entry counts
	// with its bytes, its attachment, its reasons and at most 320 bytes more. A log
	// takes an eighth more than that on disk, and at least 32 MiB more.
	MaxBytes int64
	// MaxAge is how long an entry is kept after it was first refused, give or take
	// a thirty-second part; 0: for ever.
	MaxAge time.Duration
	// DropOldest makes room at MaxBytes by dropping the oldest open entries,
	// rather than refuse new ones with a FullError.
	DropOldest bool
	// Log is told what an operator should know; nil: nobody.
	Log *slog.Logger

	spare int64 // see limits; 0: as large as it should be
}

// Quarantine keeps refused events. Its methods may be called from any goroutine.
type Quarantine struct {
	opts Options

	mu      sync.RWMutex
	shelves map[event.SourceID]*shelf
}

// Open reads what the logs hold. A log that cannot be read is reported in
// Status and tried again when it is used.
func Open(ctx context.Context, opts Options) (*Quarantine, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	q := &Quarantine{opts: opts, shelves: make(map[event.SourceID]*shelf)}
	names, err := opts.Logs.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the quarantine: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, name := range names {
		s := q.shelf(name)
		g.Go(func() error {
			if err := s.load(ctx); err != nil {
				opts.Log.Error("a quarantine cannot be read; its source's refused events get 503 meanwhile", "source", string(s.source), "error", err)
			}
			return ctx.Err()
		})
	}
	return q, g.Wait()
}

// load reads the log, unless that is done.
func (s *shelf) load(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.ready(ctx)
}

// shelf returns a source's shelf, which may be new.
func (q *Quarantine) shelf(source event.SourceID) *shelf {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, ok := q.shelves[source]
	if !ok {
		s = newShelf(source, &q.opts)
		q.shelves[source] = s
	}
	return s
}

// lookup returns a source's shelf, or nil.
func (q *Quarantine) lookup(source event.SourceID) *shelf {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.shelves[source]
}

// known returns the shelves of one source, or with "" of all, by name.
func (q *Quarantine) known(source event.SourceID) []*shelf {
	q.mu.RLock()
	defer q.mu.RUnlock()
	var out []*shelf
	for name, s := range q.shelves {
		if source == "" || source == name {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *shelf) int { return strings.Compare(string(a.source), string(b.source)) })
	return out
}

const tidyInterval = time.Minute

// Run forgets entries that are too old, until ctx ends.
func (q *Quarantine) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		for _, s := range q.known("") {
			if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
				s.notes.Warn("old quarantine entries cannot be removed; trying again", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			q.saveAll()
			return nil
		}
	}
}

// stopTimeout bounds what Run does after its ctx has ended.
const stopTimeout = 5 * time.Second

// saveAll makes the next opening fast.
func (q *Quarantine) saveAll() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, s := range q.known("") {
		if s.take(ctx) != nil {
			return
		}
		s.save(true)
		s.release()
	}
}

// Add stores refusals and returns when they are durable. They are the caller's
// again then.
//
// The error is a *FullError where a source has no room for its new entries.
// After an error some of the refusals may have been stored; adding them again
// raises their counts. Refusals of several sources are as many Adds in a row.
func (q *Quarantine) Add(ctx context.Context, refusals []event.Refusal) error {
	drafts := make(map[event.SourceID][]*draft)
	var order []event.SourceID
	for i := range refusals {
		r := &refusals[i]
		d, err := newDraft(r)
		if err != nil {
			return fmt.Errorf("quarantine an event of source %q: %w", r.Source, err)
		}
		if drafts[r.Source] == nil {
			order = append(order, r.Source)
		}
		drafts[r.Source] = append(drafts[r.Source], d)
	}
	var errs []error
	for _, source := range order {
		if err := q.shelf(source).add(ctx, drafts[source]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// SetState closes entries and returns, once that is durable, how many it
// closed. Those that are not open, or not kept any more, stay as they are. by
// tells people who or what did it, in at most 120 bytes.
func (q *Quarantine) SetState(ctx context.Context, ids []ID, state State, by string) (int, error) {
	if state != StateReplayed && state != StateSuperseded && state != StateDropped {
		return 0, fmt.Errorf("quarantine: an entry cannot be made %s", state)
	}
	bySource := make(map[event.SourceID][]event.Position)
	for _, id := range ids {
		bySource[id.Source] = append(bySource[id.Source], id.Position)
	}
	changed := 0
	for source, positions := range bySource {
		s := q.lookup(source)
		if s == nil {
			continue
		}
		n, err := s.setState(ctx, positions, closing{state: state, by: cut(by)})
		if changed += n; err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// SourceStatus is how the quarantine of a source is.
type SourceStatus struct {
	Source  event.SourceID `json:"source"`
	Entries int            `json:"entries"` // open
	Count   uint64         `json:"count"`   // how often these were refused
	Bytes   int64          `json:"bytes"`   // of open entries
	Limit   int64          `json:"limit"`   // for Bytes
	// Nearing is set from four fifths of the limit on, Full where refused events
	// get 503.
	Nearing bool `json:"nearing"`
	Full    bool `json:"full"`
	// Refused is how often anything was refused, Expired and Dropped how many open
	// entries went by age and for want of space. They start from what the log
	// still tells where its cache was lost.
	Refused uint64 `json:"refused"`
	Expired uint64 `json:"expired"`
	Dropped uint64 `json:"dropped"`
	// Damaged is how many records say nothing.
	Damaged uint64 `json:"damaged"`
	// First and Last are when the open entries were first and last refused.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Problem is why the log cannot be used; empty: it can.
	Problem string `json:"problem,omitempty"`
}

// Status tells how each source's quarantine is, by name.
func (q *Quarantine) Status() []SourceStatus {
	shelves := q.known("")
	out := make([]SourceStatus, len(shelves))
	for i, s := range shelves {
		out[i] = s.status()
	}
	return out
}

func (s *shelf) status() SourceStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := SourceStatus{Source: s.source, Limit: s.limits.maxBytes, Full: s.full}
	if s.problem != nil {
		st.Problem = s.problem.Error()
	}
	if s.book == nil {
		return st
	}
	var first, last int64
	for _, c := range s.book.chunks {
		st.Entries += c.open
		st.Bytes += c.openBytes
		for i := range c.tallies {
			t := &c.tallies[i]
			st.Count += t.count
			if last = max(last, t.last); first == 0 || t.first < first {
				first = t.first
			}
		}
	}
	st.First, st.Last = fromNano(first), fromNano(last)
	st.Refused, st.Expired, st.Dropped, st.Damaged = s.book.refused, s.book.expired, s.book.dropped, s.book.damaged
	st.Nearing = st.Bytes >= st.Limit-st.Limit/5
	return st
}
