package deliver_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// repeating is a journal that gives one frame again and again, as if it were
// kept in memory.
type repeating struct {
	events []destination.Event
	size   int
	last   uint64
}

func (j *repeating) Extent() deliver.Extent {
	return deliver.Extent{First: 1, Last: j.last, End: j.last * uint64(j.size)}
}

func (j *repeating) Next(ctx context.Context, seq uint64) (deliver.Frame, error) {
	if seq > j.last {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return repeated{j, seq}, nil
}

type repeated struct {
	*repeating
	seq uint64
}

func (f repeated) Seq() uint64                 { return f.seq }
func (f repeated) Offset() uint64              { return (f.seq - 1) * uint64(f.size) }
func (f repeated) Size() int                   { return f.size }
func (f repeated) Time() time.Time             { return time.Time{} }
func (f repeated) Len() int                    { return len(f.events) }
func (f repeated) Source(i int) event.SourceID { return f.events[i].Source }
func (f repeated) Event(i int) destination.Event {
	e := f.events[i]
	e.Position = event.At(f.seq, i)
	return e
}

// discard takes everything.
type discard struct{}

func (discard) Send(context.Context, []destination.Event) error { return nil }

// BenchmarkDelivery delivers events of 840 bytes in frames of 140; to the file
// with its syncs, and to nothing, which is what the loop itself costs.
func BenchmarkDelivery(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) (destination.Destination, error){
		"loop": func(*testing.B) (destination.Destination, error) { return discard{}, nil },
		"file": func(b *testing.B) (destination.Destination, error) {
			return file.New(file.Config{
				Path:   config.Path(filepath.Join(b.TempDir(), "events.jsonl")),
				Rotate: file.Rotate{Bytes: 256 * config.MiB, Keep: 1},
			})
		},
	} {
		b.Run(name, func(b *testing.B) {
			target, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkDelivery(b, target)
		})
	}
}

func benchmarkDelivery(b *testing.B, target destination.Destination) {
	const perFrame = 140
	j := &repeating{last: uint64(b.N/perFrame) + 1}
	line := fmt.Appendf(nil, `{"messageId":"m","pad":%q}`, strings.Repeat("x", 813))
	for range perFrame {
		j.events = append(j.events, destination.Event{Source: "web", Type: event.Track, MessageID: "m", JSON: line})
		j.size += len(line)
	}
	loop, err := deliver.Open(b.Context(), deliver.Options{
		Name: "sink", Target: target, Journal: j, Dir: b.TempDir(), From: config.From{Oldest: true},
		Wants: func(event.SourceID) bool { return true }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- loop.Run(ctx) }()
	for loop.Status().Cursor.Frame() <= j.last {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if err := loop.Close(); err != nil {
		b.Fatal(err)
	}
}
