package fast_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// random makes schemas, and documents that mostly suit them.
type random struct{ *rand.Rand }

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r random, all ...T) T { return all[r.IntN(len(all))] }

// someNames are close to each other where a program may mistake one for
// another: in hash, in length, in how they are written.
var someNames = []string{
	"a", "b", "ab", "type", "name", "order_id", "order_ix", "property_name_1_of_many", "property_name_2_of_many", "", "é", `q"x`, "a b", "x-y",
}

var somePatterns = []string{"^[A-Z]{3}$", "^a", "b$", "^.{2,5}$", "^property", `^\S+$`, "é", "^$"}

var someFormats = []string{
	"date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "timestamp", "uri-reference", "regex", "unknown",
}

var someTexts = []string{
	"", "a", "ab", "track", "ABC", "USD", "é", "日本語", "hello world", "line\nbreak", `quo"te`, "\U0001f600", strings.Repeat("long ", 9),
	"2026-11-24T05:39:42.123Z", "2026-11-24T05:39:42+01:00", "2024-02-29", "2023-02-29T10:00:00Z", "2026-11-24 05:39", "2016-12-31T23:59:60Z", "10:00:00Z",
	"someone@example.com", "a..b@example.com", "a@b", "https://example.com/a?b=c#d", "http://x:80", "https://%zz", "mailto:a@b.c", "/relative",
	"50314b8e-9bcf-4d7c-b6a5-948372615049", "203.0.113.42", "256.1.1.1", "01.2.3.4", "::1", "example.com", "-bad.example", "a-.b", "[a-z]+", "[",
}

var someNumbers = []string{
	"0", "-0", "1", "-1", "2", "3", "10", "1.0", "1.5", "0.1", "-0.5", "100", "1e2", "1E-2", "15e-1", "2.50e1", "0e5", "0.0", "9007199254740993",
	"18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "1e19", "1e20", "1e-19", "0.00000000000000000001", "1e300",
}

// schema makes a schema of at most some levels.
func (r random) schema(depth int) any {
	switch n := r.IntN(100); {
	case n < 3:
		return true
	case n < 5:
		return false
	case n < 12:
		return map[string]any{"$ref": "#/$defs/" + pick(r, "x", "y")}
	case n < 15:
		return map[string]any{}
	}
	s := make(map[string]any)
	for range 1 + r.IntN(3) {
		r.keyword(s, depth)
	}
	return s
}

func (r random) keyword(s map[string]any, depth int) {
	n := r.IntN(14)
	if depth <= 0 {
		n = r.IntN(6)
	}
	switch n {
	case 0:
		s["type"] = pick[any](r, "object", "object", "array", "string", "number", "integer", "null", "boolean", []any{"string", "null"}, []any{"integer", "array", "object"})
	case 1:
		s["enum"] = r.values(1 + r.IntN(12))
	case 2:
		s["const"] = r.values(1)[0]
	case 3:
		r.textKeyword(s)
	case 4:
		s[pick(r, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")] = json.Number(pick(r, someNumbers...))
		if r.chance(30) {
			s["multipleOf"] = json.Number(pick(r, "1", "2", "0.1", "0.01", "1.5", "3e-5", "7", "1e3"))
		}
	case 5:
		s[pick(r, "minItems", "minProperties")] = r.IntN(3)
		s[pick(r, "maxItems", "maxProperties")] = 1 + r.IntN(4)
	case 6, 7, 8:
		r.objectKeywords(s, depth)
	case 9:
		r.arrayKeywords(s, depth)
	case 10:
		s[pick(r, "allOf", "anyOf", "anyOf", "oneOf", "oneOf")] = r.schemas(1+r.IntN(3), depth-1)
	case 11:
		s["not"] = r.schema(depth - 1)
	case 12:
		s["if"] = r.schema(depth - 1)
		s[pick(r, "then", "else")] = r.schema(depth - 1)
		s[pick(r, "then", "else")] = r.schema(depth - 1)
	case 13:
		s["$ref"] = "#/$defs/" + pick(r, "x", "y")
	}
}

func (r random) textKeyword(s map[string]any) {
	switch r.IntN(4) {
	case 0:
		s["minLength"] = r.IntN(4)
	case 1:
		s["maxLength"] = r.IntN(10)
	case 2:
		s["pattern"] = pick(r, somePatterns...)
	case 3:
		s["format"] = pick(r, someFormats...)
	}
}

func (r random) objectKeywords(s map[string]any, depth int) {
	if r.chance(80) {
		properties := make(map[string]any)
		for range 1 + r.IntN(5) {
			properties[pick(r, someNames...)] = r.schema(depth - 1)
		}
		s["properties"] = properties
	}
	if r.chance(50) {
		s["required"] = r.names(1 + r.IntN(3))
	}
	if r.chance(25) {
		s["additionalProperties"] = r.schema(depth - 1)
	}
	if r.chance(20) {
		patterns := make(map[string]any)
		for range 1 + r.IntN(2) {
			patterns[pick(r, somePatterns...)] = r.schema(depth - 1)
		}
		s["patternProperties"] = patterns
	}
	if r.chance(10) {
		s["propertyNames"] = r.schema(0)
	}
	switch r.IntN(20) {
	case 0:
		s["dependentRequired"] = map[string]any{pick(r, someNames...): r.names(1)}
	case 1:
		s["dependentSchemas"] = map[string]any{pick(r, someNames...): r.schema(depth - 1)}
	case 2:
		s["dependencies"] = map[string]any{pick(r, someNames...): pick[any](r, r.names(2), r.schema(depth-1))}
	case 3:
		s["unevaluatedProperties"] = r.schema(0)
	}
}

func (r random) arrayKeywords(s map[string]any, depth int) {
	if r.chance(60) {
		s["items"] = r.schema(depth - 1)
	}
	if r.chance(30) {
		s["prefixItems"] = r.schemas(1+r.IntN(3), depth-1)
	}
	if r.chance(20) { // of draft 7
		s["items"] = r.schemas(1+r.IntN(3), depth-1)
		s["additionalItems"] = r.schema(depth - 1)
	}
	if r.chance(30) {
		s["uniqueItems"] = r.chance(90)
	}
	switch r.IntN(10) {
	case 0:
		s["contains"] = r.schema(0)
	case 1:
		s["unevaluatedItems"] = r.schema(0)
	}
}

func (r random) schemas(n, depth int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = r.schema(depth)
	}
	return all
}

// names picks different names.
func (r random) names(n int) []any {
	var all []any
	for _, i := range r.Perm(len(someNames))[:n] {
		all = append(all, someNames[i])
	}
	return all
}

// values makes different values for enum and const.
func (r random) values(n int) []any {
	var all []any
	seen := make(map[string]bool)
	for len(all) < n {
		var v any
		switch r.IntN(12) {
		case 0:
			v = nil
		case 1:
			v = r.chance(50)
		case 2, 3, 4:
			v = json.Number(pick(r, someNumbers...))
		case 5:
			v = []any{json.Number("1")}
		case 6:
			v = map[string]any{"a": json.Number("1.0")}
		default:
			v = pick(r, someTexts...)
		}
		if key := fmt.Sprint(v); !seen[key] {
			seen[key] = true
			all = append(all, v)
		}
	}
	return all
}

// document is a text that is being made for a schema.
type document struct {
	random
	bytes.Buffer
	defs  map[string]any
	clean bool // nothing is made wrong on purpose
}

// wish is what a value should be, as far as that can be taken from schemas.
type wish struct {
	types   []string
	values  []any
	members map[string][]any
	names   []string
	must    []string
	more    []any
	items   []any
	first   map[int][]any
	numbers []string
	some    int // items or members
}

// want adds a schema to a wish, choosing among alternatives.
func (d *document) want(w *wish, schema any, depth int) {
	s, ok := schema.(map[string]any)
	if !ok || depth > 12 {
		return
	}
	if ref, ok := s["$ref"].(string); ok {
		d.want(w, d.defs[ref[strings.LastIndexByte(ref, '/')+1:]], depth+1)
	}
	switch t := s["type"].(type) {
	case string:
		w.types = append(w.types, t)
	case []any:
		w.types = append(w.types, pick(d.random, t...).(string))
	}
	if e, ok := s["enum"].([]any); ok {
		w.values = append(w.values, e...)
	}
	if c, ok := s["const"]; ok {
		w.values = append(w.values, c)
	}
	for _, key := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} {
		if n, ok := s[key].(json.Number); ok {
			w.numbers = append(w.numbers, n.String())
		}
	}
	for _, key := range []string{"minItems", "minProperties", "minLength"} {
		if n, ok := s[key].(int); ok {
			w.some = max(w.some, n)
		}
	}
	d.wantMembers(w, s)
	if items, ok := s["items"]; ok {
		w.items = append(w.items, items)
	}
	prefix, _ := s["prefixItems"].([]any)
	for i, item := range prefix {
		if w.first == nil {
			w.first = make(map[int][]any)
		}
		w.first[i] = append(w.first[i], item)
	}
	all, _ := s["allOf"].([]any)
	for _, each := range all {
		d.want(w, each, depth+1)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if some, ok := s[key].([]any); ok {
			d.want(w, pick(d.random, some...), depth+1)
		}
	}
	if _, ok := s["if"]; ok {
		if d.chance(50) {
			d.want(w, s["if"], depth+1)
			d.want(w, s["then"], depth+1)
		} else {
			d.want(w, s["else"], depth+1)
		}
	}
}

func (d *document) wantMembers(w *wish, s map[string]any) {
	properties, _ := s["properties"].(map[string]any)
	for name, schema := range properties {
		if w.members == nil {
			w.members = make(map[string][]any)
		}
		if w.members[name] == nil {
			w.names = append(w.names, name)
		}
		w.members[name] = append(w.members[name], schema)
	}
	slices.Sort(w.names) // a map's order is not of the seed
	required, _ := s["required"].([]any)
	for _, name := range required {
		w.must = append(w.must, name.(string))
	}
	if more, ok := s["additionalProperties"]; ok {
		w.more = append(w.more, more)
	}
}

// write writes a value that should suit all of some schemas.
func (d *document) write(schemas []any, depth int) {
	var w wish
	for _, s := range schemas {
		d.want(&w, s, 0)
	}
	wrong := !d.clean && d.chance(4)
	if len(w.values) > 0 && !wrong {
		d.value(pick(d.random, w.values...))
		return
	}
	kind := pick(d.random, "object", "string", "number", "null", "boolean", "array", "integer")
	if w.members != nil || w.must != nil {
		kind = "object"
	} else if w.items != nil || w.first != nil {
		kind = "array"
	}
	if len(w.types) > 0 && !wrong {
		kind = pick(d.random, w.types...)
	}
	if depth > 5 && (kind == "array" || kind == "object") {
		d.WriteString(pick(d.random, "{}", "[]", "0"))
		return
	}
	switch kind {
	case "object":
		d.object(&w, depth)
	case "array":
		d.array(&w, depth)
	case "string":
		d.text(pick(d.random, someTexts...))
	case "null":
		d.WriteString("null")
	case "boolean":
		d.WriteString(strconv.FormatBool(d.chance(50)))
	default:
		numbers := someNumbers
		if kind == "integer" && !wrong {
			numbers = someNumbers[:7]
		}
		d.WriteString(pick(d.random, append(w.numbers, pick(d.random, numbers...))...))
	}
}

func (d *document) object(w *wish, depth int) {
	var names []string
	for _, name := range slices.Concat(w.must, w.names) {
		likely := 60
		if slices.Contains(w.must, name) {
			likely = 97
		}
		if d.chance(likely) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for len(names) < w.some || d.chance(25) {
		name := pick(d.random, someNames...)
		if d.chance(30) {
			name = fmt.Sprintf("n%d", d.IntN(1000))
		}
		if !slices.Contains(names, name) || !d.clean && d.chance(2) {
			names = append(names, name)
		}
	}
	d.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	d.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			d.WriteByte(',')
		}
		d.space()
		d.text(name)
		d.space()
		d.WriteByte(':')
		d.space()
		below := w.members[name]
		if below == nil {
			below = w.more
		}
		d.write(below, depth+1)
		d.space()
	}
	d.WriteByte('}')
}

func (d *document) array(w *wish, depth int) {
	n := w.some + d.IntN(4)
	d.WriteByte('[')
	for i := range n {
		if i > 0 {
			d.WriteByte(',')
		}
		d.space()
		below := w.first[i]
		if below == nil {
			below = w.items
		}
		d.write(below, depth+1)
		d.space()
	}
	d.WriteByte(']')
}

func (d *document) space() {
	if d.chance(6) {
		d.WriteString(pick(d.random, " ", "\n", "\t ", "\r\n"))
	}
}

// value writes a value of a schema, not always in the same way.
func (d *document) value(v any) {
	switch v := v.(type) {
	case string:
		d.text(v)
	case json.Number:
		n := v.String()
		if d.chance(20) && !strings.ContainsAny(n, ".eE") {
			n += pick(d.random, ".0", "e0", "E+0", ".00e0", "0e-1")
		}
		d.WriteString(n)
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		d.Write(raw)
	}
}

// text writes a string, sometimes with escapes that it need not have.
func (d *document) text(s string) {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	if len(s) > 0 && s[0] < 0x80 && d.chance(5) {
		raw = append([]byte(fmt.Sprintf(`"\u%04x`, s[0])), raw[1+escapedLen(raw[1:]):]...)
	}
	d.Write(raw)
}

// escapedLen is how long the first character of a string is as it is written.
func escapedLen(raw []byte) int {
	switch {
	case raw[0] != '\\':
		return 1
	case raw[1] == 'u':
		return len(`\u0000`)
	}
	return len(`\n`)
}

// mutated changes bytes of a document.
func (r random) mutated(doc []byte) []byte {
	doc = bytes.Clone(doc)
	for range 1 + r.IntN(3) {
		if len(doc) == 0 {
			return doc
		}
		at := r.IntN(len(doc))
		switch r.IntN(6) {
		case 0:
			doc[at] = byte(r.IntN(256))
		case 1:
			doc = slices.Delete(doc, at, at+1)
		case 2:
			doc = slices.Insert(doc, at, pick(r, []byte(`{}[],:"\0123456789-+.eE truefalsn`)...))
		case 3:
			end := min(len(doc), at+1+r.IntN(20))
			doc = slices.Insert(doc, at, bytes.Clone(doc[at:end])...)
		case 4:
			doc = slices.Insert(doc, at, []byte(pick(r, `\ud800`, `\u0000`, "\xed\xa0\x80", "\xff", "é", `"a":1,`, "e9999", "00", "-"))...)
		case 5:
			if i := bytes.IndexByte(doc[at:], '"'); i >= 0 {
				doc = slices.Insert(doc, at+i, []byte(pick(r, "x", " ", `\n`, "é"))...)
			}
		}
	}
	return doc
}
