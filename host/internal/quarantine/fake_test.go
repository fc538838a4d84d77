package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// disk is what survives a crash: the logs and the cache.
type disk struct {
	mu    sync.Mutex
	logs  map[event.SourceID]*ringLog
	cache map[string][]byte

	// broken, where set, is the error of every Open of a log.
	broken error
}

func newDisk() *disk {
	return &disk{logs: make(map[event.SourceID]*ringLog), cache: make(map[string][]byte)}
}

// copy returns what a crash at this moment leaves.
func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newDisk()
	c.cache = maps.Clone(d.cache)
	for name, l := range d.logs {
		l.mu.Lock()
		c.logs[name] = &ringLog{frames: slices.Clone(l.frames), bytes: l.bytes, last: l.last, ring: l.ring, perFrame: l.perFrame}
		l.mu.Unlock()
	}
	return c
}

func (d *disk) Names(context.Context) ([]event.SourceID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.logs)), nil
}

func (d *disk) Open(_ context.Context, source event.SourceID, ring quarantine.Ring) (quarantine.Log, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return nil, d.broken
	}
	l := d.logs[source]
	if l == nil {
		l = &ringLog{perFrame: 1 << 20}
		d.logs[source] = l
	}
	l.ring = ring
	return l, nil
}

func (d *disk) log(source event.SourceID) *ringLog {
	l, _ := d.Open(context.Background(), source, quarantine.Ring{MaxBytes: 1 << 40})
	return l.(*ringLog)
}

func (d *disk) Get(key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cache[key], nil
}

func (d *disk) Put(key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(value) > 1<<20 {
		return errors.New("too large")
	}
	d.cache[key] = slices.Clone(value)
	return nil
}

// ringLog is a log in memory that drops its oldest frames at its limit, without
// mercy.
type ringLog struct {
	mu       sync.Mutex
	frames   []quarantine.Frame
	bytes    int64
	last     uint64
	ring     quarantine.Ring
	perFrame int // most records in a frame

	// before, where set, is called with what is appended. Its error fails the
	// Append; with stored set, the records are kept all the same.
	before func(records [][]byte) error
	stored bool

	// reading, where set, is called before each Read.
	reading func()
	unread  error // of every Read

	appends, reads int
}

func size(records [][]byte) int64 {
	n := int64(200)
	for _, r := range records {
		n += int64(len(r)) + 8
	}
	return n
}

func (l *ringLog) Append(ctx context.Context, records [][]byte) error {
	l.mu.Lock()
	before, stored := l.before, l.stored
	l.mu.Unlock()
	var err error
	if before != nil {
		err = before(records)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && !stored {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	for part := range slices.Chunk(records, l.perFrame) {
		l.last++
		f := quarantine.Frame{Seq: l.last}
		for _, r := range part {
			f.Records = append(f.Records, slices.Clone(r))
		}
		l.frames = append(l.frames, f)
		l.bytes += size(f.Records)
	}
	for l.bytes > l.ring.MaxBytes {
		l.bytes -= size(l.frames[0].Records)
		l.frames = l.frames[1:]
	}
	return err
}

func (l *ringLog) Read(_ context.Context, seq uint64) (quarantine.Frame, error) {
	l.mu.Lock()
	reading := l.reading
	l.mu.Unlock()
	if reading != nil {
		reading()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.unread != nil {
		return quarantine.Frame{}, l.unread
	}
	i, _ := slices.BinarySearchFunc(l.frames, seq, func(f quarantine.Frame, seq uint64) int {
		return int(int64(f.Seq) - int64(seq))
	})
	if i == len(l.frames) {
		return quarantine.Frame{}, io.EOF
	}
	return l.frames[i], nil
}

func (l *ringLog) First(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.frames) == 0 {
		return l.last + 1, nil
	}
	return l.frames[0].Seq, nil
}

// records counts the records of a kind that the log holds.
func (l *ringLog) records(kind byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, f := range l.frames {
		for _, r := range f.Records {
			if r[0] == kind {
				n++
			}
		}
	}
	return n
}

func (l *ringLog) failWith(before func([][]byte) error, stored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.stored = before, stored
}

// onRead calls what is given before the next Read.
func (l *ringLog) onRead(call func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = func() {
		l.mu.Lock()
		l.reading = nil
		l.mu.Unlock()
		call()
	}
}

const (
	limit = 64 << 10
	month = 30 * 24 * time.Hour
)

type option func(*quarantine.Options)

func dropOldest(o *quarantine.Options) { o.DropOldest = true }

func maxBytes(n int64) option { return func(o *quarantine.Options) { o.MaxBytes = n } }

func maxAge(d time.Duration) option { return func(o *quarantine.Options) { o.MaxAge = d } }

func spare(n int64) option { return func(o *quarantine.Options) { o.Spare(n) } }

func noCache(o *quarantine.Options) { o.Cache = nil }

func open(t testing.TB, d *disk, opts ...option) *quarantine.Quarantine {
	t.Helper()
	o := quarantine.Options{Logs: d, Cache: d, MaxBytes: 1 << 30, MaxAge: month}
	for _, set := range opts {
		set(&o)
	}
	q, err := quarantine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// stop does what Run does at its end.
func stop(t testing.TB, q *quarantine.Quarantine) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// refusal is one of a track call, of which n makes the bytes.
func refusal(source string, n int) event.Refusal {
	claim := fmt.Appendf(nil, `{"type":"track","event":"Order Completed","userId":"u1","messageId":"m%d","properties":{"total":"%d"}}`, n, n)
	return event.Refusal{
		Source: event.SourceID(source), MessageID: fmt.Sprintf("m%d", n),
		ReceivedAt: time.Date(2026, 3, 1, 12, 0, 0, n, time.UTC), SentAt: "2026-03-01T11:59:58Z",
		Claim: claim, Size: len(claim),
		Violations: []event.Violation{
			{Code: event.CodePlan, Path: "/properties/total", Keyword: "type", Message: "want number, got string", Schema: "plans/website.yaml"},
		},
	}
}

func add(t testing.TB, q *quarantine.Quarantine, refusals ...event.Refusal) {
	t.Helper()
	if err := q.Add(context.Background(), refusals); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, q *quarantine.Quarantine, f quarantine.Filter) []quarantine.Entry {
	t.Helper()
	var out []quarantine.Entry
	for e, err := range q.List(context.Background(), f) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func groups(t testing.TB, q *quarantine.Quarantine, f quarantine.Filter) []quarantine.Group {
	t.Helper()
	out, err := q.Groups(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func setState(t testing.TB, q *quarantine.Quarantine, state quarantine.State, entries ...quarantine.Entry) int {
	t.Helper()
	ids := make([]quarantine.ID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	n, err := q.SetState(context.Background(), ids, state, "test")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func status(t testing.TB, q *quarantine.Quarantine, source event.SourceID) quarantine.SourceStatus {
	t.Helper()
	for _, s := range q.Status() {
		if s.Source == source {
			return s
		}
	}
	t.Fatalf("no status of %s", source)
	return quarantine.SourceStatus{}
}

func messageIDs(entries []quarantine.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.MessageID)
	}
	return out
}
