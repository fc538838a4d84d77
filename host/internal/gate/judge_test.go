package gate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

func TestEnvelopeCarriesWhatCameWithTheClaim(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: `a "source" <1>`})
	at := time.Date(2026, 11, 24, 7, 0, 0, 1_999_999, time.FixedZone("", 3600))
	r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"u","messageId":"m"}`), Group: 3, Attachment: []byte("x")}, at)
	want := event.Envelope{
		Source: `a "source" <1>`, Type: event.Page, MessageID: "m", Group: 3, Attachment: []byte("x"),
		ReceivedAt: time.Date(2026, 11, 24, 6, 0, 0, 1_000_000, time.UTC),
		JSON:       []byte(`{"type":"page","userId":"u","messageId":"m","receivedAt":"2026-11-24T06:00:00.001Z","timestamp":"2026-11-24T06:00:00.001Z","sourceId":"a \"source\" <1>"}`),
	}
	if r.Refusal != nil || r.Action != gate.Accepted || !reflect.DeepEqual(r.Envelope, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

func TestEnvelopeSharesNoMemoryWithTheClaim(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	claim := reference()
	r := s.Judge(gate.Input{Claim: claim}, received)
	before := string(r.Envelope.JSON)
	id := strings.Clone(r.Envelope.MessageID)
	for i := range claim {
		claim[i] = 'x'
	}
	s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"other","messageId":"other"}`)}, received)
	if string(r.Envelope.JSON) != before || r.Envelope.MessageID != id {
		t.Errorf("the envelope changed: %s", r.Envelope.JSON)
	}
}

func TestRefusalKeepsTheClaim(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	claim := " {\"type\":\"page\",\n\"messageId\":\"m\",\"sentAt\":\"2026-11-24T05:00:00Z\"}"
	r := s.Judge(gate.Input{Claim: event.Claim(claim), SentAt: "2026-01-01T00:00:00Z"}, received).Refusal
	sum := sha256.Sum256([]byte(claim))
	if r == nil || string(r.Claim) != claim || r.Size != len(claim) || r.Hash != hex.EncodeToString(sum[:]) {
		t.Fatalf("%+v", r)
	}
	if r.Attachment != nil {
		t.Errorf("attached is %q", r.Attachment)
	}
	if r.Source != "website" || r.MessageID != "m" || r.SentAt != "2026-11-24T05:00:00Z" || !r.ReceivedAt.Equal(received.Truncate(time.Millisecond)) {
		t.Errorf("%+v", r)
	}
	r = s.Judge(gate.Input{Claim: event.Claim(`{"type":"page"}`), SentAt: "2026-01-01T00:00:00Z", MessageID: "given", Attachment: []byte("x")}, received).Refusal
	if string(r.Attachment) != "x" || r.SentAt != "2026-01-01T00:00:00Z" || r.MessageID != "given" {
		t.Errorf("%+v", r)
	}
}

func TestOversizeClaimKeepsItsBeginningAndHash(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	claim := []byte(`{"type":"page","x":"` + strings.Repeat("é", 1<<20) + `","messageId":"m","sentAt":"2026-11-24T05:00:00Z"}`)
	sum := sha256.Sum256(claim)
	r := s.Judge(gate.Input{Claim: claim, Attachment: []byte("x")}, received).Refusal
	if r == nil || string(r.Attachment) != "x" || len(r.Claim) != 64<<10 || !bytes.HasPrefix(claim, r.Claim) || r.Size != len(claim) || r.Hash != hex.EncodeToString(sum[:]) {
		t.Fatalf("kept %d of %d bytes, hash %s", len(r.Claim), r.Size, r.Hash)
	}
	if cap(r.Claim) > 128<<10 {
		t.Errorf("the refusal holds %d bytes", cap(r.Claim))
	}
	if r.MessageID != "m" || r.SentAt != "2026-11-24T05:00:00Z" || len(r.Violations) != 1 || r.Violations[0].Code != event.CodeTooLarge {
		t.Errorf("%+v", r.Violations)
	}
}

func TestOversizeClaimTakesLittleMemory(t *testing.T) {
	s := newGate(t, gate.Options{MaxEvent: 1000}).Source(gate.SourceOptions{ID: "website"})
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	claim := event.Claim(`{"type":"page"` + b.String() + `}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.Judge(gate.Input{Claim: claim}, received)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
		t.Errorf("%d bytes for a claim of %d", taken, len(claim))
	}
}

func TestRefusalRepeatsLittleOfAHugeClaim(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	long := strings.Repeat("é", 100_000)
	r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"` + long + `","event":"` + long + `","messageId":"` + long + `","sentAt":"` + long + `"}`)}, received).Refusal
	size := len(r.MessageID) + len(r.SentAt)
	for _, v := range r.Violations {
		size += len(v.Message) + len(v.Path)
	}
	if size > 4<<10 || !utf8.ValidString(r.MessageID) || !utf8.ValidString(r.SentAt) {
		t.Errorf("%d bytes are repeated: %+v", size, r.Violations)
	}
}

func TestMadeMessageIDsAreNewUUIDs(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website"})
	seen := make(map[string]bool)
	for range 100 {
		r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"u"}`)}, received)
		id, err := uuid.Parse(r.Envelope.MessageID)
		if err != nil || id.Version() != 7 || seen[r.Envelope.MessageID] {
			t.Fatalf("%q: %v", r.Envelope.MessageID, err)
		}
		seen[r.Envelope.MessageID] = true
	}
}

func TestCounts(t *testing.T) {
	g := newGate(t, gate.Options{MaxEvent: 200})
	plan := loadPlan(t, "unplanned: refuse")
	judge := func(o gate.SourceOptions, own []event.Violation, claims ...string) {
		s := g.Source(o) // a new one: counters go on
		for _, claim := range claims {
			s.Judge(gate.Input{Claim: event.Claim(claim), Own: own}, received)
		}
	}
	judge(gate.SourceOptions{ID: "b"}, nil,
		`{"type":"page","userId":"u"}`, `{"type":"page"}`, `{"type":"track"}`, `[]`, strings.Repeat(" ", 201),
		`{"type":"page","userId":"u","timestamp":"2026-11-24T05:00:00Z","sentAt":"1970-01-01T00:00:00Z"}`)
	judge(gate.SourceOptions{ID: "b"}, []event.Violation{{Code: "strange"}}, `{"type":"page","userId":"u"}`)
	unplanned := `{"type":"track","userId":"u","event":"E"}`
	judge(gate.SourceOptions{ID: "a", Plan: plan, OnViolation: gate.Drop}, nil, unplanned)
	judge(gate.SourceOptions{ID: "a", Plan: plan, OnViolation: gate.Deliver}, nil, unplanned, `{"type":"page","userId":"u"}`)
	judge(gate.SourceOptions{ID: "a", Plan: plan}, nil, unplanned)
	want := []gate.Counts{
		{Source: "a", Accepted: 2, Violating: 1, Dropped: 1, Refused: map[string]uint64{"unplanned": 2}},
		{Source: "b", Accepted: 2, AbsurdSentAt: 1, Refused: map[string]uint64{"no_id": 2, "not_object": 1, "too_large": 1, gate.CodeOther: 1}},
	}
	if got := g.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestManyDeliveredViolationsAreBounded(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{
		ID: "website", OnViolation: gate.Deliver, Plan: loadPlan(t, `page: {schema: {additionalProperties: {type: string}}}`),
	})
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `,"p%d":0`, i)
	}
	r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"u","properties":{` + b.String()[1:] + `}}`)}, received)
	var got struct {
		Context struct{ Violations []event.Violation }
	}
	if err := json.Unmarshal(r.Envelope.JSON, &got); err != nil {
		t.Fatal(err)
	}
	if vs := got.Context.Violations; len(vs) != 100 || vs[99].Message != "and at least 401 more violations" {
		t.Errorf("%d violations, the last %+v", len(vs), vs[len(vs)-1])
	}
}

// TestSourcesJudgeAtOnce is for the race detector, and holds that judgements do
// not mix.
func TestSourcesJudgeAtOnce(t *testing.T) {
	g := newGate(t, gate.Options{})
	plan := loadPlan(t, referencePlan)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			s := g.Source(gate.SourceOptions{ID: event.SourceID(fmt.Sprint(worker % 3)), Plan: plan})
			for i := range 200 {
				id := fmt.Sprintf("m-%d-%d", worker, i)
				r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"u","messageId":"` + id + `"}`)}, received)
				if r.Envelope.MessageID != id || !bytes.Contains(r.Envelope.JSON, []byte(id)) {
					t.Errorf("%s: %+v", id, r)
				}
				if r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"track","event":"` + id + `"}`)}, received); len(r.Refusal.Violations) != 2 {
					t.Errorf("%s: %+v", id, r.Refusal)
				}
				g.Counts()
			}
		})
	}
	wait.Wait()
}

// slowChecker takes its time for the events that it is told of.
type slowChecker struct {
	began chan string
	end   chan struct{}
}

func (c slowChecker) Check(doc *gate.Document) []event.Violation {
	c.began <- string(doc.Raw[:20])
	<-c.end
	return nil
}

// TestEventsOfManyValuesAreCheckedOneAtATime holds that large events do not
// take their memory together, and that others do not wait for them.
func TestEventsOfManyValuesAreCheckedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, gate.Options{})
		checker := slowChecker{began: make(chan string, 10), end: make(chan struct{})}
		g.SetChecker(event.Page, checker)
		s := g.Source(gate.SourceOptions{ID: "website"})
		var wait sync.WaitGroup
		judge := func(claim string) {
			wait.Go(func() {
				if r := s.Judge(gate.Input{Claim: event.Claim(claim)}, received); r.Refusal != nil {
					t.Errorf("%+v", r.Refusal)
				}
			})
		}
		large := `{"type":"page","userId":"u","x":[` + strings.Repeat("0,", 6000) + `0]}`
		judge(large)
		judge(large)
		judge(large)
		synctest.Wait()
		if n := len(checker.began); n != 1 {
			t.Errorf("%d large events are checked at once", n)
		}
		judge(`{"type":"page","userId":"u"}`)
		synctest.Wait()
		if n := len(checker.began); n != 2 {
			t.Errorf("a small event waits for a large one")
		}
		close(checker.end)
		wait.Wait()
		if n := len(checker.began); n != 4 {
			t.Errorf("%d events were checked", n)
		}
	})
}

// property is one member of an object, as it is written.
type property struct {
	name  string
	value string
}

// properties reads an object's members in their order.
func properties(t *testing.T, raw []byte) []property {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	var all []property
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		all = append(all, property{name.(string), strings.NewReplacer("\n", " ", "\r", " ").Replace(string(value))})
	}
	return all
}

// ours are the members that the gate may write.
var ours = []string{"messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "sourceId"}

// holdsSplice holds that an accepted event is the claim, byte by byte and in
// its order, but for the members that are the gate's to write.
func holdsSplice(t *testing.T, claim, spliced []byte) {
	t.Helper()
	if !json.Valid(spliced) || bytes.ContainsAny(spliced, "\r\n") {
		t.Fatalf("not one line of JSON: %q", spliced)
	}
	before, after := properties(t, claim), properties(t, spliced)
	if len(after) < len(before) {
		t.Fatalf("%s\nlost members: %s", claim, spliced)
	}
	for i, was := range before {
		if is := after[i]; is.name != was.name || is.value != was.value && !slices.Contains(ours, was.name) {
			t.Errorf("%s: %s became %s: %s", was.name, was.value, is.name, is.value)
		}
	}
	for _, added := range after[len(before):] {
		if !slices.Contains(ours, added.name) {
			t.Errorf("%s was added", added.name)
		}
	}
}

// FuzzJudge holds what is true of every judgement, whatever the claim.
func FuzzJudge(f *testing.F) {
	for _, claim := range claimsOf(f) {
		f.Add(claim)
	}
	g := goldenGate(f, gate.Options{MaxEvent: 1 << 16})
	sources := sourcesOf(f, g)
	plan := loadPlan(f, referencePlan)
	plain := g.Source(gate.SourceOptions{ID: "website"})
	deliver := g.Source(gate.SourceOptions{ID: "website", Plan: plan, OnViolation: gate.Deliver})
	f.Fuzz(func(t *testing.T, claim []byte) {
		for _, s := range sources {
			sameWays(t, s, gate.Input{Claim: claim})
		}
		r := plain.Judge(gate.Input{Claim: claim}, received)
		if r.Refusal == nil {
			holdsSplice(t, claim, r.Envelope.JSON)
			if r.Envelope.MessageID == "" || !slices.Contains(event.Types, r.Envelope.Type) {
				t.Errorf("%+v", r.Envelope)
			}
			if len(r.Envelope.JSON) > 1<<16 {
				return // what was added makes it too large
			}
			again := plain.Judge(gate.Input{Claim: r.Envelope.JSON}, received)
			if again.Refusal != nil {
				t.Errorf("accepted once, then refused: %s\n%+v", r.Envelope.JSON, again.Refusal.Violations)
			}
		} else {
			if len(r.Refusal.Violations) == 0 || r.Action != gate.Quarantined {
				t.Errorf("refused for nothing: %+v", r)
			}
			v := r.Refusal.Violations[0]
			if strings.HasPrefix(v.Message, "not JSON") && json.Valid(claim) && utf8.Valid(claim) && !bytes.HasPrefix(claim, []byte("\ufeff")) {
				t.Errorf("JSON is said to be none: %s", v.Message)
			}
		}
		if with := deliver.Judge(gate.Input{Claim: claim}, received); (with.Refusal == nil) != (r.Refusal == nil) {
			t.Errorf("a plan that delivers refuses: %+v", with)
		} else if with.Refusal == nil && !json.Valid(with.Envelope.JSON) {
			t.Errorf("not JSON: %s", with.Envelope.JSON)
		}
	})
}
