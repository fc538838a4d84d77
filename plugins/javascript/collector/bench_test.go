package collector_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkBatch takes requests of 20 events of 840 bytes.
func BenchmarkBatch(b *testing.B) {
	h := newHost()
	c := newCollector(b, h)
	event := `{"timestamp":"2026-11-24T05:45:54.934Z","event":"Order Completed","context":{"library":{"name":"x","version":"1"}},"userId":"u1","messageId":"m",` + sized(690)[1:]
	request := call{path: "/v1/batch", headers: []string{basic}, body: `{"batch":[` + strings.Repeat(event+",", 19) + event + `],"sentAt":"2026-11-24T05:45:55.000Z"}`}
	b.SetBytes(int64(len(request.body)))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, request.request())
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
		h.batches = h.batches[:0]
	}
}

// BenchmarkSingle takes requests of one event.
func BenchmarkSingle(b *testing.B) {
	h := newHost()
	c := newCollector(b, h)
	request := call{path: "/v1/track", headers: []string{basic}, body: sized(840)}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, request.request())
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
		h.batches = h.batches[:0]
	}
}
