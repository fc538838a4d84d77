package quarantine

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// List lists entries, the newest first where the filter does not say otherwise.
// What is added or closed meanwhile may be missing or not. An error ends it.
func (q *Quarantine) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := q.list(ctx, f, func(e Entry) bool { return yield(e, nil) }); err != nil {
			yield(Entry{}, err)
		}
	}
}

func (q *Quarantine) list(ctx context.Context, f Filter, yield func(Entry) bool) error {
	query, err := f.query()
	if err != nil {
		return err
	}
	walkers := &walkers{sign: query.sign}
	for _, s := range q.known(f.Source) {
		if err := s.loaded(ctx); err != nil {
			return err
		}
		if w := newWalker(s, query); w.seek() {
			walkers.all = append(walkers.all, w)
		}
	}
	heap.Init(walkers)
	for n := 0; len(walkers.all) > 0 && (f.Limit == 0 || n < f.Limit); {
		w := walkers.all[0]
		if len(w.found) > 0 {
			e, err := w.take()
			if err != nil {
				return err
			}
			if !yield(e) {
				return nil
			}
			n++
		} else if err := w.read(ctx); err != nil {
			return err
		}
		if len(w.found) > 0 || w.seek() {
			heap.Fix(walkers, 0)
		} else {
			heap.Pop(walkers)
		}
	}
	return nil
}

// Show returns one entry. The error is ErrNotFound where there is none.
func (q *Quarantine) Show(ctx context.Context, id ID) (Entry, error) {
	s := q.lookup(id.Source)
	if s == nil {
		return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err := s.loaded(ctx); err != nil {
		return Entry{}, err
	}
	return s.show(ctx, id.Position)
}

func (s *shelf) show(ctx context.Context, id event.Position) (Entry, error) {
	for {
		s.mu.RLock()
		c := s.book.find(id)
		var v view
		if c != nil {
			v = c.view()
		}
		s.mu.RUnlock()
		if c == nil {
			return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, ID{s.source, id})
		}
		if !v.moved {
			v.first = max(v.first, id.Frame())
		}
		var entry Entry
		var failed error
		shown := false
		err := s.scan(ctx, &v, func(r *record) bool {
			if shown = r.id == id; shown {
				entry, failed = s.entry(r, v.closing(id))
			}
			return !shown
		})
		switch {
		case err != nil:
			return Entry{}, err
		case shown:
			return entry, failed
		case !s.removed(c):
			return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, ID{s.source, id})
		}
	}
}

// removed reports whether a chunk has left the book, so that what was read in
// its place may be incomplete.
func (s *shelf) removed(c *chunk) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return c.removed
}

// loaded returns when there is a book to read.
func (s *shelf) loaded(ctx context.Context) error {
	s.mu.RLock()
	ready := s.book != nil
	s.mu.RUnlock()
	if ready {
		return nil
	}
	return s.load(ctx)
}

// entry makes a record into what people see.
func (s *shelf) entry(r *record, by *closing) (Entry, error) {
	g := parseGroup(r.group)
	e := Entry{
		ID:             ID{s.source, r.id},
		MessageID:      string(r.messageID),
		Event:          g.event,
		Destination:    event.DestinationID(g.destination),
		Claim:          bytes.Clone(r.claim),
		Size:           int(r.size),
		Hash:           string(r.hash),
		AttachmentSize: int(r.attached),
		MoreViolations: int(r.more),
		ReceivedAt:     fromNano(r.received),
		SentAt:         string(r.sentAt),
		Count:          r.count,
		FirstSeen:      fromNano(r.first),
		LastSeen:       fromNano(r.last),
	}
	if len(r.attachment) > 0 {
		e.Attachment = bytes.Clone(r.attachment)
	}
	if by != nil {
		e.State, e.StateAt, e.StateBy = by.state, fromNano(by.at), by.by
	}
	if err := json.Unmarshal(r.violations, &e.Violations); err != nil {
		return Entry{}, fmt.Errorf("read quarantine entry %s: %w", e.ID, err)
	}
	return e, nil
}
