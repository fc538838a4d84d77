package fast_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

func programOf(t *testing.T, schema string) *fast.Program {
	t.Helper()
	s, err := compileWithV5([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	return fast.Build(s)
}

func taken(p *fast.Program, doc string) bool {
	var m fast.Machine
	_, ok := m.Run(p, []byte(doc), limits, nil, nil)
	return ok
}

// TestNamesAreToldApart holds that a name is found by all of its bytes, however
// alike the names are: by their ends, by their length, in a table that is full,
// and whatever name came before.
func TestNamesAreToldApart(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("same beginning %02d same end", i), strings.Repeat("a", i+1), fmt.Sprintf("%c", 'A'+i%26)+strings.Repeat("b", i/26))
	}
	properties := make(map[string]any)
	for i, name := range names {
		properties[name] = map[string]any{"const": i}
	}
	schema, err := json.Marshal(map[string]any{"properties": properties, "additionalProperties": false})
	if err != nil {
		t.Fatal(err)
	}
	p := programOf(t, string(schema))
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		order := r.Perm(len(names))[:1+r.IntN(20)]
		doc := func(wrong int) string {
			var b strings.Builder
			for at, i := range order {
				value := i
				if at == wrong {
					value++
				}
				fmt.Fprintf(&b, `,"%s":%d`, names[i], value)
			}
			return "{" + b.String()[1:] + "}"
		}
		if good := doc(-1); !taken(p, good) {
			t.Fatalf("not taken: %s", good)
		}
		if bad := doc(r.IntN(len(order))); taken(p, bad) {
			t.Fatalf("taken: %s", bad)
		}
		unknown := strings.Replace(doc(-1), "same beginning", "same_beginning", 1)
		if strings.Contains(unknown, "same_") && taken(p, unknown) {
			t.Fatalf("taken: %s", unknown)
		}
	}
}

// TestOrderOfMembersIsOnlyGuessed holds that what a program has learned of the
// order of members changes no verdict.
func TestOrderOfMembersIsOnlyGuessed(t *testing.T) {
	p := programOf(t, `{"required": ["a", "ab", "b"], "properties": {"a": {"const": 1}, "ab": {"const": 2}, "b": {"const": 3}}}`)
	for _, order := range []string{
		`{"a":1,"ab":2,"b":3}`, `{"b":3,"ab":2,"a":1}`, `{"ab":2,"a":1,"b":3}`, `{"a":1,"x":0,"ab":2,"b":3}`, `{ "a" : 1 , "b" :3,"ab":2}`,
	} {
		for range 3 {
			if !taken(p, order) {
				t.Errorf("not taken: %s", order)
			}
			for _, bad := range []string{
				`{"a":1,"ab":2}`, `{"ab":1,"a":2,"b":3}`, `{"a":1,"ab":2,"b":3,"a":1}`, `{"a":1,"a":1,"ab":2,"b":3}`, `{"a"1,"ab":2,"b":3}`,
				`{"a":1"ab":2,"b":3}`, `{"a":1,"ab":2,"b":}`, `{"a":1,"ab":2,"b":`, `{"a":1,"ab":2,"b"`, `{"a":1,"ab":2,"b":3,}`, `{"a":1,"ab":2,"b":3}}`,
			} {
				if taken(p, bad) {
					t.Errorf("after %s, taken: %s", order, bad)
				}
			}
		}
	}
}

// TestRepeatedNamesAreSeen holds that a name that is twice in an object is
// seen, known or not, among few or many.
func TestRepeatedNamesAreSeen(t *testing.T) {
	var properties, known, unknown []string
	for i := range 100 {
		properties = append(properties, fmt.Sprintf(`"known%d":true`, i))
		known = append(known, fmt.Sprintf(`"known%d":0`, i))
		unknown = append(unknown, fmt.Sprintf(`"unknown name number %d":0`, i))
	}
	p := programOf(t, `{"properties":{`+strings.Join(properties, ",")+`}}`)
	for _, members := range [][]string{known, unknown, slices.Concat(known[:60], unknown[:60])} {
		for n := 1; n < len(members); n += 7 {
			if doc := "{" + strings.Join(members[:n], ",") + "}"; !taken(p, doc) {
				t.Fatalf("not taken: %s", doc)
			}
			for again := 0; again < n; again += 3 {
				if doc := "{" + strings.Join(members[:n], ",") + "," + members[again] + "}"; taken(p, doc) {
					t.Fatalf("taken: %s", doc)
				}
			}
		}
	}
	many := strings.Join(unknown, ",")
	if doc := `{` + many + `,"in":{` + many + `,"in":[{` + many + `}]}}`; !taken(p, doc) {
		t.Errorf("not taken: %s", doc)
	}
	nested := `{"known1":{"x":{"y":0},"z":0},"x":{"y":0,"z":0},"known2":[{"x":0},{"x":0}]}`
	if !taken(p, nested) {
		t.Errorf("not taken: %s", nested)
	}
}

// TestTextsEndWhereTheyDo holds the search of eight bytes at a time against one
// of each byte.
func TestTextsEndWhereTheyDo(t *testing.T) {
	for _, special := range []string{`"`, `\"`, `\\`, `\u0041`, `\x`, "\x00", "\x1f", "\x7f", "é", "\xff", "\xc3", "日", "\U0001f600", "\xed\xa0\x80"} {
		for before := range 20 {
			for after := range 20 {
				raw := []byte(strings.Repeat("~", before) + special + strings.Repeat("!", after) + `"` + strings.Repeat(`"`, after%3))
				end, escaped, _ := fast.EndOfText(raw, 0)
				want := json.Valid([]byte(`"`+strings.Repeat("~", before)+special+strings.Repeat("!", after)+`"`)) &&
					(special[0] < 0x80 || utf8.ValidString(special))
				switch {
				case special == `"`:
					if end != before {
						t.Fatalf("%q ends at %d", raw, end)
					}
				case !want:
					if end >= 0 {
						t.Fatalf("%q is taken", raw)
					}
				case end != before+len(special)+after || escaped != (special[0] == '\\'):
					t.Fatalf("%q ends at %d, escaped %v", raw, end, escaped)
				}
			}
		}
	}
	for c := range 256 {
		for before := range 8 {
			raw := []byte(strings.Repeat("~", before) + string([]byte{byte(c)}) + `!!!!!!!!"`)
			want := len(raw) - 1
			switch {
			case c == '"':
				want = before
			case c == '\\' || c < ' ' || c >= 0x80:
				want = -1
			}
			if end, _, _ := fast.EndOfText(raw, 0); end != want {
				t.Fatalf("%q ends at %d, not %d", raw, end, want)
			}
		}
	}
	if end, _, _ := fast.EndOfText([]byte("no end, at all"), 0); end >= 0 {
		t.Errorf("a string without an end ends at %d", end)
	}
}

// TestNamesAreReadToTheirEnd is the same for names, which must have no escapes.
func TestNamesAreReadToTheirEnd(t *testing.T) {
	p := programOf(t, `{"properties": {"known": false}}`)
	for _, special := range []string{``, `"`, `\"`, `\u0041`, "\x00", "\x1f", "é", "\xff", "日", "\xed\xa0\x80"} {
		for before := range 20 {
			for after := range 10 {
				name := strings.Repeat("~", before) + special + strings.Repeat("!", after)
				want := special == "" || special[0] >= 0x80 && utf8.ValidString(special)
				for _, doc := range []string{`{"` + name + `":0}`, `{"` + name + `" : 0, "x":"a longer text"}`} {
					if taken(p, doc) != want {
						t.Fatalf("taken is %v: %q", !want, doc)
					}
				}
				if doc := `{"` + name + `":0,"y":0,"` + name + `":0}`; taken(p, doc) {
					t.Fatalf("taken: %q", doc)
				}
			}
		}
	}
}

// TestNumbersAreExact holds decimals against the library's rational numbers.
func TestNumbersAreExact(t *testing.T) {
	r := random{rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))}
	numbers := slices.Clone(someNumbers)
	for range 120 {
		numbers = append(numbers, fmt.Sprintf("%s%d.%de%d", pick(r, "", "-"), r.IntN(1000), r.IntN(100_000), r.IntN(40)-20))
	}
	known := 0
	for _, a := range numbers {
		for _, b := range numbers {
			x, _ := new(big.Rat).SetString(a)
			y, _ := new(big.Rat).SetString(b)
			if got, ok := fast.Compare(x, y); ok {
				known++
				if want := x.Cmp(y); got < 0 != (want < 0) || got > 0 != (want > 0) {
					t.Errorf("%s and %s: %d, want %d", a, b, got, want)
				}
			}
		}
	}
	if known < len(numbers)*len(numbers)/2 {
		t.Errorf("only %d are known", known)
	}
}

// TestFormatsAreSure holds that what surely has a format has it by v5.
func TestFormatsAreSure(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := random{rand.New(rand.NewPCG(seed, 1))}
	for name, surely := range fast.Formats {
		isFormat := jsonschema.Formats[name]
		if name == schema.TimestampFormat {
			isFormat = func(v any) bool { _, ok := schema.ParseTimestamp(v.(string)); return ok }
		}
		sure := 0
		for range 200_000 {
			s := r.mutated([]byte(pick(r, someTexts...)))
			if surely(s) {
				sure++
				if !isFormat(string(s)) {
					t.Fatalf("seed %d: %q is no %s", seed, s, name)
				}
			}
		}
		for _, s := range append(someTexts, "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01") {
			if surely([]byte(s)) && !isFormat(s) {
				t.Errorf("%q is no %s", s, name)
			}
		}
		if sure < 100 {
			t.Errorf("%s: only %d texts were sure", name, sure)
		}
	}
}

// TestLimitsAreHeld holds each limit at what it allows and at one more.
func TestLimitsAreHeld(t *testing.T) {
	p := programOf(t, `{}`)
	small := fast.Limits{Depth: 3, Number: 5, Exponent: 20, String: 4, Values: 6, Paths: 60}
	for good, bad := range map[string]string{
		`[[[]]]`: `[[[[]]]]`, `{"a":[{}]}`: `{"a":[{"b":[]}]}`, `12345`: `123456`, `1e20`: `1e21`, `1e-20`: `1e-21`,
		`"abcd"`: `"abcde"`, `{"abcd":0}`: `{"abcde":0}`, `[0,0,0,0,0]`: `[0,0,0,0,0,0]`, `{"a":{"b":[0,0]}}`: `{"aaaa":{"bbbb":{"cccc":0}},"dddd":{"eeee":{"ffff":0}}}`,
	} {
		var m fast.Machine
		if _, ok := m.Run(p, []byte(good), small, nil, nil); !ok {
			t.Errorf("not taken: %s", good)
		}
		if _, ok := m.Run(p, []byte(bad), small, nil, nil); ok {
			t.Errorf("taken: %s", bad)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	raw := []byte(`{"unknown":[{"a":1.5e3,"b":"\u00e9\n"},null],"code":"ABC","when":"2026-11-24T05:39:42Z","tags":["x","y"],"a b":{"x":true}}`)
	p := programOf(t, `{"properties": {"code": {"pattern": "^[A-Z]{3}$"}, "when": {"format": "date-time"}, "tags": {"uniqueItems": true}},
		"patternProperties": {"^a": {"type": "object", "minProperties": 1}}, "propertyNames": {"maxLength": 10},
		"oneOf": [{"required": ["code"]}, {"required": ["nothing"]}]}`)
	var m fast.Machine
	run := func() {
		if _, ok := m.Run(p, raw, limits, nil, nil); !ok {
			t.Fatal("not taken")
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestValuesAreToldApart holds what is decided by a look at the bytes where other
// bytes can stand for the same value.
func TestValuesAreToldApart(t *testing.T) {
	many := `{"enum": ["a0","a1","a2","a3","a4","a5","a6","a7","a8","a9","é"]}`
	for _, c := range []struct {
		schema    string
		good, bad []string
	}{
		{`{"uniqueItems": true}`, []string{`[]`, `[0,1,-1,"0","a",null,true,false,[0]]`, `["a","b"]`, `[{"a":1}]`},
			[]string{`[0,-0]`, `[1,1.0]`, `[100,1e2]`, `["a","a"]`, `["a","\u0061"]`, `[{"a":1,"b":2},{"b":2,"a":1}]`, `[[1],[1.0]]`, `[null,1,null]`}},
		{many, []string{`"a0"`, `"a9"`, `"é"`, `"\u00e9"`}, []string{`"a"`, `"a10"`, `""`, `0`}},
		{`{"const": "a\"b"}`, []string{`"a\"b"`, `"\u0061\"b"`}, []string{`"a\\\"b"`, `"ab"`}},
		{`{"const": 1.5}`, []string{`1.5`, `15e-1`, `1.500`, `0.15E+1`}, []string{`1.50000000000000000001`, `15`, `"1.5"`, `-1.5`}},
		{`{"type": "integer"}`, []string{`1`, `1.0`, `1e2`, `-0.0`, `12.50e1`, `123456789012345678901234567890`}, []string{`1.5`, `1e-1`, `12.5e0`, `0.00000000000000000000000001`, `1e-26`, `5e-20`}},
		{`{"minLength": 2, "maxLength": 3}`, []string{`"é日"`, `"\u0061b"`, `"\ud83d\ude00b"`, `"abc"`}, []string{`"é"`, `"\ud83d\ude00"`, `"éééé"`, `"a\nbc"`}},
		{`{"maximum": 9007199254740993, "minimum": -0.1}`, []string{`9007199254740993`, `-0.1`, `-1e-1`, `9007199254740993.0`}, []string{`9007199254740994`, `18446744073709551617`, `9007199254740993.1`, `-0.11`, `1e16`}},
		{`{"exclusiveMaximum": 1e20}`, []string{`1e19`, `99999999999e8`, `-1e300`}, []string{`1e20`, `100e18`, `1e21`}},
		{`{"multipleOf": 0.01}`, []string{`0.01`, `1`, `19.99`, `0`, `1e3`}, []string{`0.001`, `19.999`, `1e-3`}},
		{`{"multipleOf": 3}`, []string{`3`, `-9.0`, `3e18`}, []string{`5e19`, `1e19`, `0.3`}},
		{`{"patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 5}}, "additionalProperties": false, "properties": {"c": true}}`,
			[]string{`{"a":1,"ab":5,"b":5,"c":null}`, `{}`}, []string{`{"ab":4}`, `{"ab":5.5}`, `{"d":0}`, `{"a":1.5}`, `{"b":4}`}},
		{`{"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {"required": ["c"]}}`, []string{`{"a":0}`, `{"b":0}`}, []string{`{}`, `{"a":0,"b":0}`, `{"a":0,"c":0}`}},
		{`{"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 1}}`,
			[]string{`{"b":0,"a":1}`, `{"a":1,"b":0}`, `{"a":2}`, `{}`}, []string{`{"a":1}`, `{"a":2,"b":0}`, `{"b":0,"a":2}`}},
		{`{"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"minProperties": 3}}}`, []string{`{"b":0,"a":0}`, `{"b":0}`, `[]`, `{"a":0,"b":0,"c":0}`}, []string{`{"a":0}`, `{"b":0,"c":0}`}},
		{`{"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}, "additionalProperties": false}`, []string{`{"next":{"next":{"n":1}},"n":2}`}, []string{`{"next":{"next":{"n":1.5}}}`, `{"next":{"next":{"m":1}}}`}},
		{`{"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}`, []string{`["a"]`, `["a",1,2]`}, []string{`[]`, `[1]`, `["a","b"]`, `["a",1,2,3]`}},
		{`{"propertyNames": {"maxLength": 3, "pattern": "^[a-z]*$"}}`, []string{`{"abc":0,"":0}`}, []string{`{"abcd":0}`, `{"A":0}`}},
	} {
		p := programOf(t, c.schema)
		for _, doc := range c.good {
			if !taken(p, doc) {
				t.Errorf("%s: not taken: %s", c.schema, doc)
			}
		}
		for _, doc := range c.bad {
			if taken(p, doc) {
				t.Errorf("%s: taken: %s", c.schema, doc)
			}
		}
	}
}
