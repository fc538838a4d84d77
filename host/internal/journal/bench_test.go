package journal_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

var serial atomic.Int64

// batchOf makes events of about 840 bytes with ids of their own.
func batchOf(n int) []event.Envelope {
	filler := strings.Repeat("x", 760)
	events := make([]event.Envelope, n)
	now := time.Now()
	for i := range events {
		id := fmt.Sprintf("ajs-next-%027d", serial.Add(1))
		events[i] = event.Envelope{
			Source: "website", Type: event.Track, MessageID: id, ReceivedAt: now,
			JSON: fmt.Appendf(nil, `{"messageId":%q,"type":"track","f":%q}`, id, filler),
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
