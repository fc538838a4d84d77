package payload_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
)

// FuzzBody holds that whatever comes, an event is JSON, has no write key, and
// has every other member that was sent, as it was sent.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"event":"E","type":"track","writeKey":"K","context":{"a":1},"n":12345678901234567890}`,
		`{"batch":[{"type":"track","writeKey":"K","context":null},{"integrations":{"All":true},"sentAt":null},7],"writeKey":"K","sentAt":"S","context":{"a":1,"ip":"x"},"integrations":{"All":false}}`,
		`{"batch":[{"w\u0072iteKey":"K","writeKey":"L","context":{},"context":[]}],"context":"x"}`,
		`{"batch":[{"channel":"server","context":{"direct":true}}]}`,
		"{\"batch\":[{\"a\xff\":\"\xff\"}]}", `{"batch":[[[[]]]]}`, `[]`, ``, `{"batch":[`,
	} {
		f.Add([]byte(seed), "", true)
		f.Add([]byte(seed), "track", false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, typ string, client bool) {
		sent := bytes.Clone(raw)
		body, err := split(raw, typ)
		if err != nil {
			if body != nil {
				t.Fatal("a body and an error")
			}
			return
		}
		_, _ = body.WriteKey()
		claims := sentEvents(t, sent, typ)
		if len(claims) != body.Len() {
			t.Fatalf("%d events of %d", body.Len(), len(claims))
		}
		from := payload.Origin{IP: browser.IP, Client: client}
		for i, claim := range claims {
			compare(t, claim, body.Event(i, from), typ)
			compare(t, claim, body.Raw(i), "")
		}
		if !bytes.Equal(raw, sent) {
			t.Fatal("the body was written to")
		}
	})
}

func split(raw []byte, typ string) (*payload.Body, error) {
	if typ == "" {
		return payload.Batch(raw, 1000)
	}
	return payload.Single(raw, "track")
}

// sentEvents finds the events by other means.
func sentEvents(t *testing.T, raw []byte, typ string) []json.RawMessage {
	t.Helper()
	if typ != "" {
		return []json.RawMessage{bytes.TrimSpace(raw)}
	}
	for _, m := range membersOf(t, raw) {
		if m.name == "batch" {
			var out []json.RawMessage
			if err := json.Unmarshal(m.value, &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatal("no batch")
	return nil
}

type member struct {
	name  string
	value json.RawMessage
}

// membersOf returns the members of an object in order; nil: it is none.
func membersOf(t *testing.T, raw []byte) []member {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return nil
	}
	out := []member{}
	_, err := d.ReadToken()
	for d.PeekKind() != '}' {
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		name, err := d.ReadToken()
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		said := name.String()
		value, err := d.ReadValue()
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		out = append(out, member{said, json.RawMessage(bytes.Clone(value))})
	}
	return out
}

func compare(t *testing.T, claim, event []byte, typ string) {
	t.Helper()
	if !jsontext.Value(event).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		t.Fatalf("%s became %q, which is not JSON", claim, event)
	}
	sent, got := membersOf(t, claim), membersOf(t, event)
	if sent == nil {
		if !bytes.Equal(claim, event) {
			t.Fatalf("%s became %s", claim, event)
		}
		return
	}
	at := 0
	for _, m := range sent {
		if m.name == "writeKey" {
			continue
		}
		if at == len(got) || got[at].name != m.name {
			t.Fatalf("%s became %s: %q is not where it was", claim, event, m.name)
		}
		kept(t, m, got[at].value, typ)
		at++
	}
	for _, m := range got {
		if m.name == "writeKey" {
			t.Fatalf("%s became %s: the write key is still there", claim, event)
		}
	}
	for _, m := range got[at:] {
		if !slices.Contains([]string{"type", "context", "integrations", "sentAt"}, m.name) {
			t.Fatalf("%s became %s: %q came out of nothing", claim, event, m.name)
		}
	}
}

// kept fails unless the value is as sent, or of a member that may gain.
func kept(t *testing.T, sent member, got json.RawMessage, typ string) {
	t.Helper()
	if bytes.Equal(sent.value, got) {
		return
	}
	switch sent.name {
	case "type":
		if typ != "" {
			return
		}
	case "sentAt":
		if string(sent.value) == "null" {
			return
		}
	case "context", "integrations":
		if string(sent.value) == "null" {
			return
		}
		have := membersOf(t, got)
		for i, m := range membersOf(t, sent.value) {
			if i >= len(have) || have[i].name != m.name || !bytes.Equal(have[i].value, m.value) {
				t.Fatalf("%s: %s became %s", sent.name, sent.value, got)
			}
		}
		return
	}
	t.Fatalf("%s: %s became %s", sent.name, sent.value, got)
}
