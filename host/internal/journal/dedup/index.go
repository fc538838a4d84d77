package dedup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Options says how much an Index remembers. All but Log are required.
type Options struct {
	// Window is for how long an id is remembered at least; a sixteenth more at
	// most, where neither the package comment's clock nor MaxIDs says otherwise.
	Window time.Duration
	// MaxIDs is how many ids are remembered at most. The oldest go first, a
	// sixteenth of MaxIDs at a time.
	MaxIDs int64
	// Synced returns once the journal is durable up to and including a
	// position. Run calls it before a slice with that position is published; an
	// error is like one of the disk: reported, then tried again.
	Synced func(ctx context.Context, upTo event.Position) error
	// Log takes what an operator should know. Nil: nowhere.
	Log *slog.Logger

	maxTable int // 0: the constant; tests have a smaller one, to merge soon
}

// Codes of what is logged. They are stable: operators match on them.
const (
	CodeDropped = "dedup_slice_dropped" // a slice was unusable when the index was opened
	CodeDamaged = "dedup_slice_damaged" // a part of a slice could not be read
	CodeStalled = "dedup_stalled"       // slices cannot be written
	CodeResumed = "dedup_resumed"       // they can again
)

var (
	// ErrStalled is Reserve's: slices cannot be written, and memory is full.
	ErrStalled = errors.New("the dedup index cannot be written")
	// ErrClosed is Reserve's after Close.
	ErrClosed = errors.New("the dedup index is closed")
)

// Index is the dedup index in one directory. Has, Add and Reserve are meant for
// one goroutine, the journal's committer: nothing joins a Has to the Add after
// it. Every method may be called from any goroutine, so Has also serves those
// who only look.
type Index struct {
	disk disk
	o    Options
	limits

	// names is held while files get their final names or lose them, so that
	// Forget leaves no name behind; before mu.
	names sync.Mutex

	mu      sync.RWMutex // guards what follows
	clock   clock
	open    *table   // takes what is added
	frozen  *table   // waits to be on disk; nil: none
	spare   *table   // empty, for when open is frozen; nil: none
	slices  []*slice // oldest first; changed by setSlices
	filters filters  // theirs, side by side
	marker  *slice   // when slices is empty: the last one, expired, kept for its upTo
	dead    []*slice // no longer looked at; Run removes and closes them
	last    event.Position
	stalled error // why the frozen table is not on disk
	closed  bool

	wake chan struct{} // there is work for Run
	room chan struct{} // there may be room for Reserve

	pages   sync.Pool    // *[]byte, what find reads to
	sorted  []entry      // Run's, to sort in
	working atomic.Int64 // bytes that Run holds for itself
	dropped int          // slices that Open could not use
	damaged atomic.Int64 // slices that turned out to be unreadable in part
	probes  atomic.Uint64
	misses  atomic.Uint64
}

// Open reads the index in dir, which it makes where it is missing. What cannot
// be read is dropped and logged; the error is about dir itself.
//
// The caller then calls Forget with the journal's end, starts Run, and adds what
// the journal holds after Covered.
func Open(dir string, o Options) (*Index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("dedup index: %w", err)
	}
	return open(directory(dir), o)
}

func open(d disk, o Options) (*Index, error) {
	if o.Window <= 0 || o.MaxIDs <= 0 || o.Synced == nil {
		return nil, errors.New("dedup index: Window, MaxIDs and Synced are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	x := &Index{
		disk: d, o: o, limits: limitsOf(o),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	x.pages.New = func() any { return new([]byte) }
	x.clock.leap = x.leap
	if err := x.load(); err != nil {
		return nil, fmt.Errorf("dedup index: %w", err)
	}
	x.last = x.covered()
	x.open = newTable()
	if n := len(x.slices); n > 0 {
		x.clock.now, x.clock.set = x.slices[n-1].to, true
	}
	x.expire()
	return x, nil
}

// Has returns the position of an event that is remembered. Where a key was
// added twice, it is the later one's.
func (x *Index) Has(k Key) (event.Position, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if pos, ok := x.open.find(k); ok {
		return pos, true
	}
	if x.frozen != nil {
		if pos, ok := x.frozen.find(k); ok {
			return pos, true
		}
	}
	m := mask(k)
	for end := len(x.filters); end > 0; end -= 64 {
		begin := max(0, end-64)
		maybe := x.filters[begin:end].glance(k, &m)
		for ; maybe != 0; maybe &= maybe - 1 {
			i := end - 1 - bits.TrailingZeros64(maybe)
			if !x.filters[i].has(k, &m) {
				continue
			}
			if pos, ok := x.probe(x.slices[i], k); ok {
				return pos, true
			}
		}
	}
	return 0, false
}

// setSlices changes the slices that are looked at.
func (x *Index) setSlices(s []*slice) {
	x.slices = s
	x.filters = make(filters, len(s))
	for i := range s {
		x.filters[i] = s[i].filter
	}
}

// probe looks for a key in a slice whose filter knows it.
func (x *Index) probe(s *slice, k Key) (event.Position, bool) {
	buf := x.pages.Get().(*[]byte)
	pos, ok, kept, err := s.find(k, *buf)
	*buf = kept
	x.pages.Put(buf)
	x.probes.Add(1)
	if err != nil {
		x.damage(s, err)
		return 0, false
	}
	if !ok {
		x.misses.Add(1)
	}
	return pos, ok
}

// damage notes that a slice cannot be read. Run says so, and has the next Open
// drop it.
func (x *Index) damage(s *slice, err error) {
	if s.damage.CompareAndSwap(nil, &err) {
		x.damaged.Add(1)
		notify(x.wake)
	}
}

// Add remembers an event of the journal. Positions come in the journal's order;
// one that is not after the last added or covered is ignored, so that the
// journal may be read again from any point. at is when the event was received.
func (x *Index) Add(k Key, pos event.Position, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if pos <= x.last || x.closed {
		return
	}
	now := x.clock.observe(at)
	x.open.add(entry{k, pos}, x.last, now)
	x.last = pos
	if x.due(now) {
		x.freeze()
	}
}

// Reserve waits until n more ids fit in memory, so that the events of a frame
// can be added once they are durable. It seldom waits: for Options.Synced, for
// Run to write a table and, where merges are behind, for a merge. The error is
// ErrStalled and its cause, ErrClosed, or ctx's.
func (x *Index) Reserve(ctx context.Context, n int) error {
	for {
		ok, err := x.fits(n)
		if ok || err != nil {
			return err
		}
		select {
		case <-x.room:
		case <-ctx.Done():
			return fmt.Errorf("wait for the dedup index: %w", context.Cause(ctx))
		}
	}
}

// fits reports whether n more ids fit. One frame always fits an empty table.
func (x *Index) fits(n int) (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	full := len(x.open.entries) > 0 && len(x.open.entries)+n > x.tableRoom
	switch {
	case x.closed:
		return false, ErrClosed
	case !full:
		return true, nil
	case x.frozen == nil:
		x.freeze()
		return true, nil
	case x.stalled != nil:
		return false, fmt.Errorf("%w: %w", ErrStalled, x.stalled)
	}
	return false, nil
}

// Covered is the position up to and including which the slices on disk have
// every event that is still to be remembered.
func (x *Index) Covered() event.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.covered()
}

func (x *Index) covered() event.Position {
	if n := len(x.slices); n > 0 {
		return x.slices[n-1].upTo
	}
	if x.marker != nil {
		return x.marker.upTo
	}
	return 0
}

// Close frees what the index holds, once Run has returned. What is not on disk
// yet comes from the journal when the index is opened again.
func (x *Index) Close() error {
	x.names.Lock()
	defer x.names.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.Concat(x.slices, x.dead, x.markers())
	errs := make([]error, 0, len(all))
	for _, s := range all {
		errs = append(errs, s.close())
	}
	x.setSlices(nil)
	x.dead, x.marker, x.frozen, x.spare, x.closed = nil, nil, nil, nil, true
	x.open = newTable()
	notify(x.wake)
	notify(x.room)
	return errors.Join(errs...)
}

// notify leaves a token for one who waits now or later.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
