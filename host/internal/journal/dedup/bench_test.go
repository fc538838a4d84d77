package dedup_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// load fills an index as a busy host does, while it runs.
type load struct {
	*testing.B
	ix   *dedup.Index
	n    uint64
	at   time.Time
	stop func()
}

func benchOptions() dedup.Options {
	return dedup.Options{Window: day, MaxIDs: 20_000_000, Synced: durable}
}

func newLoad(b *testing.B, dir string, ids int) *load {
	ix, err := dedup.Open(dir, benchOptions())
	must(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- ix.Run(ctx) }()
	l := &load{B: b, ix: ix, at: begin}
	l.stop = func() {
		cancel()
		must(b, <-done)
		must(b, ix.Close())
	}
	for range ids {
		l.add()
	}
	return l
}

// add is what the committer does with an event, a hundred of which are a frame.
func (l *load) add() {
	k := dedup.Mixed(l.n)
	if l.n%100 == 0 {
		l.at = l.at.Add(time.Millisecond)
		must(l, l.ix.Reserve(l.Context(), 100))
	}
	if _, ok := l.ix.Has(k); ok {
		l.Fatalf("id %d counts as held before it was added", l.n)
	}
	l.ix.Add(k, event.At(1+l.n/100, int(l.n%100)), l.at)
	l.n++
}

// cpu is what the process has used, in the background too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAddMiss is what a new event costs: a Has that misses and an Add.
// cpu-ns/op is with what they cause in the background, freezes and merges.
func BenchmarkAddMiss(b *testing.B) {
	for _, ids := range []int{0, 1_000_000, 20_000_000} {
		b.Run(fmt.Sprintf("ids=%d", ids), func(b *testing.B) {
			l := newLoad(b, b.TempDir(), ids)
			defer l.stop()
			before, used := l.ix.Stats(), cpu(b)
			for b.Loop() {
				l.add()
			}
			used = cpu(b) - used
			st := l.ix.Stats()
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(st.InVain-before.InVain)/float64(b.N), "reads-in-vain/op")
			b.ReportMetric(float64(st.Slices), "slices")
			b.ReportMetric(float64(st.Memory)/(1<<20), "MiB")
		})
	}
}

// BenchmarkHasHit is what a duplicate costs, of any age.
func BenchmarkHasHit(b *testing.B) {
	l := newLoad(b, b.TempDir(), 20_000_000)
	defer l.stop()
	held := uint64(l.ix.Stats().IDs)
	n := uint64(0)
	for b.Loop() {
		n = n*6364136223846793005 + 1442695040888963407
		if _, ok := l.ix.Has(dedup.Mixed(l.n - 1 - n>>32%held)); !ok {
			b.Fatal("an id that was added is not held")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "dedup")
	newLoad(b, dir, 20_000_000).stop()
	for b.Loop() {
		ix, err := dedup.Open(dir, benchOptions())
		must(b, err)
		must(b, ix.Close())
	}
}

func BenchmarkKeyOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		dedup.KeyOf("website", "ajs-next-1699999999999-0f4a5b2e-7777-4444-8888-1234567890ab")
	}
}
