package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/gate"
)

// reference is the event that all benchmarks of the project are about: 839
// bytes, as a browser sends it.
func reference() []byte {
	return []byte(`{"type":"track","messageId":"ajs-next-1763962782123-3f8a7c1e-9b2d-4e5f-8a6b-1c2d3e4f5a6b","anonymousId":"7d2c1b0a-9f8e-4d7c-b6a5-948372615049","userId":"user_84213","event":"Order Completed","properties":{"order_id":"50314b8e9bcf","total":127.45,"currency":"USD","coupon":"hasbros","products":[{"product_id":"507f1f77bcf86cd7","sku":"G-32","name":"Monopoly: 3rd Edition","price":19,"quantity":1}]},"context":{"ip":"203.0.113.42","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36","locale":"en-US","timezone":"Europe/Berlin","library":{"name":"analytics.js","version":"npm:next-1.62.0"},"page":{"path":"/checkout","referrer":"","search":"?step=3","title":"Checkout","url":"https://shop.example.com/checkout?step=3"}},"integrations":{},"timestamp":"2026-11-24T05:39:42.123Z","sentAt":"2026-11-24T05:39:42.456Z"}`)
}

// referencePlan judges the reference event's properties.
const referencePlan = `
events:
  Order Completed:
    schema:
      type: object
      required: [order_id, total, products]
      properties:
        order_id: {type: string, minLength: 1, maxLength: 64}
        total: {type: number, minimum: 0}
        currency: {type: string, pattern: "^[A-Z]{3}$"}
        coupon: {type: [string, "null"]}
        products:
          type: array
          minItems: 1
          items:
            type: object
            required: [product_id, price]
            properties:
              product_id: {type: string}
              price: {type: number, minimum: 0}
              quantity: {type: integer, minimum: 1}
unplanned: refuse
`

func newGate(tb testing.TB, o gate.Options) *gate.Gate {
	tb.Helper()
	g, err := gate.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func loadPlan(tb testing.TB, text string) *gate.Plan {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	plan, err := gate.LoadPlan(path)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

func BenchmarkScan(b *testing.B) {
	raw := reference()
	var s gate.Scanner
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if fault, _ := s.Scan(raw); fault != "" {
			b.Fatal(fault)
		}
	}
}

// BenchmarkStandardValid is what BenchmarkScan is to be compared with.
func BenchmarkStandardValid(b *testing.B) {
	raw := reference()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if !json.Valid(raw) {
			b.Fatal("not valid")
		}
	}
}

func benchmarkJudge(b *testing.B, claim []byte, o gate.SourceOptions, accepted bool) {
	s := newGate(b, gate.Options{}).Source(o)
	b.SetBytes(int64(len(claim)))
	b.ReportAllocs()
	for b.Loop() {
		if r := s.Judge(gate.Input{Claim: claim}, received); (r.Refusal == nil) != accepted {
			b.Fatalf("%+v", r)
		}
	}
}

// benchmarkAccept judges claims that are good, one after the other, into a buffer
// that is used again.
func benchmarkAccept(b *testing.B, o gate.SourceOptions, claims ...[]byte) {
	s := newGate(b, gate.Options{}).Source(o)
	buffer := make([]byte, 0, 64<<10)
	b.SetBytes(int64(len(claims[0])))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if r, _ := s.JudgeInto(buffer, gate.Input{Claim: claims[i]}, received); r.Refusal != nil {
			b.Fatalf("%+v", r)
		}
		if i++; i == len(claims) {
			i = 0
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	benchmarkAccept(b, gate.SourceOptions{ID: "website"}, reference())
}

func BenchmarkAcceptWithPlan(b *testing.B) {
	benchmarkAccept(b, gate.SourceOptions{ID: "website", Plan: loadPlan(b, referencePlan)}, reference())
}

// BenchmarkAcceptMixed is of events of 100 names, in random order, each with a
// schema of its own in the plan.
func BenchmarkAcceptMixed(b *testing.B) {
	_, schema, _ := strings.Cut(referencePlan, "Order Completed:")
	schema, _, _ = strings.Cut(schema, "unplanned")
	plan := "events:\n"
	var claims [][]byte
	for i := range 100 {
		name := fmt.Sprintf("Order Completed %d", i)
		plan += "  " + name + ":" + schema
		claims = append(claims, bytes.Replace(reference(), []byte("Order Completed"), []byte(name), 1))
	}
	claims = slices.Concat(claims, claims, claims, claims)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
	benchmarkAccept(b, gate.SourceOptions{ID: "website", Plan: loadPlan(b, plan+"unplanned: refuse\n")}, claims...)
}

// BenchmarkAcceptLate has the members that decide about the properties after
// them.
func BenchmarkAcceptLate(b *testing.B) {
	claim := reference()
	for _, member := range []string{`"type":"track",`, `"event":"Order Completed",`} {
		claim = bytes.Replace(claim, []byte(member), nil, 1)
		claim = append(append(append(claim[:len(claim)-1], ','), strings.TrimSuffix(member, ",")...), '}')
	}
	benchmarkAccept(b, gate.SourceOptions{ID: "website", Plan: loadPlan(b, referencePlan)}, claim)
}

func BenchmarkJudgeReference(b *testing.B) {
	benchmarkJudge(b, reference(), gate.SourceOptions{ID: "website"}, true)
}

func BenchmarkJudgeReferenceWithPlan(b *testing.B) {
	benchmarkJudge(b, reference(), gate.SourceOptions{ID: "website", Plan: loadPlan(b, referencePlan)}, true)
}

func BenchmarkJudgeRefused(b *testing.B) {
	claim := []byte(`{"type":"track","userId":"","properties":[],"context":{"library":{"name":"x"}},"timestamp":"yesterday"}`)
	benchmarkJudge(b, claim, gate.SourceOptions{ID: "website"}, false)
}
