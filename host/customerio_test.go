package host_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const upstreamKey = "upstream-k3y-c4nary"

// upstreamConfig is of a host that takes in what another one sends it.
const upstreamConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  web: {plugin: javascript, keys: [` + upstreamKey + `], plan: plan.yaml, destinations: [archive]}
destinations:
  archive: {type: file, path: events.jsonl}
`

// sendingConfig sends to the collector at $UPSTREAM.
const sendingConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  shop: {plugin: javascript, keys: [collector-test-key], destinations: [archive, cdp]}
destinations:
  archive: {type: file, path: events.jsonl}
  cdp: {type: customerio, key: "` + upstreamKey + `", url: "http://$UPSTREAM", timeout: 2s}
`

// membersOf returns the members of each event in a file, by message id.
func (s *site) membersOf(name string) map[string]map[string]json.RawMessage {
	s.t.Helper()
	all := map[string]map[string]json.RawMessage{}
	for _, line := range s.lines(name) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(line, &members); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		id := string(members["messageId"])
		if all[id] != nil {
			s.t.Errorf("%s: %s is there twice", name, id)
		}
		all[id] = members
	}
	return all
}

// What one host took in, another takes from it: each member byte for byte, once,
// in order, though the sender is killed and the receiver comes late; and what the
// receiver refuses is in the sender's quarantine, alone.
func TestWhatGoesInOnOneSideComesOutOnTheOther(t *testing.T) {
	upstream := newSite(t, upstreamConfig)
	upstream.write("plan.yaml", "events:\n  Refused: {schema: {required: [total]}}\n")
	s := newSite(t, strings.ReplaceAll(sendingConfig, "$UPSTREAM", upstream.listen))
	sender := s.start()

	const n = 40
	var items []string
	for i := range n {
		item := fmt.Sprintf(`{"unknown" : {"sentAt":[1 , 2.50e+1],"receivedAt":"mine"},"type":"track","userId":"u%d","event":"E","messageId":"m/%d \u00e9é\"","timestamp":"2026-11-24T08:00:%02d.5+01:00",`+
			`"properties":{"big":123456789012345678901234567890,"n":-0.0,"text":"<\u2028\/\ud83d\ude00>","at":%d},"context":{"library":{"name":"x"}},"integrations":{"All":true}}`, i%3, i, i, i)
		if i == 7 {
			item = strings.Replace(item, `"event":"E"`, `"event":"Refused"`, 1)
		}
		items = append(items, item)
	}
	// The client's clock is two hours slow.
	sentAt := time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)
	post := func(items []string) {
		t.Helper()
		body := `{"batch":[` + strings.Join(items, ",") + `],"sentAt":"` + sentAt + `"}`
		if a := s.post("/v1/batch", "collector-test-key", []byte(body)); a.status != http.StatusOK || a.body != "{}" {
			t.Fatalf("answered %d %s", a.status, a.body)
		}
	}
	post(items[:n/2])
	first := sender.log
	sender.kill()
	http.DefaultClient.CloseIdleConnections() // its connections are dead, and a client notices in the middle of a request
	sender = s.start()
	post(items[n/2:])

	receiver := upstream.start()
	eventually(t, "all but the refused event upstream", func() bool { return len(upstream.lines("events.jsonl")) >= n-1 })
	eventually(t, "all events in the sender's file", func() bool { return len(s.lines("events.jsonl")) == n })

	var entries []struct {
		Source, Destination, Event string
		Violations                 []struct{ Message string }
	}
	list := exec.CommandContext(t.Context(), filepath.Join(binaries, "wellhead"), "quarantine", "list", "--json", "-c", s.path("wellhead.yaml"))
	out, err := list.Output()
	if err != nil || json.Unmarshal(out, &entries) != nil || len(entries) != 1 || len(entries[0].Violations) != 1 {
		t.Fatalf("the quarantine has %s (%v), want one entry with one reason", out, err)
	}
	if e := entries[0]; e.Source != "shop" || e.Destination != "cdp" || e.Event != "Refused" ||
		!strings.HasPrefix(e.Violations[0].Message, "refused: "+upstream.listen+" refused it: plan at /properties: ") {
		t.Errorf("the quarantine has %s", out)
	}

	// The host's own members are the receiver's own.
	own := []string{"receivedAt", "sourceId", "sentAt", "timestamp", "originalTimestamp"}
	sent, got := s.membersOf("events.jsonl"), upstream.membersOf("events.jsonl")
	if len(got) != n-1 {
		t.Errorf("%d events are upstream, want %d", len(got), n-1)
	}
	for id, members := range got {
		was := sent[id]
		for name, value := range was {
			if !slices.Contains(own, name) && !bytes.Equal(value, members[name]) {
				t.Errorf("%s: %s went in as %s and came out as %s", id, name, value, members[name])
			}
		}
		for name := range members {
			if was[name] == nil {
				t.Errorf("%s: %s came out of nothing", id, name)
			}
		}
		if string(members["sourceId"]) != `"web"` || !bytes.Equal(members["originalTimestamp"], was["timestamp"]) {
			t.Errorf("%s: sourceId %s, originalTimestamp %s, want the sender's timestamp %s", id, members["sourceId"], members["originalTimestamp"], was["timestamp"])
		}
		// Nor does the time that it waited for the receiver move it.
		var before, after time.Time
		if err := json.Unmarshal(was["timestamp"], &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(members["timestamp"], &after); err != nil {
			t.Fatal(err)
		}
		if moved := after.Sub(before); moved < -time.Second || moved > 5*time.Second {
			t.Errorf("%s: its timestamp moved by %v", id, moved)
		}
	}
	last := -1
	for _, line := range upstream.lines("events.jsonl") {
		var e struct{ Properties struct{ At int } }
		if err := json.Unmarshal(line, &e); err != nil || e.Properties.At <= last {
			t.Errorf("event %d comes after %d (%v)", e.Properties.At, last, err)
		}
		last = e.Properties.At
	}
	for what, log := range map[string]string{"killed sender": first.String(), "sender": sender.log.String(), "receiver": receiver.log.String()} {
		if strings.Contains(log, upstreamKey) {
			t.Errorf("the key is in the log of the %s", what)
		}
	}
}
