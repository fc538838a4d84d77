package fast_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// limits are the gate's defaults.
var limits = fast.Limits{Depth: 64, Number: 400, Exponent: 400, String: 256 << 10, Values: 100_000, Paths: 16 << 20}

// fixture reads a file that the project's machines share; where it is absent
// the test is skipped.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("../../../../../shared/fixtures/reference", name))
	if err != nil {
		tb.Skip("the reference event and its schema are not beside the project: ", err)
	}
	return raw
}

func BenchmarkRunReference(b *testing.B) {
	raw := fixture(b, "event.json")
	s, err := schema.Compile("reference", fixture(b, "schema.json"), nil)
	if err != nil {
		b.Fatal(err)
	}
	p := fast.New(fast.Root{All: []*schema.Schema{s}})
	var m fast.Machine
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Run(p, raw, limits, nil, nil); !ok {
			b.Fatal("not accepted")
		}
	}
}

func BenchmarkRunAnything(b *testing.B) {
	raw := fixture(b, "event.json")
	p := fast.New(fast.Root{})
	var m fast.Machine
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Run(p, raw, limits, nil, nil); !ok {
			b.Fatal("not accepted")
		}
	}
}
