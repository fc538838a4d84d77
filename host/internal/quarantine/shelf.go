package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// shelf is one source's part of the quarantine: its log, and the book of what
// the log says. Only the goroutine that has the turn writes the log and changes
// the book, which it does by reading what it wrote.
type shelf struct {
	source event.SourceID
	limits limits
	logs   Logs
	cache  Cache
	notes  *slog.Logger

	turn   chan struct{} // has a value while someone has the turn
	log    Log           // set once, with the turn; nil: not opened yet
	room   int64         // what the log's ring has for open entries, beside the spare
	behind bool          // the log may hold durable frames that are not in the book
	saved  mark          // of the book that the cache has

	mu      sync.RWMutex
	waiting []*adding
	book    *book // nil until the log was read
	full    bool  // the last new entry found no room
	problem error // why the log cannot be used; nil: it can
}

type limits struct {
	maxBytes   int64
	maxAge     time.Duration
	dropOldest bool
	// spare is how much larger the ring is than the limit on open entries. It
	// holds what is not an open entry, until the ring overwrites it: repeats,
	// closings, entries that are closed, and the old places of moved ones.
	spare int64
}

const minSpare = 32 << 20

func (o *Options) limits() limits {
	l := limits{o.MaxBytes, o.MaxAge, o.DropOldest, o.spare}
	if l.spare == 0 {
		l.spare = max(l.maxBytes/8, minSpare)
	}
	return l
}

const (
	// writeTimeout bounds a write that no longer has a caller's deadline, since
	// others wait for it too.
	writeTimeout = time.Minute
	// maxAppend is what goes into one append, and so into one frame, unless a
	// single record is larger: a reader takes a frame whole.
	maxAppend = 256 << 10
)

// adding is an Add that waits for the turn.
type adding struct {
	drafts []*draft
	done   chan struct{}
	err    error
}

func newShelf(source event.SourceID, opts *Options) *shelf {
	return &shelf{
		source: source,
		limits: opts.limits(),
		logs:   opts.Logs,
		cache:  opts.Cache,
		notes:  opts.Log.With("source", string(source)),
		turn:   make(chan struct{}, 1),
	}
}

// take waits for the turn.
func (s *shelf) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *shelf) release() { <-s.turn }

// add stores drafts and returns when they are durable. Who gets the turn first
// stores what all others have brought meanwhile.
func (s *shelf) add(ctx context.Context, drafts []*draft) error {
	a := &adding{drafts: drafts, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	s.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		s.withdraw(a)
		return context.Cause(ctx)
	}
	defer s.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	s.commit(ctx)
	return a.err
}

func (s *shelf) withdraw(a *adding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *adding) bool { return w == a })
}

// commit stores everything that waits. The caller has the turn.
func (s *shelf) commit(ctx context.Context) {
	s.mu.Lock()
	adds := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if len(adds) == 0 {
		return
	}
	err := s.ready(ctx)
	if err == nil {
		p := s.plan(adds)
		err = s.write(ctx, p.records(s.nextTime()))
	}
	for _, a := range adds {
		if a.err == nil {
			a.err = err
		}
		close(a.done)
	}
	s.note(err)
	s.save(false)
}

// note remembers whether the log can be used.
func (s *shelf) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
}

// nextTime is the time for what is written next. It never goes back within a
// log, so that entries are in the order of their ids by time too.
func (s *shelf) nextTime() int64 { return max(time.Now().UnixNano(), s.book.now) }

// ready brings the book up to the log's end. The caller has the turn.
func (s *shelf) ready(ctx context.Context) error {
	if s.book != nil && !s.behind {
		return nil
	}
	err := s.open(ctx)
	if err == nil {
		err = s.catchUp(ctx)
	}
	if err == nil {
		err = s.trim(ctx)
	}
	s.note(err)
	return err
}

// open opens the log and takes the book from the cache, or begins a new one.
func (s *shelf) open(ctx context.Context) error {
	if s.book != nil {
		return nil
	}
	b := s.cached()
	if s.log == nil {
		if err := s.openLog(ctx, b); err != nil {
			return err
		}
	}
	b, err := s.verified(ctx, b)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.book = b
	s.mu.Unlock()
	s.behind = true
	return nil
}

// openLog opens the log with a ring for its limit. After the limit was lowered,
// the ring still has room for what the book says is in it.
func (s *shelf) openLog(ctx context.Context, b *book) error {
	s.room = max(s.limits.maxBytes, b.openBytes(), b.needed()-s.limits.spare/3*2)
	log, err := s.logs.Open(ctx, s.source, Ring{
		MaxBytes: s.room + s.limits.spare,
		MaxAge:   s.limits.maxAge + s.limits.maxAge/8,
	})
	if err != nil {
		return fmt.Errorf("open the quarantine of source %q: %w", s.source, err)
	}
	s.log = log
	return nil
}

// write appends records, as many at a time as a frame should hold, and makes
// room for them in the ring. The caller has the turn.
func (s *shelf) write(ctx context.Context, records [][]byte) error {
	for len(records) > 0 {
		n := batch(records)
		if err := s.makeRoom(ctx, frameCost(records[:n])); err != nil {
			return err
		}
		if err := s.append(ctx, records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// append stores records at the log's end and reads them back into the book.
// What a failed append stored all the same comes into the book with the next
// that succeeds, since it is durable then.
func (s *shelf) append(ctx context.Context, records [][]byte) error {
	if err := s.log.Append(ctx, records); err != nil {
		return fmt.Errorf("write to the quarantine of source %q: %w", s.source, err)
	}
	s.behind = true
	folded := s.book.folded
	if err := s.catchUp(ctx); err != nil || s.book.folded > folded {
		return err
	}
	// The log has lost its end since, with the storage below it.
	s.replaceBook(newBook(s.limits.maxAge))
	return s.catchUp(ctx)
}

// catchUp folds into the book what the log has beyond it.
func (s *shelf) catchUp(ctx context.Context) error {
	for {
		f, err := s.log.Read(ctx, s.book.folded+1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the quarantine of source %q: %w", s.source, err)
		}
		s.mu.Lock()
		s.book.fold(f)
		s.mu.Unlock()
	}
	if err := s.recount(ctx); err != nil {
		return err
	}
	s.behind = false
	return nil
}

// trim takes out of the book what the log's ring has overwritten.
func (s *shelf) trim(ctx context.Context) error {
	first, err := s.log.First(ctx)
	if err != nil {
		return fmt.Errorf("read the quarantine of source %q: %w", s.source, err)
	}
	s.mu.Lock()
	s.book.trimmed(first)
	s.mu.Unlock()
	return s.recount(ctx)
}

func (s *shelf) replaceBook(b *book) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book, s.saved = b, mark{}
}

// recount makes the sums of stale chunks again.
func (s *shelf) recount(ctx context.Context) error {
	for _, c := range slices.Clone(s.book.chunks) {
		if !c.stale {
			continue
		}
		v, n := c.view(), &chunk{}
		var closings []closed
		err := s.scan(ctx, &v, func(r *record) bool {
			if by := v.closing(r.id); by != nil {
				n.addClosed(r)
				closings = append(closings, closed{r.id, by})
				return true
			}
			n.add(&s.book.groups, s.book.groups.get(r.group), r)
			return true
		})
		if err != nil {
			return err
		}
		var all *closing
		if n.open == 0 {
			closings, all = summarize(closings)
		}
		s.mu.Lock()
		s.book.recounted(c, n, closings, all)
		s.mu.Unlock()
	}
	return nil
}

// summarize replaces closings that are all the same by that one.
func summarize(closings []closed) ([]closed, *closing) {
	for _, c := range closings {
		if *c.by != *closings[0].by {
			return closings, nil
		}
	}
	if len(closings) == 0 {
		return nil, nil
	}
	return nil, closings[0].by
}

// scan reads a chunk's entries from the log, in order, until yield says false.
func (s *shelf) scan(ctx context.Context, v *view, yield func(*record) bool) error {
	for seq := v.first; seq <= v.last; {
		f, err := s.log.Read(ctx, seq)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the quarantine of source %q: %w", s.source, err)
		}
		if f.Seq > v.last {
			return nil
		}
		for i, data := range f.Records {
			if r, ok := v.decode(data, event.At(f.Seq, i)); ok && !yield(&r) {
				return nil
			}
		}
		seq = f.Seq + 1
	}
	return nil
}
