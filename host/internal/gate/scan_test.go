package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

func scan(t *testing.T, raw string) (fault string, broken []event.Violation) {
	t.Helper()
	var s gate.Scanner
	return s.Scan([]byte(raw))
}

func TestScanRefusesWhatIsNotUTF8(t *testing.T) {
	for _, bad := range []string{
		"\xff", "\xc3", "\xc3(", "\xe2\x82", "\xed\xa0\x80" /* a surrogate */, "\xc0\xaf" /* overlong */, "\xf5\x80\x80\x80", "\x80",
	} {
		for _, text := range []string{`{"a":"` + bad + `"}`, `{"a` + bad + `":1}`, `{"a":"0123456789` + bad + `"}`, `{"a":"` + bad + `0123456789"}`} {
			if fault, _ := scan(t, text); !strings.HasPrefix(fault, "a string that is not UTF-8 at byte") {
				t.Errorf("%q: %q", text, fault)
			}
		}
	}
	if fault, _ := scan(t, "{\"a\":\"\u00fc\u20ac\U0001f600\ufffd\"}"); fault != "" {
		t.Errorf("good UTF-8: %s", fault)
	}
}

func TestScanRefusesControlCharactersAtEveryOffset(t *testing.T) {
	for c := range byte(0x20) {
		for offset := range 20 {
			text := `{"a":"` + strings.Repeat("x", offset) + string(rune(c)) + `xxxxxxxxxxxx"}`
			want := fmt.Sprintf("control character %#02x within a string at byte %d", c, 6+offset)
			if fault, _ := scan(t, text); fault != want {
				t.Errorf("%q: %q, want %q", text, fault, want)
			}
		}
	}
}

func TestScanHoldsTheDepth(t *testing.T) {
	for _, open := range []string{`[`, `{"a":`, `[{"a":`} {
		levels := strings.Count(open, "[") + strings.Count(open, "{")
		closing := strings.NewReplacer("[", "]", "{", "}").Replace(strings.ReplaceAll(open, `"a":`, ""))
		if levels == 2 {
			closing = "}]"
		}
		nest := func(n int) string { return strings.Repeat(open, n/levels) + "0" + strings.Repeat(closing, n/levels) }
		if fault, broken := scan(t, nest(64)); fault != "" || broken != nil {
			t.Errorf("64 levels of %s: %s %v", open, fault, broken)
		}
		if fault, broken := scan(t, nest(66)); fault != "" || len(broken) != 1 || broken[0].Code != event.CodeTooDeep {
			t.Errorf("66 levels of %s: %s %v", open, fault, broken)
		}
		if fault, broken := scan(t, strings.Repeat(open, 1_000_000)); fault != "" || len(broken) != 1 || broken[0].Code != event.CodeTooDeep {
			t.Errorf("a million levels of %s: %s %v", open, fault, broken)
		}
	}
}

func TestScanFindsDuplicatesAmongMany(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"x":{`)
	for i := range 50_000 {
		fmt.Fprintf(&b, `"m%d":0,`, i)
	}
	unique := b.String()
	if fault, broken := scan(t, unique+`"last":0}}`); fault != "" || broken != nil {
		t.Fatalf("unique: %s %v", fault, broken)
	}
	if _, broken := scan(t, unique+`"m\u0034711":0}}`); len(broken) != 1 || broken[0].Path != "/x/m4711" {
		t.Errorf("m4711 twice: %v", broken)
	}
}

func TestScannerForgetsTheTextBefore(t *testing.T) {
	var s gate.Scanner
	for _, text := range []string{`{"a":1,"a":2}`, `{"a":1e999}`, `{"\u0061":1,"b":[`, strings.Repeat("[", 100)} {
		s.Scan([]byte(text))
		if fault, broken := s.Scan([]byte(`{"b":{"\u0061":1},"a":1}`)); fault != "" || broken != nil {
			t.Errorf("after %s: %s %v", text, fault, broken)
		}
	}
}

// TestScanRemembersLittleOfHostileTexts holds that violations are bounded in
// number and in the bytes of their paths, and that none is silently left out.
func TestScanRemembersLittleOfHostileTexts(t *testing.T) {
	_, broken := scan(t, `{"n":[`+strings.Repeat("1e999,", 1999)+`1e999]}`)
	if last := broken[len(broken)-1].Message; len(broken) != 1000 || last != "and 1001 more violations" {
		t.Errorf("many: %d kept, the last %q", len(broken), last)
	}
	name := strings.Repeat("n", 500)
	deep := strings.Repeat(`{"`+name+`":`, 60)
	_, broken = scan(t, deep+`[`+strings.Repeat("1e999,", 1999)+`1e999]`+strings.Repeat("}", 60))
	for _, v := range broken {
		if v.Code == event.CodeNumber && v.Message != "and 1002 more violations" && v.Path != "/"+name+"/"+name {
			t.Errorf("long path: %d bytes, %q", len(v.Path), v.Message)
		}
	}
}

func TestHostileTextsAreCheap(t *testing.T) {
	s := newGate(t, gate.Options{}).Source(gate.SourceOptions{ID: "website", Plan: loadPlan(t,
		`page: {schema: {properties: {n: {type: integer, minimum: 0, multipleOf: 0.1}}, additionalProperties: {type: integer}}}`)})
	for name, claim := range map[string]string{
		"huge exponent":         `{"n":1e1000000}`,
		"huge exponent, judged": `{"type":"page","userId":"u","properties":{"n":1e1000000,"m":1e-999999999}}`,
		"long number":           `{"type":"page","userId":"u","properties":{"n":` + strings.Repeat("9", 10_000) + `}}`,
		"deep":                  strings.Repeat("[", 10_000),
	} {
		best := time.Hour
		for range 20 { // the least of several, since the machine has other work
			start := time.Now()
			if r := s.Judge(gate.Input{Claim: event.Claim(claim)}, received); r.Action != gate.Quarantined {
				t.Fatalf("%s: %+v", name, r)
			}
			best = min(best, time.Since(start))
		}
		if best > time.Millisecond {
			t.Errorf("%s: %v", name, best)
		}
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	var s gate.Scanner
	raw := reference()
	s.Scan(raw)
	if n := testing.AllocsPerRun(100, func() { s.Scan(raw) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzScan holds the scanner against encoding/json: both take the same texts
// for JSON, but for those that are not UTF-8.
func FuzzScan(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{}}`, ` [ ] `, `"`, `{"a":1,"a":2}`, `0123`, `-`, `1.5E`, "\"\x00\"", `"\ud800"`, `{"":0}`,
	} {
		f.Add([]byte(text))
	}
	f.Add(reference())
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s gate.Scanner
		fault, broken := s.Scan(raw)
		valid := json.Valid(raw) && utf8.Valid(raw) && !bytes.HasPrefix(raw, []byte("\ufeff"))
		deep := len(broken) > 0 && broken[len(broken)-1].Code == event.CodeTooDeep
		if deep {
			return // what follows was not read
		}
		if (fault == "") != valid {
			t.Errorf("%q: fault %q, though valid is %v", raw, fault, valid)
		}
	})
}
