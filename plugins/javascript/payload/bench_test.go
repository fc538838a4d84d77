package payload_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
)

// BenchmarkBatch splits 20 events of 840 bytes, as analytics-node sends them.
func BenchmarkBatch(b *testing.B) {
	event := `{"timestamp":"2026-11-24T05:45:54.934Z","integrations":{},"event":"Order Completed","type":"track","properties":{"filler":"` +
		strings.Repeat("x", 440) +
		`","revenue":12.5},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"},"page":{"path":"/page","title":"T"},"locale":"en-US"},"userId":"u1","messageId":"node-next-1795499154934-f8cc","_metadata":{"nodeVersion":"v20.20.2","jsRuntime":"node"}}`
	for name, body := range map[string]string{
		"server":  `{"batch":[` + strings.Repeat(event+",", 19) + event + `]}`,
		"spliced": `{"batch":[` + strings.Repeat(event+",", 19) + event + `],"writeKey":"WK","sentAt":"2026-11-24T05:45:55.000Z"}`,
	} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(body)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				split, err := payload.Batch(raw, 100)
				if err != nil {
					b.Fatal(err)
				}
				for i := range split.Len() {
					split.Event(i, server)
				}
			}
		})
	}
}

// BenchmarkReference splits 20 of the events that the project's figures are about.
func BenchmarkReference(b *testing.B) {
	event, err := os.ReadFile("../../../host/bench/testdata/event.json")
	if err != nil {
		b.Fatal(err)
	}
	item := string(bytes.TrimSpace(event))
	raw := []byte(`{"batch":[` + strings.Repeat(item+",", 19) + item + `]}`)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		split, err := payload.Batch(raw, 100)
		if err != nil {
			b.Fatal(err)
		}
		for i := range split.Len() {
			split.Event(i, server)
		}
	}
}
