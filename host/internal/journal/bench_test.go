package journal_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

var serial atomic.Int64

var filler = strings.Repeat("x", 740)

// batchOf makes events of about 840 bytes with ids of their own.
func batchOf(n int) []event.Envelope {
	events := make([]event.Envelope, n)
	now := time.Now()
	for i := range events {
		id := strconv.FormatInt(1e17+serial.Add(1), 36) + "-ajs-next-0123456789abcdef"
		events[i] = event.Envelope{
			Source: "website", Type: event.Track, MessageID: id, ReceivedAt: now,
			JSON: []byte(`{"type":"track","event":"Order Completed","f":"` + filler + `","messageId":"` + id + `"}`),
		}
	}
	return events
}

// BenchmarkAppend appends batches of n events from sixteen goroutines and waits
// for each to be on disk.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 20, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			j := open(b, journal.Options{Dir: b.TempDir(), Window: time.Hour, MaxIDs: 20e6})
			b.SetBytes(int64(n * 840))
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ticket, err := j.Append(context.Background(), journal.Batch{Events: batchOf(n)})
					if err == nil {
						err = ticket.Wait(context.Background())
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(j.Extent().Last)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkCatchUp reads a journal that is not in memory, as a destination does
// that was away. An operation is one frame of about a megabyte.
func BenchmarkCatchUp(b *testing.B) {
	opts := journal.Options{Dir: b.TempDir(), Tail: 1}
	j := open(b, opts)
	const frames, events = 200, 1100
	for range frames {
		j.append(b, batchOf(events)...)
	}
	j.stop()
	j = open(b, opts)
	last := j.Extent().Last
	b.ResetTimer()
	read, bytes := 0, 0
	for seq := uint64(1); b.Loop(); seq = seq%last + 1 {
		f := j.next(b, seq)
		read += f.Len()
		bytes += len(f.Lines(0, f.Len()))
	}
	b.SetBytes(int64(bytes / max(b.N, 1)))
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MiB")
}
