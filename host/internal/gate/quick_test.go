package gate_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

// quickPlan has parts of all calls, with and without a need for the member.
const quickPlan = `
events:
  Order Completed: {schema: {type: object, required: [total], properties: {total: {type: number, minimum: 0}}, additionalProperties: {type: [string, array]}}}
  Signed Up: {schema: {properties: {plan: {enum: [free, paid]}}}}
  Anything: {}
identify: {schema: {properties: {email: {format: email}, age: {type: integer}}}}
page: {schema: {required: [url]}}
unplanned: refuse
`

// claimsOf gives every claim of testdata, and the reference event.
func claimsOf(tb testing.TB) [][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatal("no testdata", err)
	}
	all := [][]byte{reference()}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, section := range archive.Files {
			if section.Name == "claim" {
				all = append(all, bytes.TrimSuffix(section.Data, []byte("\n")))
			}
		}
	}
	return all
}

// sourcesOf makes sources with different plans.
func sourcesOf(tb testing.TB, g *gate.Gate) []*gate.Source {
	tb.Helper()
	return []*gate.Source{
		g.Source(gate.SourceOptions{ID: "none"}),
		g.Source(gate.SourceOptions{ID: "refuse", Plan: loadPlan(tb, quickPlan)}),
		g.Source(gate.SourceOptions{ID: `de"liver`, Plan: loadPlan(tb, referencePlan), OnViolation: gate.Deliver}),
	}
}

// sameWays holds that a claim is judged alike both ways.
func sameWays(t *testing.T, s *gate.Source, in gate.Input) {
	t.Helper()
	got, want := s.Judge(in, received), s.Long().Judge(in, received)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("claim %q\nbecomes %+v\nthe long way %+v\n%s\n%s", in.Claim, got, want, got.Envelope.JSON, want.Envelope.JSON)
	}
}

// TestBothWaysLeadToTheSame judges claims of testdata, as they are and with
// their bytes, members and values changed.
func TestBothWaysLeadToTheSame(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	sources := sourcesOf(t, goldenGate(t, gate.Options{}))
	claims := claimsOf(t)
	known, judged := 0, 0
	for round := range 40 {
		for _, claim := range claims {
			if len(claim) > 10_000 {
				continue // the long way takes long
			}
			in := gate.Input{Claim: claim}
			if round > 0 {
				in.Claim = changed(r, claim)
			}
			switch r.IntN(4) {
			case 0:
				in.SentAt = "2026-11-24T05:59:59.5Z"
			case 1:
				in.MessageID = "given \u00e9 \"id\""
			}
			for _, s := range sources {
				sameWays(t, s, in)
				judged++
				if s.Knows(in.Claim) {
					known++
				}
			}
		}
	}
	t.Logf("%d claims, %d of them known to be good", judged, known)
	if known < judged/10 {
		t.Error("too few are known for this to be a test")
	}
}

// otherValues are what members of events are changed to.
var otherValues = map[string][]string{
	"type":       {`"track"`, `"page"`, `"identify"`, `"group"`, `"alias"`, `"screen"`, `"tr\u0061ck"`},
	"event":      {`"Order Completed"`, `"Signed Up"`, `"Anything"`, `"Unknown"`, `""`, `7`},
	"properties": {`{}`, `null`, `{"total":1.5,"x":"y"}`, `{"total":-1}`, `{"plan":"free"}`, `{"url":"/"}`, `[]`},
	"traits":     {`{"email":"a@b.example","age":7.0}`, `{"email":"no"}`, `null`},
	"userId":     {`"u"`, `7`, `""`, `null`},
	"messageId":  {`"m"`, `7`, `"\ud800"`, `"m\u0041"`, `""`},
	"sentAt":     {`"2026-11-24T05:59:59Z"`, `"1970-01-01T00:00:00Z"`, `null`},
	"timestamp":  {`"2026-11-24T05:59:58.123456Z"`, `"2026-11-24 05:59"`, `null`, `"9999-12-31T23:59:59-23:59"`},
}

// changed changes an event: its members' order, values and names, or its bytes.
func changed(r *rand.Rand, claim []byte) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(claim, &members) != nil || members == nil || r.IntN(4) == 0 {
		claim = bytes.Clone(claim)
		for range 1 + r.IntN(3) {
			if len(claim) == 0 {
				break
			}
			at := r.IntN(len(claim))
			switch r.IntN(3) {
			case 0:
				const bytes = `{}[],:"\0e-. ` + "\n\xff"
				claim[at] = bytes[r.IntN(len(bytes))]
			case 1:
				claim = slices.Delete(claim, at, at+1)
			case 2:
				claim = slices.Insert(claim, at, claim[at:min(len(claim), at+r.IntN(10))]...)
			}
		}
		return claim
	}
	names := make([]string, 0, len(members)+3)
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(otherValues)) {
		values := otherValues[name]
		if r.IntN(4) == 0 {
			if members[name] == nil {
				names = append(names, name)
			}
			members[name] = json.RawMessage(values[r.IntN(len(values))])
		}
	}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	out := []byte("{")
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		if r.IntN(30) == 0 {
			out = append(out, '\n', ' ')
		}
		quoted, _ := json.Marshal(name)
		out = append(append(append(out, quoted...), ':'), members[name]...)
		if r.IntN(100) == 0 {
			out = append(append(append(append(out, ','), quoted...), ':'), members[name]...)
		}
	}
	return append(out, '}')
}

// TestGoodEventsAreKnown holds that what clients send does not go the long way.
func TestGoodEventsAreKnown(t *testing.T) {
	g := newGate(t, gate.Options{})
	planned := g.Source(gate.SourceOptions{ID: "website", Plan: loadPlan(t, quickPlan)})
	for _, claim := range []string{
		string(reference()),
		`{"properties":{"plan":"paid"},"userId":7,"event":"Signed Up","type":"track"}`,
		`{"properties":null,"userId":7,"event":"Signed Up","type":"track"}`,
		`{"userId":7,"event":"Signed Up","type":"track"}`,
		`{"properties":{"x":[1]},"userId":"u","event":"Anything","type":"track"}`,
		`{"type":"identify","traits":{"email":"a@b.example"},"userId":""}`,
		`{"type":"group","groupId":"g","traits":{"x":1},"anonymousId":"a"}`,
		`{"type":"alias","previousId":"a","userId":"b"}`,
		"{\n\t\"type\": \"page\",\n\t\"properties\": {\"url\": \"/\"}, \"userId\": \"u\"\r\n}\n",
	} {
		if !planned.Knows(event.Claim(claim)) {
			t.Errorf("goes the long way: %s", claim)
		}
	}
	for _, claim := range []string{
		`{"properties":{"plan":"other"},"userId":7,"event":"Signed Up","type":"track"}`,
		`{"event":"Signed Up","type":"track","properties":{"plan":"other"},"userId":7}`,
		`{"properties":{"total":1},"userId":7,"event":"Unknown","type":"track"}`,
		`{"userId":"u","event":"Order Completed","type":"track"}`,
		`{"properties":null,"userId":"u","event":"Order Completed","type":"track"}`,
		`{"userId":"u","type":"page"}`,
		`{"type":"page","properties":{"url":""},"messageId":"m"}`,
		`{"type":"track","userId":"u"}`, `{"type":"alias","userId":"u"}`, `{"type":"group","userId":"u"}`, `{"type":"other","userId":"u"}`,
	} {
		if planned.Knows(event.Claim(claim)) {
			t.Errorf("is known to be good: %s", claim)
		}
	}
}

func TestJudgeIntoAllocatesNothing(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website", Plan: loadPlan(t, referencePlan)})
	in, buffer := gate.Input{Claim: reference()}, make([]byte, 0, 2000)
	judge := func() {
		if r, _ := s.JudgeInto(buffer, in, received); r.Refusal != nil {
			t.Fatalf("%+v", r.Refusal)
		}
	}
	// The race detector has pools forget what they hold now and then.
	fewest := 1.0
	for range 20 {
		fewest = min(fewest, testing.AllocsPerRun(1, judge))
	}
	if fewest != 0 {
		t.Errorf("%v allocations", fewest)
	}
}

// TestEnvelopesShareABuffer holds that what is appended to a buffer leaves what
// was in it alone, also where the buffer has to grow.
func TestEnvelopesShareABuffer(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	buffer := make([]byte, 0, 1000)
	var got, want []event.Envelope
	for i := range 20 {
		in := gate.Input{Claim: bytes.Replace(reference(), []byte("50314b8e9bcf"), bytes.Repeat([]byte{byte('a' + i)}, i), 1)}
		var r gate.Result
		r, buffer = s.JudgeInto(buffer, in, received)
		got = append(got, r.Envelope)
		_ = append(r.Envelope.JSON, "overwritten"...)
		want = append(want, s.Judge(in, received).Envelope)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
