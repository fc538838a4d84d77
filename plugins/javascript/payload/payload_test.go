package payload_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
)

var browser = payload.Origin{IP: netip.MustParseAddr("203.0.113.9"), Client: true}
var server = payload.Origin{IP: netip.MustParseAddr("203.0.113.9")}

func events(b *payload.Body, from payload.Origin) []string {
	out := make([]string, b.Len())
	for i := range out {
		out[i] = string(b.Event(i, from))
	}
	return out
}

func check(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

func TestSingle(t *testing.T) {
	for _, c := range []struct{ name, typ, body, want string }{
		{"gets its type from the path", "track", `{"event":"E","userId":"u"}`, `{"event":"E","userId":"u","type":"track"}`},
		{"keeps a type that agrees", "track", `{ "type":"track" , "event":"E" }`, `{ "type":"track" , "event":"E" }`},
		{"loses a type that disagrees, in place", "identify", `{"a":1,"type":"track","b":2}`, `{"a":1,"type":"identify","b":2}`},
		{"loses a type that is no string", "page", `{"type":null}`, `{"type":"page"}`},
		{"recognizes an escaped type", "page", `{"t\u0079pe":"p\u0061ge"}`, `{"t\u0079pe":"p\u0061ge"}`},
		{"loses its write key", "track", `{"type":"track","writeKey":"K","a":1}`, `{"type":"track","a":1}`},
		{"loses a write key at the start", "track", `{"writeKey":"K", "type":"track"}`, `{"type":"track"}`},
		{"loses a write key at the end", "track", `{"type":"track" , "writeKey":"K" }`, `{"type":"track"}`},
		{"loses all that it has", "track", `{"writeKey":"K"}`, `{"type":"track"}`},
		{"loses every write key, however spelt", "track", `{"writeKey":"K","type":"track","\u0077riteKey":"L","a":1,"writeKey":{"b":2}}`, `{"type":"track","a":1}`},
		{"keeps a writeKey that is the user's own", "track", `{"type":"track","properties":{"writeKey":"K"},"writekey":1}`, `{"type":"track","properties":{"writeKey":"K"},"writekey":1}`},
		{"keeps order, numbers and unknown members", "track", `{"z":12345678901234567890.000,"type":"track","writeKey":"K","a":1e400,"é":"\u00e9"}`, `{"z":12345678901234567890.000,"type":"track","a":1e400,"é":"\u00e9"}`},
		{"keeps members named twice for the host to refuse", "track", `{"type":"track","a":1,"a":2,"context":{},"context":{"b":1}}`, `{"type":"track","a":1,"a":2,"context":{},"context":{"b":1}}`},
		{"keeps broken UTF-8 for the host to judge", "track", "{\"type\":\"track\",\"a\":\"\xff\"}", "{\"type\":\"track\",\"a\":\"\xff\"}"},
		{"may be no object, for the host to refuse", "track", ` [1,{"writeKey":"K"}] `, `[1,{"writeKey":"K"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := payload.Single([]byte(c.body), c.typ)
			if err != nil {
				t.Fatal(err)
			}
			check(t, events(b, payload.Origin{}), []string{c.want})
		})
	}
}

func TestBatch(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"is split without a byte changed", `{"batch":[ {"type":"track", "n": 1.0} , {"type":"page"}]}`, []string{`{"type":"track", "n": 1.0}`, `{"type":"page"}`}},
		{"may be empty", `{"batch":[],"writeKey":"K"}`, nil},
		{"keeps the type of each event", `{"type":"x","batch":[{"type":"alias"},{}]}`, []string{`{"type":"alias"}`, `{}`}},
		{"loses the write keys of its events", `{"writeKey":"K","batch":[{"writeKey":"K","a":1},{"a":2,"writeKey":"K"}]}`, []string{`{"a":1}`, `{"a":2}`}},
		{"loses a write key in the middle", `{"batch":[{"a":1,"writeKey":"K","b":2, "c":3}]}`, []string{`{"a":1,"b":2, "c":3}`}},
		{"gives its sentAt to events without one", `{"batch":[{"a":1},{"sentAt":"own"},{"sentAt":null}],"sentAt":"S"}`, []string{`{"a":1,"sentAt":"S"}`, `{"sentAt":"own"}`, `{"sentAt":"S"}`}},
		{"gives no sentAt that is null", `{"batch":[{"a":1}],"sentAt":null}`, []string{`{"a":1}`}},
		{"gives its context to events without one", `{"context":{"app":{"name":"x"}},"batch":[{},{"context":null},{"context":{}}]}`, []string{`{"context":{"app":{"name":"x"}}}`, `{"context":{"app":{"name":"x"}}}`, `{"context":{"app":{"name":"x"}}}`}},
		{"gives a context the members that it lacks", `{"batch":[{"context":{ "b":null,"a":1 }}],"context":{"a":9,"b":9,"c":9}}`, []string{`{"context":{"b":null,"a":1,"c":9}}`}},
		{"gives its integrations likewise", `{"integrations":{"All":false,"X":{"y":1}},"batch":[{},{"integrations":{"All":true}}]}`, []string{`{"integrations":{"All":false,"X":{"y":1}}}`, `{"integrations":{"All":true,"X":{"y":1}}}`}},
		{"compares names by what they say", `{"context":{"\u0061":9},"batch":[{"c\u006fntext":{"a":1}}]}`, []string{`{"c\u006fntext":{"a":1}}`}},
		{"leaves a context that is no object to the host", `{"context":{"a":1},"batch":[{"context":"x"}]}`, []string{`{"context":"x"}`}},
		{"gives a context that is no object to those without one", `{"context":"x","batch":[{},{"context":{}}]}`, []string{`{"context":"x"}`, `{"context":{}}`}},
		{"leaves events that name a context twice", `{"context":{"a":1},"batch":[{"context":{},"context":{}}]}`, []string{`{"context":{},"context":{}}`}},
		{"may hold what is no object, for the host to refuse", `{"sentAt":"S","context":{"a":1},"batch":[1,"x",null,[]]}`, []string{`1`, `"x"`, `null`, `[]`}},
		{"finds its members behind its events", `{"batch":[{"a":1}],"sentAt":"S","context":{"b":2}}`, []string{`{"a":1,"context":{"b":2},"sentAt":"S"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := payload.Batch([]byte(c.body), 10)
			if err != nil {
				t.Fatal(err)
			}
			check(t, events(b, payload.Origin{}), c.want)
		})
	}
}

func TestAddressOfClient(t *testing.T) {
	for _, c := range []struct {
		name string
		from payload.Origin
		body string
		want string
	}{
		{"is filled in", browser, `{"context":{"a":1}}`, `{"context":{"a":1,"ip":"203.0.113.9"}}`},
		{"is filled in without a context", browser, `{"a":1}`, `{"a":1,"context":{"ip":"203.0.113.9"}}`},
		{"is filled into a null context", browser, `{"context":null}`, `{"context":{"ip":"203.0.113.9"}}`},
		{"does not replace one that is given", browser, `{"context":{"ip":"192.0.2.1"}}`, `{"context":{"ip":"192.0.2.1"}}`},
		{"does not replace null, which asks for none", browser, `{"context":{"ip":null}}`, `{"context":{"ip":null}}`},
		{"of a server is its own affair", server, `{"context":{"a":1}}`, `{"context":{"a":1}}`},
		{"of a server is kept when it says direct", server, `{"context":{"direct":true}}`, `{"context":{"direct":true,"ip":"203.0.113.9"}}`},
		{"is not kept when it says not direct", server, `{"context":{"direct":false}}`, `{"context":{"direct":false}}`},
		{"goes by the channel server", browser, `{"channel":"server"}`, `{"channel":"server"}`},
		{"goes by the channel mobile", server, `{"channel":"mobile"}`, `{"channel":"mobile","context":{"ip":"203.0.113.9"}}`},
		{"goes by the channel browser", server, `{"channel":"browser"}`, `{"channel":"browser","context":{"ip":"203.0.113.9"}}`},
		{"is left out where it is not known", payload.Origin{Client: true}, `{"a":1}`, `{"a":1}`},
		{"is left out of a context that is no object", browser, `{"context":[]}`, `{"context":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := payload.Batch([]byte(`{"batch":[`+c.body+`]}`), 1)
			if err != nil {
				t.Fatal(err)
			}
			check(t, events(b, c.from), []string{c.want})
		})
	}
}

func TestAddressOfClientAndContextOfBatch(t *testing.T) {
	b, err := payload.Batch([]byte(`{"context":{"direct":true,"a":1},"batch":[{},{"context":{"direct":false}},{"context":{"b":2}},{}]}`), 9)
	if err != nil {
		t.Fatal(err)
	}
	check(t, events(b, server), []string{
		`{"context":{"direct":true,"a":1,"ip":"203.0.113.9"}}`,
		`{"context":{"direct":false,"a":1}}`,
		`{"context":{"b":2,"direct":true,"a":1,"ip":"203.0.113.9"}}`,
		`{"context":{"direct":true,"a":1,"ip":"203.0.113.9"}}`,
	})
	b, err = payload.Batch([]byte(`{"context":{"ip":"192.0.2.1"},"batch":[{},{"context":{}}]}`), 9)
	if err != nil {
		t.Fatal(err)
	}
	check(t, events(b, browser), []string{`{"context":{"ip":"192.0.2.1"}}`, `{"context":{"ip":"192.0.2.1"}}`})
}

func TestWriteKey(t *testing.T) {
	for _, c := range []struct{ name, body, want, code string }{
		{"stands beside the batch", `{"writeKey":"K","batch":[]}`, "K", ""},
		{"stands in an event", `{"batch":[{},{"writeKey":"K"},{"writeKey":"K"}]}`, "K", ""},
		{"beside the batch wins", `{"batch":[{"writeKey":"L"},{"writeKey":"M"}],"writeKey":"K"}`, "K", ""},
		{"is not agreed on", `{"batch":[{"writeKey":"K"},{"writeKey":"L"}]}`, "", payload.CodeMixedKeys},
		{"is escaped", `{"write\u004bey":"\u004b","batch":[]}`, "K", ""},
		{"is no string", `{"writeKey":7,"batch":[{"writeKey":{}}]}`, "", ""},
		{"is not there", `{"batch":[{"properties":{"writeKey":"K"}}]}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := payload.Batch([]byte(c.body), 10)
			if err != nil {
				t.Fatal(err)
			}
			key, err := b.WriteKey()
			if key != c.want || code(err) != c.code {
				t.Fatalf("key %q, error %v", key, err)
			}
		})
	}
}

func TestBodyThatCannotBeTaken(t *testing.T) {
	for _, c := range []struct{ name, body, code, says string }{
		{"is empty", ``, payload.CodeNotJSON, "empty"},
		{"is blank", " \n", payload.CodeNotJSON, "empty"},
		{"is not JSON", `a=1&b=2`, payload.CodeNotJSON, "at byte 0"},
		{"is cut short", `{"batch":[{"a":1}`, payload.CodeNotJSON, "unexpected EOF"},
		{"is broken inside an event", `{"batch":[{"a":01}]}`, payload.CodeNotJSON, "at byte"},
		{"has more behind it", `{"batch":[]}{}`, payload.CodeNotJSON, "after its end"},
		{"is an array", `[{"type":"track"}]`, payload.CodeNotBatch, `"batch"`},
		{"has no batch", `{"type":"track"}`, payload.CodeNotBatch, `"batch"`},
		{"has a batch that is no array", `{"batch":{"type":"track"}}`, payload.CodeNotBatch, `"batch"`},
		{"has a null batch", `{"batch":null}`, payload.CodeNotBatch, `"batch"`},
		{"has two batches", `{"batch":[],"b\u0061tch":[]}`, payload.CodeDuplicateKey, `"batch" twice`},
		{"has two contexts", `{"context":null,"context":{},"batch":[]}`, payload.CodeDuplicateKey, `"context" twice`},
		{"has too many events", `{"batch":[1,2,3]}`, payload.CodeTooManyEvents, "more than 2 events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := payload.Batch([]byte(c.body), 2)
			if code(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v (%s), want %s with %q", err, code(err), c.code, c.says)
			}
		})
	}
}

func TestRawIsTheEventAsItWasSent(t *testing.T) {
	b, err := payload.Batch([]byte(`{"context":{"a":1},"sentAt":"S","batch":[{"x": 1},{"writeKey":"K","x": 1}]}`), 2)
	if err != nil {
		t.Fatal(err)
	}
	check(t, []string{string(b.Raw(0)), string(b.Raw(1))}, []string{`{"x": 1}`, `{"x": 1}`})
	if b.Size(0) != len(`{"x": 1}`) || b.Shared() != len(`{"a":1}"S"`) {
		t.Fatalf("size %d, shared %d", b.Size(0), b.Shared())
	}
}

func code(err error) string {
	var e *payload.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
