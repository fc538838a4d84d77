package quarantine_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// benchRefusal is one of about 840 bytes.
func benchRefusal(source string, n int) event.Refusal {
	r := refusal(source, n)
	r.Claim = append(bytes.TrimSuffix(r.Claim, []byte("}")), fmt.Sprintf(`,"context":{"page":%q}}`, bytes.Repeat([]byte("x"), 690))...)
	r.Size, r.Hash = len(r.Claim), fmt.Sprintf("%064x", n)
	if n%10_000 == 0 {
		r.Violations[0].Code = event.CodeUnplanned
	}
	return r
}

func BenchmarkAdd(b *testing.B) {
	var pool [1000][]event.Refusal // more than are recognised
	for i := range pool {
		for k := range 20 {
			pool[i] = append(pool[i], benchRefusal("website", i*20+k))
		}
	}
	for name, different := range map[string]int{"new": len(pool), "again": 1} {
		b.Run(name, func(b *testing.B) {
			q := open(b, newDisk(), maxBytes(64<<20), dropOldest)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				add(b, q, pool[i%different]...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*20)/1e3, "µs/event")
		})
	}
}

// hundredThousand is a quarantine of 100,000 entries of 500 sources.
func hundredThousand(b *testing.B) (*disk, *quarantine.Quarantine) {
	d := newDisk()
	q := open(b, d)
	for source := range 500 {
		for from := 0; from < 200; from += 20 {
			var batch []event.Refusal
			for i := range 20 {
				batch = append(batch, benchRefusal(fmt.Sprintf("source%d", source), source*200+from+i))
			}
			add(b, q, batch...)
		}
	}
	return d, q
}

func BenchmarkHundredThousand(b *testing.B) {
	d, q := hundredThousand(b)
	for name, f := range map[string]quarantine.Filter{
		"first page":     {Limit: 100},
		"rare reason":    {Code: event.CodeUnplanned},
		"of one source":  {Source: "source77", Limit: 100},
		"all":            {},
		"no such event":  {Event: "none"},
		"page in middle": {Limit: 100, After: list(b, q, quarantine.Filter{Limit: 50_000})[49_999].Cursor()},
	} {
		b.Run("list "+name, func(b *testing.B) {
			for b.Loop() {
				list(b, q, f)
			}
		})
	}
	b.Run("groups", func(b *testing.B) {
		for b.Loop() {
			groups(b, q, quarantine.Filter{})
		}
	})
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			q.Status()
		}
	})
	for name, opts := range map[string][]option{"cached": nil, "uncached": {noCache}} {
		b.Run("open "+name, func(b *testing.B) {
			stop(b, q)
			for b.Loop() {
				open(b, d, opts...)
			}
		})
	}
}
