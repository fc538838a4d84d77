package config_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// The schema that editors use and the structs that Load fills are two
// descriptions of one file.
func TestSchemaAndStructsHaveTheSameKeys(t *testing.T) {
	root := readSchema(t)
	inStep{t, root}.compare("", root, reflect.TypeFor[config.Config]())
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("../../../schemas/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

type inStep struct {
	t    *testing.T
	root map[string]any
}

// compare walks a schema and the Go type that it should describe.
func (s inStep) compare(path string, schema map[string]any, typ reflect.Type) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = s.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	if values, ok := reflect.Zero(typ).Interface().(interface{ Values() []string }); ok {
		if got := texts(schema["enum"]); !slices.Equal(got, values.Values()) {
			s.t.Errorf("%s: the schema has the values %v, the type %v", path, got, values.Values())
		}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		s.compare(path, schema, typ.Elem())
	case reflect.Struct:
		s.keys(path, schema, typ)
	}
}

func (s inStep) keys(path string, schema map[string]any, typ reflect.Type) {
	want := map[string]reflect.StructField{}
	closed := true
	for i := range typ.NumField() {
		tag, ok := typ.Field(i).Tag.Lookup("yaml")
		name, _, _ := strings.Cut(tag, ",")
		if typ.Field(i).Tag.Get("config") == "rest" {
			closed = false
		} else if ok {
			want[name] = typ.Field(i)
		}
	}
	if len(want) == 0 { // a scalar, such as Rate
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	if got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		s.t.Errorf("%s: the schema has the keys %v, the struct %v", path, got, want)
	}
	if additional, given := schema["additionalProperties"]; closed != (given && additional == false) {
		s.t.Errorf("%s: additionalProperties is %v", path, additional)
	}
	for name, f := range want {
		property, _ := properties[name].(map[string]any)
		if text, _ := property["description"].(string); text == "" {
			s.t.Errorf("%s.%s: the schema has no description, which editors show", path, name)
		}
		entries, mapped := property["additionalProperties"].(map[string]any)
		if mapped && f.Type.Kind() == reflect.Slice {
			s.compare(path+"."+name+".*", entries, f.Type.Elem())
			continue
		}
		s.compare(path+"."+name, property, f.Type)
	}
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, item := range list {
		out = append(out, item.(string))
	}
	return out
}

func TestSchemaNamesTheDefaultsThatHold(t *testing.T) {
	c := parse(t, `{plugins: {p: }, sources: {s: {plugin: p}}, destinations: {d: {type: file}}}`)
	c.DataDir = "data" // it is made absolute
	rendered, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	var holds map[string]any
	if err := yaml.Unmarshal(rendered, &holds); err != nil {
		t.Fatal(err)
	}
	root := readSchema(t)
	checked := compareDefaults(t, root["properties"].(map[string]any), holds)
	for entry, key := range map[string]string{"plugin": "plugins", "source": "sources", "destination": "destinations"} {
		schema := root["$defs"].(map[string]any)[entry].(map[string]any)
		for _, values := range holds[key].(map[string]any) {
			checked += compareDefaults(t, schema["properties"].(map[string]any), values.(map[string]any))
		}
	}
	if checked < 15 {
		t.Errorf("compared %d defaults only", checked)
	}
}

func compareDefaults(t *testing.T, properties, holds map[string]any) (checked int) {
	for name, p := range properties {
		property := p.(map[string]any)
		if nested, ok := property["properties"].(map[string]any); ok && holds[name] != nil {
			checked += compareDefaults(t, nested, holds[name].(map[string]any))
		}
		want, ok := property["default"]
		if n, isNumber := want.(float64); isNumber {
			want = int(n)
		}
		if ok && want != holds[name] {
			t.Errorf("%s: the schema's default is %v, what holds is %v", name, want, holds[name])
		}
		if ok {
			checked++
		}
	}
	return checked
}
