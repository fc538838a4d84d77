package dedup_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// load fills an index as a busy host does and keeps it running.
type load struct {
	*testing.B
	ix   *dedup.Index
	n    uint64
	at   time.Time
	stop func()
}

func newLoad(b *testing.B, ids int) *load {
	ix, err := dedup.Open(b.TempDir(), dedup.Options{
		Window: 24 * time.Hour, MaxIDs: 20_000_000,
		Synced: durable,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- ix.Run(ctx) }()
	l := &load{B: b, ix: ix, at: begin}
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := ix.Close(); err != nil {
			b.Error(err)
		}
	}
	for range ids {
		l.add()
	}
	return l
}

func (l *load) add() {
	l.n++
	l.addKey(key(l.n))
}

func (l *load) addKey(k dedup.Key) {
	if l.n%100 == 1 {
		l.at = l.at.Add(time.Millisecond)
		if err := l.ix.Reserve(l.Context(), 100); err != nil {
			l.Fatal(err)
		}
	}
	if _, ok := l.ix.Has(k); ok {
		l.Fatalf("id %d counts as held before it was added", l.n)
	}
	l.ix.Add(k, event.At(1+l.n/100, int(l.n%100)), l.at)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAddMiss is what a new event costs: a Has that misses and an Add.
// cpu-ns/op counts the freezing and merging in the background too.
func BenchmarkAddMiss(b *testing.B) {
	for _, ids := range []int{0, 1_000_000, 20_000_000} {
		b.Run(fmt.Sprintf("%dk", ids/1000), func(b *testing.B) {
			l := newLoad(b, ids)
			defer l.stop()
			keys := make([]dedup.Key, b.N)
			for i := range keys {
				keys[i] = key(l.n + 1 + uint64(i))
			}
			before, used := l.ix.Stats(), cpu()
			b.ResetTimer()
			for _, k := range keys {
				l.n++
				l.addKey(k)
			}
			b.StopTimer()
			used = cpu() - used
			st := l.ix.Stats()
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(st.InVain-before.InVain)/float64(b.N), "false-probes/op")
			b.ReportMetric(float64(st.Slices), "slices")
			b.ReportMetric(float64(st.Memory)/(1<<20), "MiB")
			b.ReportMetric(float64(st.IDs)/1e6, "Mids")
		})
	}
}

// BenchmarkHasHit is what a duplicate costs, of any age.
func BenchmarkHasHit(b *testing.B) {
	l := newLoad(b, 20_000_000)
	defer l.stop()
	held := uint64(l.ix.Stats().IDs)
	n := uint64(0)
	for b.Loop() {
		n = n*6364136223846793005 + 1442695040888963407
		if _, ok := l.ix.Has(key(l.n - n>>32%held)); !ok {
			b.Fatal("an id that was added is not held")
		}
	}
}

func BenchmarkKeyOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		dedup.KeyOf("website", "ajs-next-1699999999999-0f4a5b2e-7777-4444-8888-1234567890ab")
	}
}
