package translate

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzWalk holds that the walk over a value finds what encoding/json finds.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(` { "a" : [1, "\\\"", {}] , "b\u0063" : null, "":-1e5 } `))
	f.Add([]byte(`{"a":"\\","b":["]","}",[[]]],"a":true}`))
	f.Add([]byte(`[{},[],"",0]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := check(raw)
		if err != nil || !json.Valid(raw) {
			return
		}
		switch {
		case v.is('{'):
			var want map[string]json.RawMessage
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			got := map[string]value{}
			for m := range v.members() {
				if !json.Valid(append(append([]byte{'{'}, m.whole...), '}')) {
					t.Fatalf("member %q", m.whole)
				}
				got[string(m.name)] = m.value
			}
			for name, value := range want {
				if bytes.ContainsRune([]byte(name), '\uFFFD') {
					return // broken UTF-8, which the two mend differently
				}
				if !bytes.Equal(got[name], value) {
					t.Fatalf("member %q is %q, want %q", name, got[name], value)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d members, want %d", len(got), len(want))
			}
		case v.is('['):
			var want []json.RawMessage
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			n := 0
			for e := range v.elements() {
				if !bytes.Equal(e, want[n]) {
					t.Fatalf("element %d is %q, want %q", n, e, want[n])
				}
				n++
			}
			if n != len(want) {
				t.Fatalf("%d elements, want %d", n, len(want))
			}
		}
	})
}

// FuzzReport holds that every webhook becomes something that the host can
// judge, and that what is an object becomes JSON.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"event_id":"e1","object_type":"email","metric":"clicked","timestamp":1613063089,"data":{"a":1,"identifiers":{"cio_id":"x"}}}`))
	f.Add([]byte(`{"data":null,"metric":"__é_","\u006detric":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := Report(raw)
		if v, err := check(raw); err == nil && v.is('{') && !json.Valid(e) {
			t.Fatalf("%q became %q", raw, e)
		}
	})
}
