package forwarder_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkBatch takes batches of 20 operations of 840 bytes, beside those of
// the collector's benchmark.
func BenchmarkBatch(b *testing.B) {
	h := newHost()
	f := newForwarder(h)
	event := filled(`{"type":"person","identifiers":{"id":"u1"},"action":"event","id":"01BX5ZZKBKACTAV9WEVGEMMVRZ","timestamp":1613063089,"name":"Order Completed","attributes":{"p":"*"}}`, 840)
	person := filled(`{"type":"person","identifiers":{"id":"u1"},"action":"identify","timestamp":1613063089,"attributes":{`+strings.Repeat(`"attribute":"of twenty-five bytes or so",`, 14)+`"p":"*"}}`, 840)
	for name, op := range map[string]string{"event": event, "identify": person} {
		b.Run(name, func(b *testing.B) {
			request := call{path: "/api/v2/batch", headers: basic, body: `{"batch":[` + strings.Repeat(op+",", 19) + op + `]}`}
			b.SetBytes(int64(len(request.body)))
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, request.request())
				if w.Code != 200 {
					b.Fatal(w.Code)
				}
				h.batches = h.batches[:0]
			}
		})
	}
}
