package schema_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/schemas"
)

// files are what the schemas of these tests may refer to.
var files = fstest.MapFS{
	"money.json":      {Data: []byte(`{"$defs": {"amount": {"type": "number", "minimum": 0}}}`)},
	"deep/order.json": {Data: []byte(`{"properties": {"total": {"$ref": "../money.json#/$defs/amount"}}}`)},
	"typo.json":       {Data: []byte(`{"type": "strin"}`)},
	"syntax.json":     {Data: []byte("{\n\"type\": ,\n}")},
	"with space.json": {Data: []byte(`{"$ref": "money.json#/$defs/amount"}`)},
	"away.json":       {Data: []byte(`{"items": {"$ref": "https://example.com/x.json"}}`)},
}

func compile(t *testing.T, text string) *schema.Schema {
	t.Helper()
	s, err := schema.Compile("order.json", []byte(text), files)
	if err != nil {
		t.Fatalf("compile %s: %v", text, err)
	}
	return s
}

func check(t *testing.T, s *schema.Schema, doc string) []event.Violation {
	t.Helper()
	found, err := s.CheckJSON([]byte(doc))
	if err != nil {
		t.Fatalf("decode %s: %v", doc, err)
	}
	return found
}

func TestCheckTellsEveryLeaf(t *testing.T) {
	s := compile(t, `{
		"type": "object",
		"required": ["id", "total"],
		"properties": {
			"total": {"$ref": "money.json#/$defs/amount"},
			"a/b~c": {"pattern": "^x"},
			"gone": false
		},
		"additionalProperties": false
	}`)
	got := check(t, s, `{"total": -1, "a/b~c": "y", "gone": 1, "zeta": 1, "al'pha": 2}`)
	want := []event.Violation{
		{Keyword: "additionalProperties", Schema: "order.json#/additionalProperties", Message: `members that the schema does not know: 'al\'pha', 'zeta'`},
		{Keyword: "required", Schema: "order.json#/required", Message: "missing properties: 'id'"},
		{Path: "/a~1b~0c", Keyword: "pattern", Schema: "order.json#/properties/a~1b~0c/pattern", Message: "does not match pattern '^x'"},
		{Path: "/gone", Keyword: "properties", Schema: "order.json#/properties/gone", Message: "must not be there"},
		{Path: "/total", Keyword: "minimum", Schema: "money.json#/$defs/amount/minimum", Message: "must be >= 0 but found -1"},
	}
	for i := range want {
		want[i].Code = event.CodeSchema
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCheckIsTheSameEveryTime(t *testing.T) {
	s := compile(t, `{"additionalProperties": {"type": "string"}, "required": ["x", "y"], "anyOf": [{"required": ["p"]}, {"required": ["q"]}]}`)
	doc := `{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}`
	first := check(t, s, doc)
	for range 50 {
		if again := check(t, s, doc); !reflect.DeepEqual(first, again) {
			t.Fatalf("once %+v\nthen %+v", first, again)
		}
	}
}

// TestMessages says what a violation reads like: path, keyword and message.
func TestMessages(t *testing.T) {
	const kinds = `{"oneOf": [
		{"properties": {"kind": {"const": "card"}}, "required": ["number"]},
		{"properties": {"kind": {"const": "cash"}}, "required": ["amount"]}
	]}`
	tests := []struct {
		name, schema, doc string
		want              []string
	}{
		{"types that differ only by branch are one message", `{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `1`,
			[]string{" anyOf: expected string or null, but got number"}},
		{"the branch that is meant complains", kinds, `{"kind": "card"}`,
			[]string{" required: missing properties: 'number'"}},
		{"no branch is meant", kinds, `{"kind": "wire"}`,
			[]string{`/kind oneOf: value must be one of "card", "cash"`}},
		{"branches without likeness", `{"anyOf": [{"minimum": 5}, {"type": "object"}, {"multipleOf": 2}]}`, `1`,
			[]string{" anyOf: fits none of the alternatives: (1) must be >= 5 but found 1; (2) expected object, but got number; (3) 1 not multipleOf 2"}},
		{"a branch with several complaints", `{"anyOf": [{"properties": {"a": {"minimum": 5}, "b": {"minimum": 5}}}, {"required": ["c"]}]}`, `{"a": 1, "b": 1}`,
			[]string{" anyOf: fits none of the alternatives: (1) /a: must be >= 5 but found 1 and 1 more; (2) missing properties: 'c'"}},
		{"too many branches fit", `{"oneOf": [{"type": "number"}, {"minimum": 0}]}`, `1`,
			[]string{" oneOf: valid against schemas at indexes 0 and 1"}},
		{"not", `{"not": {"type": "string"}}`, `"x"`, []string{" not: fits the schema that it must not fit"}},
		{"contains", `{"contains": {"type": "string"}}`, `[1, 2]`,
			[]string{" minContains: the number of items that fit contains must be >= 1, but got 0"}},
		{"dependentRequired", `{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`,
			[]string{" dependentRequired: property 'b' is required, if 'a' property exists"}},
		{"unevaluatedProperties", `{"properties": {"a": true}, "unevaluatedProperties": false}`, `{"a": 1, "b": 1}`,
			[]string{"/b unevaluatedProperties: must not be there"}},
		{"a property called properties", `{"properties": {"properties": {"type": "string"}}}`, `{"properties": 1}`,
			[]string{"/properties type: expected string, but got number"}},
		{"a property called dependencies", `{"properties": {"dependencies": {"items": {"type": "string"}}}}`, `{"dependencies": [1]}`,
			[]string{"/dependencies/0 type: expected string, but got number"}},
		{"percent in a name stays", `{"properties": {"50%": {"type": "string"}}}`, `{"50%": 1}`,
			[]string{"/50% type: expected string, but got number"}},
		{"then", `{"if": {"required": ["a"]}, "then": {"required": ["b"]}}`, `{"a": 1}`,
			[]string{" required: missing properties: 'b'"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range check(t, compile(t, tt.schema), tt.doc) {
				got = append(got, v.Path+" "+v.Keyword+": "+v.Message)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestFormatsAreAsserted(t *testing.T) {
	for format, bad := range map[string]string{
		"date-time": "2026-11-24 05:39", "date": "2026-02-30", "time": "25:00:00Z", "email": "ann", "hostname": "-x",
		"ipv4": "256.1.1.1", "ipv6": "::g", "uri": "no scheme", "uuid": "123", "regex": "(", "json-pointer": "x",
		"duration": "1d", "timestamp": "yesterday",
	} {
		for _, draft := range []string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"} {
			s := compile(t, fmt.Sprintf(`{"$schema": %q, "format": %q}`, draft, format))
			doc := fmt.Sprintf("%q", bad)
			if found := check(t, s, doc); len(found) != 1 || found[0].Keyword != "format" {
				t.Errorf("%s: format %s of %s: %+v", draft, format, doc, found)
			}
			if found := check(t, s, "5"); found != nil {
				t.Errorf("format %s of a number: %+v", format, found)
			}
		}
	}
}

func TestDraft7IsUnderstoodWhereItIsNamed(t *testing.T) {
	const tuple = `"items": [{"type": "string"}], "additionalItems": false`
	for _, id := range []string{"http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema#"} {
		s := compile(t, fmt.Sprintf(`{"$schema": %q, %s}`, id, tuple))
		if found := check(t, s, `["a", 1]`); len(found) != 1 {
			t.Errorf("%s: %+v", id, found)
		}
	}
	if _, err := schema.Compile("order.json", []byte("{"+tuple+"}"), nil); err == nil {
		t.Error("draft 2020-12 took items as a list")
	}
}

func TestNumbersAreExact(t *testing.T) {
	s := compile(t, `{"maximum": 9007199254740992, "multipleOf": 0.01}`)
	if found := check(t, s, `9007199254740993`); len(found) != 1 || found[0].Keyword != "maximum" {
		t.Errorf("2^53+1: %+v", found)
	}
	if found := check(t, s, `0.29`); found != nil { // not a multiple as a double
		t.Errorf("0.29: %+v", found)
	}
}

func TestViolationsAreBounded(t *testing.T) {
	s := compile(t, `{"items": {"type": "string"}}`)
	found := check(t, s, "["+strings.Repeat("1,", 1999)+"1]")
	if len(found) != 1000 {
		t.Fatalf("%d violations", len(found))
	}
	if last := found[999].Message; last != "and 1001 more violations" {
		t.Errorf("the last one: %s", last)
	}
	if exact := check(t, s, "["+strings.Repeat("1,", 999)+"1]"); len(exact) != 1000 || exact[999].Keyword != "type" {
		t.Errorf("1000 violations: %d, the last %+v", len(exact), exact[len(exact)-1])
	}
}

func TestMessagesAreBounded(t *testing.T) {
	s := compile(t, `{"format": "email", "additionalProperties": false}`)
	for _, doc := range []string{`"` + strings.Repeat("é", 5000) + `"`, `{"` + strings.Repeat("é", 5000) + `": 1}`} {
		message := check(t, s, doc)[0].Message
		if len(message) > 512 || !utf8.ValidString(message) || !strings.HasSuffix(message, "…") {
			t.Errorf("%d bytes: %q", len(message), message)
		}
	}
}

func TestPathsAreBounded(t *testing.T) {
	s := compile(t, `{"additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}, "type": ["object", "array"]}`)
	name := strings.Repeat("n", 400)
	for doc, want := range map[string]string{
		`{"` + name + `": {"` + name + `": {"` + name + `": 1}}}`: "/" + name + "/" + name,
		`{"` + strings.Repeat("n", 2000) + `": [1]}`:              "",
	} {
		if found := check(t, s, doc); len(found) != 1 || found[0].Path != want {
			t.Errorf("%s: %+v", doc, found)
		}
	}
}

func TestCompileTellsAllProblemsWithTheirPlace(t *testing.T) {
	tests := []struct {
		name, schema string
		want         []string
	}{
		{"values of keywords", `{"properties": {"a": {"minimum": "0"}}, "required": "a"}`, []string{
			"order.json#/properties/a/minimum: expected number, but got string",
			"order.json#/required: expected array, but got string"}},
		{"not JSON", "{\n\n\"type\" 1}", []string{"order.json: not JSON: line 3: invalid character '1' after object key"}},
		{"cut off", `{"type"`, []string{"order.json: not JSON: the value ends too early"}},
		{"more than one value", `{} {}`, []string{"order.json: not JSON: there is more after the value"}},
		{"look-around", `{"pattern": "(?!x)"}`, []string{
			"order.json#/pattern: error parsing regexp: invalid or unsupported Perl syntax: `(?!`; regular expressions are those of RE2, without look-around and back references"}},
		{"a name that is no regular expression", `{"patternProperties": {"(": {}}}`, []string{
			"order.json#/patternProperties/(: error parsing regexp: missing closing ): `(`; regular expressions are those of RE2, without look-around and back references"}},
		{"unknown draft", `{"$schema": "http://json-schema.org/draft-04/schema#"}`, []string{
			"order.json#/$schema: http://json-schema.org/draft-04/schema# is not supported; use https://json-schema.org/draft/2020-12/schema (or leave it out) or http://json-schema.org/draft-07/schema#"}},
		{"draft that is no text", `{"$schema": 7}`, []string{
			"order.json#/$schema: 7 is not supported; use https://json-schema.org/draft/2020-12/schema (or leave it out) or http://json-schema.org/draft-07/schema#"}},
		{"no such definition", `{"items": {"$ref": "#/$defs/x"}, "not": {"$ref": "#/$defs/x"}}`, []string{
			"order.json#/items/$ref: $ref #/$defs/x: there is no such place",
			"order.json#/not/$ref: $ref #/$defs/x: there is no such place"}},
		{"no such definition in another file", `{"$ref": "money.json#/$defs/x"}`, []string{
			"order.json#/$ref: $ref money.json#/$defs/x: there is no such place"}},
		{"no such file", `{"$ref": "x.json"}`, []string{"order.json#/$ref: $ref x.json: open x.json: file does not exist"}},
		{"out of the folder", `{"$ref": "../x.json"}`, []string{
			"order.json#/$ref: $ref ../x.json: it leaves the folder that the schema may read"}},
		{"out of the folder by a full path", `{"$ref": "file:///etc/passwd"}`, []string{
			"order.json#/$ref: $ref file:///etc/passwd: it leaves the folder that the schema may read"}},
		{"the network", `{"$ref": "https://example.com/x.json#/$defs/y"}`, []string{
			"order.json#/$ref: $ref https://example.com/x.json#/$defs/y: nothing is read from the network; save it as a file and refer to that"}},
		{"the network, from a file", `{"$ref": "away.json"}`, []string{
			"away.json#/items/$ref: $ref https://example.com/x.json: nothing is read from the network; save it as a file and refer to that"}},
		{"a published schema that is none", `{"$ref": "https://wellhead.io/schemas/x.json"}`, []string{
			"order.json#/$ref: $ref https://wellhead.io/schemas/x.json: nothing is read from the network; save it as a file and refer to that"}},
		{"a file that is no schema", `{"$ref": "typo.json"}`, []string{
			`typo.json#/type: fits none of the alternatives: (1) value must be one of "array", "boolean", "integer", "null", "number", "object", "string"; (2) expected array, but got string`}},
		{"a file that is not JSON", `{"$ref": "syntax.json"}`, []string{
			"syntax.json: not JSON: line 2: invalid character ',' looking for beginning of value"}},
		{"several references beside other faults", `{"items": {"$ref": "#/$defs/x"}, "minimum": "0", "not": {"$ref": "x.json"}, "contains": {"$ref": "typo.json#/$defs/y"}}`, []string{
			"order.json#/minimum: expected number, but got string",
			"order.json#/contains/$ref: $ref typo.json#/$defs/y: there is no such place",
			"order.json#/items/$ref: $ref #/$defs/x: there is no such place",
			"order.json#/not/$ref: $ref x.json: open x.json: file does not exist",
			"typo.json#/type: fits none of the alternatives: (1) value must be one of \"array\", \"boolean\", \"integer\", \"null\", \"number\", \"object\", \"string\"; (2) expected array, but got string"}},
		{"several references", `{"$id": "https://example.com/s/order.json", "items": {"$ref": "#/$defs/x"}, "not": {"$ref": "y.json"}, "contains": {"$ref": "#/not"}}`, []string{
			"order.json#/not/$ref: $ref y.json: open y.json: file does not exist", // the one that the library tells
			"order.json#/items/$ref: $ref #/$defs/x: there is no such place"}},
		{"a circle", `{"$ref": "#"}`, []string{"order.json: infinite loop order.json#/$ref"}},
		{"a keyword that trips the library", `{"regexProperties": 1}`, []string{
			"order.json: the schema cannot be compiled: interface conversion: interface {} is json.Number, not bool"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schema.Compile("order.json", []byte(tt.schema), files)
			var problems schema.Error
			if !errors.As(err, &problems) {
				t.Fatalf("got %v", err)
			}
			if got := strings.Split(err.Error(), "\n"); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestReferencesFindFiles(t *testing.T) {
	const wrong = `{"total": -1}`
	for _, text := range []string{
		`{"properties": {"total": {"$ref": "money.json#/$defs/amount"}}}`,
		`{"$ref": "deep/order.json"}`,
		`{"properties": {"total": {"$ref": "with%20space.json"}}}`,
		`{"properties": {"total": {"$ref": "with space.json"}}}`,
		`{"$id": "https://example.com/s/order.json", "properties": {"total": {"$ref": "money.json#/$defs/amount"}}}`,
		`{"$id": "https://example.com/s/order.json", "$ref": "https://example.com/s/deep/order.json"}`,
	} {
		found := check(t, compile(t, text), wrong)
		if len(found) != 1 || found[0].Schema != "money.json#/$defs/amount/minimum" {
			t.Errorf("%s: %+v", text, found)
		}
	}
}

func TestPartOfAFileIsNamedByItsPlace(t *testing.T) {
	s, err := schema.Compile("plan.yaml#/events/Order Completed/schema",
		[]byte(`{"properties": {"total": {"$ref": "money.json#/$defs/amount"}, "at": {"$ref": "#/$defs/day"}}, "$defs": {"day": {"type": "string"}}}`), files)
	if err != nil {
		t.Fatal(err)
	}
	found := check(t, s, `{"at": 1, "total": -1}`)
	if len(found) != 2 || found[0].Schema != "plan.yaml#/events/Order Completed/schema/$defs/day/type" || found[1].Schema != "money.json#/$defs/amount/minimum" {
		t.Errorf("%+v", found)
	}
}

func TestReferencesDoNotFollowLinksOutOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.json"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	plans := filepath.Join(dir, "plans")
	if err := os.Mkdir(plans, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret.json", filepath.Join(plans, "link.json")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(plans)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, err := schema.Compile("x.json", []byte(`{"$ref": "link.json"}`), root.FS()); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutFilesOnlyPublishedSchemasCanBeReferredTo(t *testing.T) {
	_, err := schema.Compile("config schema of salesforce", []byte(`{"$ref": "money.json"}`), nil)
	if err == nil || !strings.Contains(err.Error(), "put the definition under $defs") {
		t.Errorf("got %v", err)
	}
	s, err := schema.Compile("x", []byte(`{"$ref": "https://wellhead.io/schemas/common.v1.schema.json#/$defs/timestamp"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if found := check(t, s, `"never"`); len(found) != 1 || found[0].Schema != "common.v1.schema.json#/$defs/timestamp/format" {
		t.Errorf("%+v", found)
	}
}

func TestPublishedSchemasCompileUnderTheirOwnNames(t *testing.T) {
	names, err := schemas.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := schema.Published(name.Name()); err != nil {
			t.Errorf("%s: %v", name.Name(), err)
		}
		raw, _ := schemas.FS.ReadFile(name.Name())
		if id := `"$id": "https://wellhead.io/schemas/` + name.Name() + `"`; !strings.Contains(string(raw), id) {
			t.Errorf("%s: no %s", name.Name(), id)
		}
	}
	if _, err := schema.Published("x.json"); err == nil {
		t.Error("x.json is published")
	}
}

func TestBooleanSchemas(t *testing.T) {
	if found := check(t, compile(t, `true`), `1`); found != nil {
		t.Errorf("true: %+v", found)
	}
	if found := check(t, compile(t, `false`), `1`); len(found) != 1 || found[0].Message != "must not be there" {
		t.Errorf("false: %+v", found)
	}
}
