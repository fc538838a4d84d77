package forwarder_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// The files of testdata are Customer.io's own descriptions of its APIs, without
// their prose and what no path of them refers to.

type api struct {
	Paths      map[string]map[string]json.RawMessage
	Webhooks   map[string]map[string]operation
	Components struct{ Schemas map[string]any }
}

type operation struct {
	Security    []any
	RequestBody struct {
		Content map[string]struct {
			Schema   any
			Example  any
			Examples map[string]struct{ Value any }
		}
	}
	Responses map[string]any
}

func readAPI(t *testing.T, file string) *api {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{}
	if err := json.Unmarshal(raw, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// sample is a value that a schema allows, with the places of what it requires.
type sample struct {
	value    any
	required [][]string
}

// samples returns a value for each of the alternatives of a schema, and the
// examples that it has.
func (a *api) samples(schema any) []sample {
	s, ok := schema.(map[string]any)
	if !ok {
		return []sample{{value: "x"}}
	}
	if ref, ok := s["$ref"].(string); ok {
		return a.samples(a.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")])
	}
	out := a.made(s)
	if example, ok := s["example"].(map[string]any); ok {
		out = append(out, sample{value: example})
	}
	return out
}

func (a *api) made(s map[string]any) []sample {
	for _, key := range []string{"oneOf", "anyOf"} {
		if list, ok := s[key].([]any); ok {
			var out []sample
			for _, alternative := range list {
				out = append(out, a.samples(alternative)...)
			}
			return out
		}
	}
	if list, ok := s["allOf"].([]any); ok {
		out := []sample{{value: map[string]any{}}}
		for _, part := range list {
			var next []sample
			for _, one := range out {
				for _, other := range a.samples(part) {
					next = append(next, merged(one, other))
				}
			}
			out = next
		}
		return out
	}
	if enum, ok := s["enum"].([]any); ok {
		return []sample{{value: enum[0]}}
	}
	if example, ok := s["example"]; ok && s["properties"] == nil {
		return []sample{{value: example}}
	}
	typ := s["type"]
	if list, ok := typ.([]any); ok {
		typ = list[0]
	}
	switch typ {
	case "integer", "number":
		return []sample{{value: 7}}
	case "boolean":
		return []sample{{value: true}}
	case "array":
		var out []sample
		for _, item := range a.samples(s["items"]) {
			one := sample{value: []any{item.value}}
			for _, at := range item.required {
				one.required = append(one.required, append([]string{"0"}, at...))
			}
			out = append(out, one)
		}
		return out
	case "string":
		return []sample{{value: "x"}}
	}
	return a.object(s)
}

// object makes objects of all the properties: one for the first choice of
// each, and one more for every other choice.
func (a *api) object(s map[string]any) []sample {
	properties, _ := s["properties"].(map[string]any)
	var required []string
	for _, name := range asList(s["required"]) {
		required = append(required, name.(string))
	}
	choices := map[string][]sample{}
	for name, p := range properties {
		choices[name] = a.samples(p)
	}
	build := func(chosen string, n int) sample {
		value := map[string]any{}
		out := sample{value: value}
		for name, c := range choices {
			pick := c[0]
			if name == chosen {
				pick = c[n]
			}
			value[name] = pick.value
			for _, at := range pick.required {
				out.required = append(out.required, append([]string{name}, at...))
			}
		}
		for _, name := range required {
			if value[name] == nil {
				value[name] = "x"
			}
			out.required = append(out.required, []string{name})
		}
		return out
	}
	out := []sample{build("", 0)}
	for _, name := range slices.Sorted(maps.Keys(choices)) {
		for n := 1; n < len(choices[name]); n++ {
			out = append(out, build(name, n))
		}
	}
	return out
}

func merged(a, b sample) sample {
	value := map[string]any{}
	maps.Copy(value, a.value.(map[string]any))
	if other, ok := b.value.(map[string]any); ok {
		maps.Copy(value, other)
	}
	return sample{value: value, required: slices.Concat(a.required, b.required)}
}

func asList(v any) []any { list, _ := v.([]any); return list }

// without returns a copy of a value that lacks what is at a place.
func without(v any, at []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		if len(at) == 1 {
			delete(out, at[0])
		} else if child, ok := out[at[0]]; ok {
			out[at[0]] = without(child, at[1:])
		}
		return out
	case []any:
		return []any{without(v[0], at[1:])}
	}
	return v
}

// calls returns the calls of the API that have a body, or need none.
func (a *api) calls(t *testing.T, f func(method, path string, o operation)) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(a.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(a.Paths[path])) {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(a.Paths[path][method], &o); err != nil {
				t.Fatal(err)
			}
			real := strings.NewReplacer("{identifier}", "a%2F%40b", "{device_id}", "d%3A1", "{delivery_id}", "RPIL%3D",
				"{form_id}", "7", "{segment_id}", "7").Replace(path)
			f(strings.ToUpper(method), real, o)
		}
	}
}

func (a *api) bodies(o operation) []sample {
	content, ok := o.RequestBody.Content["application/json"]
	if !ok {
		return []sample{{}}
	}
	out := a.samples(content.Schema)
	if content.Example != nil {
		out = append(out, sample{value: content.Example})
	}
	for _, example := range content.Examples {
		out = append(out, sample{value: example.Value})
	}
	return out
}

func bodyOf(t *testing.T, v any) string {
	t.Helper()
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryCallThatTheDescriptionAllowsIsTaken(t *testing.T) {
	a := readAPI(t, "track-api.json")
	count := 0
	a.calls(t, func(method, path string, o operation) {
		want := http.StatusOK
		if o.Responses["204"] != nil {
			want = http.StatusNoContent
		}
		for _, body := range a.bodies(o) {
			count++
			h := newHost()
			c := call{method: method, path: path, headers: basic, body: bodyOf(t, body.value)}
			got := c.do(newForwarder(h))
			answer := text(t, got)
			if got.StatusCode != want {
				t.Errorf("%s %s %s: answer %d %s", method, path, c.body, got.StatusCode, answer)
			}
			if events := h.events(); len(events) == 0 && method != http.MethodGet {
				t.Errorf("%s %s %s: no events", method, path, c.body)
			} else {
				for _, e := range events {
					demand(t, e)
				}
			}
			if got := newForwarder(newHost()); len(o.Security) > 0 {
				c.headers = nil
				if r := c.do(got); r.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s %s without credentials: answer %d", method, path, r.StatusCode)
				}
			}
		}
	})
	if count < 60 {
		t.Errorf("only %d calls", count)
	}
}

// optional lists what the description requires though a call without it is
// another that it allows, by the method, the path and the place.
var optional = map[string]bool{
	"POST /api/v1/customers/a%2F%40b/events type": true, // of a page: without it, it is an event
	"POST /api/v1/events type":                    true,
	// Of a screen; the path names the person.
	"POST /api/v1/customers/a%2F%40b/events anonymous_id": true,
}

func TestEveryRequiredFieldIsRequired(t *testing.T) {
	a := readAPI(t, "track-api.json")
	count := 0
	a.calls(t, func(method, path string, o operation) {
		for _, body := range a.bodies(o) {
			for _, at := range body.required {
				place := fmt.Sprintf("%s %s %s", method, path, strings.Join(at, "."))
				if optional[place] {
					continue
				}
				count++
				h := newHost()
				c := call{method: method, path: path, headers: basic, body: bodyOf(t, without(body.value, at))}
				got := c.do(newForwarder(h))
				answer := text(t, got)
				want := 400
				if strings.HasSuffix(path, "/batch") {
					want = 207
				}
				if got.StatusCode != want || !documented(answer, got.StatusCode, path) || len(h.events()) > 0 {
					t.Errorf("%s missing in %s: answer %d %s", place, c.body, got.StatusCode, answer)
				}
			}
		}
	})
	if count < 100 {
		t.Errorf("only %d calls", count)
	}
}

// documented reports whether an error has the form of its endpoint.
func documented(answer string, status int, path string) bool {
	var v1 struct {
		Meta struct {
			Error  string
			Errors []string
		}
	}
	var v2 struct {
		Errors []struct {
			Index           *int `json:"batch_index"`
			Reason, Message string
		}
	}
	if !strings.HasPrefix(path, "/api/v2/") {
		return json.Unmarshal([]byte(answer), &v1) == nil && v1.Meta.Error != "" && len(v1.Meta.Errors) == 1
	}
	return json.Unmarshal([]byte(answer), &v2) == nil && len(v2.Errors) == 1 && v2.Errors[0].Reason != "" && v2.Errors[0].Message != "" &&
		(status == 207) == (v2.Errors[0].Index != nil)
}

func TestEveryWebhookThatTheDescriptionAllowsIsTaken(t *testing.T) {
	a := readAPI(t, "reporting-webhooks.json")
	names := map[string]bool{}
	for _, body := range a.bodies(a.Webhooks["reportingWebhook"]["post"]) {
		h := newHost()
		got := signed(h, bodyOf(t, body.value)).do(newForwarder(h))
		if got.StatusCode != 200 || len(h.events()) != 1 {
			t.Fatalf("answer %d %s", got.StatusCode, text(t, got))
		}
		demand(t, h.events()[0])
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(h.events()[0]), &e); err != nil {
			t.Fatal(err)
		}
		names[e.Event] = true
	}
	for what, words := range map[string]string{
		"Email":    "Drafted,Attempted,Sent,Delivered,Opened,Link Clicked,Converted,Unsubscribed,Bounced,Suppressed,Marked as Spam,Failed,Undeliverable",
		"Push":     "Attempted,Sent,Delivered,Opened,Link Clicked,Converted,Bounced,Suppressed,Failed,Undeliverable",
		"SMS":      "Drafted,Attempted,Sent,Delivered,Link Clicked,Converted,Bounced,Failed,Undeliverable,Replied",
		"In-App":   "Drafted,Attempted,Sent,Opened,Clicked,Converted,Failed,Undeliverable",
		"Slack":    "Drafted,Attempted,Sent,Link Clicked,Failed,Undeliverable",
		"Webhook":  "Drafted,Attempted,Sent,Link Clicked,Failed,Undeliverable",
		"WhatsApp": "Drafted,Attempted,Sent,Delivered,Opened,Link Clicked,Converted,Bounced,Suppressed,Failed,Undeliverable,Replied",
		"":         "Subscribed,Unsubscribed,Subscription Preferences Changed",
	} {
		for _, word := range strings.Split(words, ",") {
			name := strings.TrimSpace(what + " " + word)
			if !names[name] {
				t.Errorf("no webhook became %q", name)
			}
			delete(names, name)
		}
	}
	for name := range names {
		t.Errorf("a webhook became %q", name)
	}
}
