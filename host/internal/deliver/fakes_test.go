package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// journal is a journal in memory.
type journal struct {
	mu     sync.Mutex
	first  uint64
	end    uint64
	frames []*frame // from first on
	grown  chan struct{}
	err    error            // of every Next, while it is set
	once   map[uint64]error // of the next Next of a frame
	events int
}

func newJournal() *journal { return &journal{first: 1, grown: make(chan struct{})} }

type frame struct {
	seq, offset uint64
	time        time.Time
	events      []destination.Event
}

func (f *frame) Seq() uint64                   { return f.seq }
func (f *frame) Offset() uint64                { return f.offset }
func (f *frame) Time() time.Time               { return f.time }
func (f *frame) Len() int                      { return len(f.events) }
func (f *frame) Source(i int) event.SourceID   { return f.events[i].Source }
func (f *frame) Event(i int) destination.Event { return f.events[i] }
func (f *frame) Size() (n int) {
	for _, e := range f.events {
		n += len(e.JSON)
	}
	return n
}

// add appends one frame with an event of each of the sources. Event n, from 0, has
// the message id mn and says so.
func (j *journal) add(sources ...event.SourceID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := &frame{seq: j.first + uint64(len(j.frames)), offset: j.end, time: time.Now()}
	for i, s := range sources {
		f.events = append(f.events, destination.Event{
			Position: event.At(f.seq, i), Source: s, Type: event.Track, ReceivedAt: f.time,
			MessageID: fmt.Sprintf("m%d", j.events), JSON: fmt.Appendf(nil, `{"n":%d}`, j.events),
		})
		j.events++
	}
	j.frames = append(j.frames, f)
	j.end += uint64(f.Size())
	close(j.grown)
	j.grown = make(chan struct{})
}

// addEvents appends a frame of n events of the source "web".
func (j *journal) addEvents(n int) {
	sources := make([]event.SourceID, n)
	for i := range sources {
		sources[i] = "web"
	}
	j.add(sources...)
}

// forget drops the frames before seq, as retention does.
func (j *journal) forget(seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frames, j.first = j.frames[seq-j.first:], seq
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

func (j *journal) Next(ctx context.Context, seq uint64) (deliver.Frame, error) {
	for {
		j.mu.Lock()
		grown, err := j.grown, j.err
		if e, ok := j.once[seq]; ok {
			err = e
			delete(j.once, seq)
		}
		i := max(seq, j.first) - j.first
		if err == nil && i < uint64(len(j.frames)) {
			defer j.mu.Unlock()
			return j.frames[i], nil
		}
		j.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (j *journal) Extent() deliver.Extent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return deliver.Extent{First: j.first, Last: j.first + uint64(len(j.frames)) - 1, End: j.end}
}

// target is a destination that answers as its script says.
type target struct {
	mu sync.Mutex
	// answer says how the nth send, from 0, goes; nil: all is taken.
	answer func(n int, batch []destination.Event) error
	sends  []send
	taken  []string // message ids, as they were taken
}

type send struct {
	at  time.Time
	ids []string
	err error
}

func (d *target) Send(_ context.Context, batch []destination.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := send{at: time.Now(), ids: ids(batch)}
	if d.answer != nil {
		s.err = d.answer(len(d.sends), batch)
	}
	d.sends = append(d.sends, s)
	var partial destination.Partial
	ok := errors.As(s.err, &partial)
	for i := range batch {
		if s.err == nil || ok && partial[i] == nil {
			d.taken = append(d.taken, batch[i].MessageID)
		}
	}
	return s.err
}

func (d *target) all() (sends []send, taken []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]send(nil), d.sends...), append([]string(nil), d.taken...)
}

func ids(batch []destination.Event) (ids []string) {
	for i := range batch {
		if want := fmt.Sprintf(`{"n":%s}`, batch[i].MessageID[1:]); want != string(batch[i].JSON) {
			panic(fmt.Sprintf("event %s has the bytes %s", batch[i].MessageID, batch[i].JSON))
		}
		ids = append(ids, batch[i].MessageID)
	}
	return ids
}

func failure(kind destination.Kind) *destination.Error {
	return &destination.Error{Kind: kind, Code: kind.String(), Err: fmt.Errorf("answer of a script")}
}

// bounded gives a target bounds on its batches.
type bounded struct {
	*target
	events, bytes int
}

func (b bounded) Batch() (events, bytes int) { return b.events, b.bytes }

// quarantine keeps refusals in memory.
type quarantine struct {
	mu       sync.Mutex
	full     bool
	refusals []event.Refusal
}

func (q *quarantine) Refuse(_ context.Context, refusals []event.Refusal) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full {
		return fmt.Errorf("no room")
	}
	q.refusals = append(q.refusals, refusals...)
	return nil
}

func (q *quarantine) setFull(full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = full
}

func (q *quarantine) ids() (ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.refusals {
		ids = append(ids, r.MessageID)
	}
	return ids
}

// rig is a loop and what is around it.
type rig struct {
	t          *testing.T
	options    deliver.Options
	journal    *journal
	quarantine *quarantine
	loop       *deliver.Loop
	stop       func()
}

// newRig makes a rig for a target; configure may change the options.
func newRig(t *testing.T, d destination.Destination, configure ...func(*deliver.Options)) *rig {
	r := &rig{t: t, journal: newJournal(), quarantine: &quarantine{}}
	r.options = deliver.Options{
		Name: "sink", Target: d, Journal: r.journal, Quarantine: r.quarantine,
		Wants: func(s event.SourceID) bool { return s == "web" },
		Dir:   t.TempDir(), From: config.From{Oldest: true}, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range configure {
		c(&r.options)
	}
	return r
}

// start opens and runs the loop; stop ends and closes it.
func (r *rig) start() *rig {
	r.t.Helper()
	loop, err := deliver.Open(r.t.Context(), r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	r.loop = loop
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		if err := loop.Close(); err != nil {
			r.t.Error(err)
		}
	})
	return r
}

// copyDir copies the files of a folder, as a kill would leave them.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
