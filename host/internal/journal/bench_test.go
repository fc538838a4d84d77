package journal_test

import (
	"context"
	"fmt"
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
