package gate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

var update = flag.Bool("update", false, "write what the gate answers into testdata/*.txtar")

const madeID = "019aa000-0000-7000-8000-000000000001"

var received = time.Date(2026, 11, 24, 6, 0, 0, 250_999_999, time.UTC)

// TestGolden judges the claims of testdata/*.txtar. In each file, sections set
// the scene for the claims that follow: limits, on_violation, plan.yaml and
// other files of the plan; own, sentAt and messageId are for the next claim
// alone. After a claim stands what becomes of it: event, or quarantine or drop
// with the violations.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	codes := make(map[string]bool)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := scene{t: t, dir: t.TempDir(), codes: codes, gate: goldenGate(t, gate.Options{})}
			for i := range archive.Files {
				s.section(&archive.Files[i])
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for _, code := range []string{
		event.CodeNotObject, event.CodeUnknownType, event.CodeNoID, event.CodeSchema, event.CodePlan, event.CodeUnplanned,
		event.CodeTooLarge, event.CodeTooDeep, event.CodeNumber, event.CodeStringLength, event.CodeDuplicateKey,
	} {
		if !codes[code] {
			t.Errorf("no claim of testdata is refused as %s", code)
		}
	}
}

// scene is where a golden file has come to.
type scene struct {
	t      *testing.T
	dir    string
	gate   *gate.Gate
	source gate.SourceOptions
	input  gate.Input
	result gate.Result
	codes  map[string]bool
}

func (s *scene) section(f *txtar.File) {
	text := strings.TrimSuffix(string(f.Data), "\n")
	switch f.Name {
	case "limits":
		s.gate = goldenGate(s.t, limits(s.t, text))
	case "on_violation":
		s.source.OnViolation = gate.OnViolation(text)
	case "own":
		s.input.Own = violations(s.t, text)
	case "sentAt":
		s.input.SentAt = text
	case "messageId":
		s.input.MessageID = text
	case "claim":
		s.input.Claim = event.Claim(text)
		s.judge()
	case "event", "quarantine", "drop":
		name, got := s.outcome()
		if *update {
			f.Name, f.Data = name, []byte(got)
		} else if name != f.Name || got != string(f.Data) {
			s.t.Errorf("claim %s\n%s:\n%swant %s:\n%s", s.input.Claim, name, got, f.Name, f.Data)
		}
		s.input = gate.Input{}
	default:
		s.file(f.Name, f.Data)
	}
}

func (s *scene) file(name string, data []byte) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if name != "plan.yaml" {
		return
	}
	plan, err := gate.LoadPlan(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.source.Plan = plan
}

func (s *scene) judge() {
	s.source.ID = "website"
	source := s.gate.Source(s.source)
	s.result = source.Judge(s.input, received)
	sameWays(s.t, source, s.input)
	if s.result.Refusal != nil {
		for _, v := range s.result.Refusal.Violations {
			s.codes[v.Code] = true
		}
	}
}

// outcome writes what became of the claim, and holds what is true of every one.
func (s *scene) outcome() (name, text string) {
	r := s.result
	if r.Refusal == nil {
		e := r.Envelope
		if !json.Valid(e.JSON) || bytes.ContainsAny(e.JSON, "\r\n") {
			s.t.Errorf("not one line of JSON: %s", e.JSON)
		}
		var says struct {
			Type, MessageID, SourceID string
			ReceivedAt                time.Time
		}
		if err := json.Unmarshal(e.JSON, &says); err != nil {
			s.t.Error(err)
		}
		if says.Type != string(e.Type) || says.MessageID != e.MessageID || says.SourceID != string(e.Source) || !says.ReceivedAt.Equal(e.ReceivedAt) {
			s.t.Errorf("the event says %+v, its envelope %+v", says, e)
		}
		return "event", string(e.JSON) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q\n", r.Refusal.MessageID)
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, v := range r.Refusal.Violations {
		if err := lines.Encode(v); err != nil {
			s.t.Fatal(err)
		}
	}
	return string(r.Action), b.String()
}

func goldenGate(t testing.TB, o gate.Options) *gate.Gate {
	o.NewID = func() string { return madeID }
	return newGate(t, o)
}

func limits(t *testing.T, text string) gate.Options {
	var o gate.Options
	settings := map[string]*int{
		"event": &o.MaxEvent, "depth": &o.MaxDepth, "number": &o.MaxNumber, "exponent": &o.MaxExponent,
		"string": &o.MaxString, "values": &o.MaxValues, "paths": &o.MaxPaths,
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(value)
		if settings[name] == nil || err != nil {
			t.Fatalf("limits: %s; want one of %v and a number", line, slices.Sorted(maps.Keys(settings)))
		}
		*settings[name] = n
	}
	return o
}

func violations(t *testing.T, text string) []event.Violation {
	var all []event.Violation
	for line := range strings.Lines(text) {
		var v event.Violation
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}
