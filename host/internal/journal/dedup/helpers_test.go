package dedup_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin is when the tests' events begin.
var begin = time.Unix(1_700_000_000, 0)

// key makes the nth of a run of keys.
func key(n uint64) dedup.Key {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], n)
	return dedup.KeyOf("website", string(id[:]))
}

// at is the position of the nth event, from 1, where frames have ten.
func at(n int) event.Position { return event.At(uint64(1+n/10), n%10) }

func durable(context.Context, event.Position) error { return nil }

// options are those of a small index: tables of 10 ids, merged slices of 100.
func options() dedup.Options {
	return dedup.Options{Window: 24 * time.Hour, MaxIDs: 1600, Synced: durable}.WithTable(10)
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, d dedup.Disk, o dedup.Options) *dedup.Index {
	t.Helper()
	ix, err := dedup.OpenOn(d, o)
	must(t, err)
	t.Cleanup(func() { must(t, ix.Close()) })
	return ix
}

// add adds events first to last, all received at the same time, and puts those on
// disk that fill a table.
func add(t testing.TB, ix *dedup.Index, first, last int, received time.Time) {
	t.Helper()
	for n := first; n <= last; n++ {
		ix.Add(key(uint64(n)), at(n), received)
		if n%ix.MaxTable() == 0 {
			must(t, ix.Work(t.Context()))
		}
	}
	must(t, ix.Work(t.Context()))
}

// held asserts that events first to last are held, at their positions, or not.
func held(t testing.TB, ix *dedup.Index, first, last int, want bool) {
	t.Helper()
	for n := first; n <= last; n++ {
		pos, ok := ix.Has(key(uint64(n)))
		if ok != want || ok && pos != at(n) {
			t.Fatalf("event %d of %d to %d: held %t at %s, want %t at %s", n, first, last, ok, pos, want, at(n))
		}
	}
}

// start runs an index until stop is called.
func start(t testing.TB, ix *dedup.Index) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ix.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		must(t, <-done)
	}
}

// codes is a log that keeps the codes of what it is told.
type codes struct {
	slog.Handler
	mu   sync.Mutex
	told []string
}

func newCodes() *codes { return &codes{Handler: slog.DiscardHandler} }

func (c *codes) logger() *slog.Logger                     { return slog.New(c) }
func (c *codes) Enabled(context.Context, slog.Level) bool { return true }

func (c *codes) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	remedy := false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "code":
			c.told = append(c.told, a.Value.String())
		case "remedy":
			remedy = true
		}
		return true
	})
	if r.Level >= slog.LevelWarn && !remedy {
		c.told = append(c.told, "no remedy: "+r.Message)
	}
	return nil
}

func (c *codes) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.told
	c.told = nil
	return told
}
