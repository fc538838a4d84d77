package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/destination/customerio"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
	"github.com/wellhead-io/wellhead/host/internal/destination/journeys"
	"github.com/wellhead-io/wellhead/host/internal/destination/webhook"
	"github.com/wellhead-io/wellhead/schemas"
)

// The schema that editors use and the structs of the rooms are two descriptions of
// a destination's own keys.
func TestDestinationsHaveTheKeysThatTheSchemaSays(t *testing.T) {
	configs := map[string]any{"customerio": &customerio.Config{}, "file": &file.Config{}, "journeys": &journeys.Config{}, "webhook": &webhook.Config{}}
	raw, err := schemas.FS.ReadFile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Defs map[string]property `json:"$defs"`
	}
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	var known []string
	for name := range root.Defs {
		if kind, ok := strings.CutPrefix(name, "destination_"); ok {
			known = append(known, kind)
		}
	}
	slices.Sort(known)
	for what, names := range map[string][]string{
		"kinds": slices.Sorted(maps.Keys(kinds)), "configs": slices.Sorted(maps.Keys(configs)), "examples": root.Defs["destination"].Properties["type"].Examples,
	} {
		if !slices.Equal(names, known) {
			t.Errorf("%s are %v, the schema describes %v", what, names, known)
		}
	}
	for kind, c := range configs {
		if d, ok := c.(interface{ Default() }); ok {
			d.Default()
		}
		compareKeys(t, kind, root.Defs["destination_"+kind], reflect.ValueOf(c).Elem())
	}
}

type property struct {
	Description string              `json:"description"`
	Properties  map[string]property `json:"properties"`
	Enum        []string            `json:"enum"`
	Examples    []string            `json:"examples"`
	Default     any                 `json:"default"`
}

// compareKeys walks a schema and the config with its defaults.
func compareKeys(t *testing.T, path string, schema property, v reflect.Value) {
	t.Helper()
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		fields[name] = v.Field(i)
	}
	if got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
		t.Errorf("%s: the schema has the keys %v, the struct %v", path, got, want)
		return
	}
	for name, p := range schema.Properties {
		field, path := fields[name], path+"."+name
		if p.Description == "" {
			t.Errorf("%s: the schema has no description, which editors show", path)
		}
		if v, ok := field.Interface().(interface{ Values() []string }); ok && !slices.Equal(p.Enum, v.Values()) {
			t.Errorf("%s: the schema has the values %v, the type %v", path, p.Enum, v.Values())
		}
		if p.Properties != nil {
			compareKeys(t, path, p, field)
			continue
		}
		if holds := fmt.Sprint(field.Interface()); p.Default == nil && !field.IsZero() || p.Default != nil && holds != fmt.Sprint(p.Default) {
			t.Errorf("%s: the schema's default is %v, what holds is %s", path, p.Default, holds)
		}
	}
}
