package gate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

// folder writes files and tells where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadPlanTellsAllProblems(t *testing.T) {
	files := map[string]string{
		"order.json":    `{"properties": {"total": {"type": "nmber"}}}`,
		"gone.json":     `{"$ref": "nowhere.json"}`,
		"not.json":      "{\n\"type\":\n",
		"secret/a.json": `{"$ref": "../order.json"}`,
	}
	const kinds = `fits none of the alternatives: (1) value must be one of "array", "boolean", "integer", "null", "number", "object", "string"; (2) expected array, but got string`
	tests := []struct {
		name, plan string
		want       []string
	}{
		{"unknown keys", "event: {}\nevents:\n  E: {shema: {}, schema: {}}\nidentify: {traits: {}}\n", []string{
			"plan.yaml:1: event: unknown key; known here: events, identify, group, page, screen, unplanned",
			"plan.yaml:3: events.E.shema: unknown key; known here: schema",
			"plan.yaml:4: identify.traits: unknown key; known here: schema"}},
		{"wrong kinds", "events: [a]\nidentify: x\nunplanned: perhaps\npage: {schema: 5}\n", []string{
			"plan.yaml:1: events: must be a mapping of keys to values",
			"plan.yaml:2: identify: must be a mapping of keys to values",
			`plan.yaml:3: unplanned: "perhaps" is not one of allow, refuse`,
			"plan.yaml:4: page.schema: plan.yaml#/page/schema: expected object or boolean, but got number"}},
		{"keys that are no text", "events: {[E]: {}}\n[page]: {}\n", []string{
			"plan.yaml:1: events: a key must be plain text",
			"plan.yaml:2: a key must be plain text"}},
		{"keys twice", "events:\n  E: {}\n  E: {}\npage: {}\npage: {schema: {type: object, type: array}}\n", []string{
			"plan.yaml:3: events.E: is there already, in line 2",
			"plan.yaml:5: page: is there already, in line 4"}},
		{"an inline schema", "page:\n  schema:\n    properties:\n      path:\n        type: strin\n        minLength: x\n", []string{
			"plan.yaml:5: page.schema: plan.yaml#/page/schema/properties/path/type: " + kinds,
			"plan.yaml:6: page.schema: plan.yaml#/page/schema/properties/path/minLength: expected integer, but got string"}},
		{"an inline schema that JSON cannot say", "page: {schema: {minimum: .inf}}\nscreen:\n  schema: {const: 1, const: 2}\nidentify: {schema: {? [a] : b}}\n", []string{
			"plan.yaml:1: page.schema: line 1: .inf is no number that JSON has",
			"plan.yaml:3: screen.schema: line 3: const is there twice",
			"plan.yaml:4: identify.schema: line 4: a name in a schema must be plain text"}},
		{"a schema without end", "page: {schema: &x {not: *x}}\n", []string{
			"plan.yaml:1: page.schema: the schema is too large, or contains itself"}},
		{"files", "events:\n  A: {schema: order.json}\n  B: {schema: missing.json}\n  C: {schema: gone.json}\n  D: {schema: not.json}\n", []string{
			"plan.yaml:2: events.A.schema: order.json#/properties/total/type: " + kinds,
			"plan.yaml:3: events.B.schema: open missing.json: no such file or directory",
			"plan.yaml:4: events.C.schema: gone.json#/$ref: $ref nowhere.json: openat nowhere.json: no such file or directory",
			"plan.yaml:5: events.D.schema: not.json: not JSON: the value ends too early"}},
		{"a reference out of the folder", "page: {schema: {$ref: \"../x.json\"}}\n", []string{
			"plan.yaml:1: page.schema: plan.yaml#/page/schema/$ref: $ref ../x.json: it leaves the folder that the schema may read"}},
		{"not YAML", "events:\n  E: [\n", []string{"plan.yaml:2: not YAML: did not find expected node content; look at the indent, the quotes and the brackets of this line and of the one before"}},
		{"an open quote", "unplanned: allow\nevents:\n  \"Order Completed: {}\n  Other: {}\n", []string{
			"plan.yaml:3: not YAML: found unexpected end of stream; a quote that opens in this line is not closed"}},
		{"not UTF-8", "events:\n  Caf\xe9: {}\n", []string{"plan.yaml:2: not UTF-8 text: a byte 0xE9; save the file as UTF-8"}},
		{"references beside other faults", "events:\n  A:\n    schema:\n      minimum: x\n      items: {$ref: \"#/$defs/x\"}\n      not: {$ref: gone2.json}\n  B: {schema: {$ref: gone2.json}}\nunplaned: allow\n", []string{
			"plan.yaml:4: events.A.schema: plan.yaml#/events/A/schema/minimum: expected number, but got string",
			"plan.yaml:5: events.A.schema: plan.yaml#/events/A/schema/items/$ref: $ref #/$defs/x: there is no such place",
			"plan.yaml:6: events.A.schema: plan.yaml#/events/A/schema/not/$ref: $ref gone2.json: openat gone2.json: no such file or directory",
			"plan.yaml:7: events.B.schema: plan.yaml#/events/B/schema/$ref: $ref gone2.json: openat gone2.json: no such file or directory",
			"plan.yaml:8: unplaned: unknown key; known here: events, identify, group, page, screen, unplanned"}},
		{"empty", "# nothing\n", []string{"plan.yaml: the file is empty; it wants events:, identify:, group:, page:, screen: or unplanned:"}},
		{"two documents", "events: {}\n---\nevents: {}\n", []string{"plan.yaml:2: a second document begins here; a file is one document: remove the --- line"}},
		{"not a mapping", "[]", []string{"plan.yaml:1: must be a mapping of keys to values"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files["plan.yaml"] = tt.plan
			dir := folder(t, files)
			_, err := gate.LoadPlan(filepath.Join(dir, "plan.yaml"))
			var problems gate.PlanError
			if !errors.As(err, &problems) {
				t.Fatalf("got %v", err)
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "")
			if want := strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestLoadPlanOfAMissingFile(t *testing.T) {
	_, err := gate.LoadPlan("nowhere/plan.yaml")
	if err == nil || err.Error() != "nowhere/plan.yaml: there is no such file; write the tracking plan, or name the file that has it" {
		t.Errorf("got %v", err)
	}
}

// judgePage tells the first violation of a page call with these properties.
func judgePage(t *testing.T, plan *gate.Plan, properties string) *event.Violation {
	t.Helper()
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website", Plan: plan})
	r := s.Judge(gate.Input{Claim: event.Claim(`{"type":"page","userId":"u","properties":` + properties + `}`)}, received)
	if r.Refusal == nil {
		return nil
	}
	return &r.Refusal.Violations[0]
}

func TestPlanFindsItsFiles(t *testing.T) {
	dir := folder(t, map[string]string{
		"plans/by-name.yaml":     `page: {schema: page.json}`,
		"plans/by-folder.yaml":   `page: {schema: parts/page.json}`,
		"plans/outside.yaml":     `page: {schema: ../shared/page.json}`,
		"plans/inline.yaml":      `page: {schema: {$ref: parts/page.json}}`,
		"plans/json.json":        "{\n\t\"page\": {\"schema\": {\"required\": [\"path\"]}},\n\t\"unplanned\": \"refuse\"\n}",
		"plans/draft7.yaml":      `page: {schema: {$schema: "http://json-schema.org/draft-07/schema#", properties: {path: {items: [{type: string}], additionalItems: false}}, required: [path]}}`,
		"plans/page.json":        `{"required": ["path"]}`,
		"plans/parts/page.json":  `{"$ref": "../page.json"}`,
		"shared/page.json":       `{"$ref": "common.json#/$defs/page"}`,
		"shared/common.json":     `{"$defs": {"page": {"required": ["path"]}}}`,
		"plans/not-outside.yaml": `page: {schema: {$ref: ../shared/page.json}}`,
	})
	for name, schema := range map[string]string{
		"by-name": "page.json#/required", "by-folder": "page.json#/required", "outside": "common.json#/$defs/page/required",
		"inline": "page.json#/required", "draft7": "draft7.yaml#/page/schema/required",
	} {
		plan, err := gate.LoadPlan(filepath.Join(dir, "plans", name+".yaml"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v := judgePage(t, plan, `{}`); v == nil || v.Code != event.CodePlan || v.Schema != schema {
			t.Errorf("%s: %+v", name, v)
		}
		if v := judgePage(t, plan, `{"path":["/"]}`); v != nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, err := gate.LoadPlan(filepath.Join(dir, "plans/not-outside.yaml")); err == nil {
		t.Error("a $ref left the plan's folder")
	}
	plan, err := gate.LoadPlan(filepath.Join(dir, "plans/json.json"))
	if err != nil {
		t.Fatal(err)
	}
	if v := judgePage(t, plan, `{}`); v == nil || v.Keyword != "required" {
		t.Errorf("a plan in JSON: %+v", v)
	}
}

func TestInlineSchemaKeepsNumbersAndWords(t *testing.T) {
	plan := loadPlan(t, `
page:
  schema:
    properties:
      big: {const: 9007199254740993}
      cents: {multipleOf: 0.01}
      hex: {const: 0x10}
      day: {const: 2026-11-24}
      word: {const: yes}
      truth: {const: true}
      nothing: {const: null}
      same: &same {type: string}
      also: *same
`)
	for properties, good := range map[string]bool{
		`{"big":9007199254740993}`: true, `{"big":9007199254740992}`: false,
		`{"cents":0.29}`: true, `{"cents":0.295}`: false,
		`{"hex":16}`: true, `{"day":"2026-11-24"}`: true, `{"word":"yes"}`: true, `{"word":true}`: false,
		`{"truth":true}`: true, `{"nothing":null}`: true, `{"nothing":0}`: false, `{"also":"x"}`: true, `{"also":1}`: false,
	} {
		if v := judgePage(t, plan, properties); (v == nil) != good {
			t.Errorf("%s: %+v", properties, v)
		}
	}
}
