package host_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clientScripts drive the vendors' own clients, from npm.
const clientScripts = "../plugins/javascript/testdata/clients"

// sentByClient is what the scripts print.
type sentByClient struct {
	Sent []struct {
		Type, MessageID string
		Status          int
	}
	Missing, Errors []string
}

// runClient runs a script, which fails where an event was not answered 200.
func runClient(t *testing.T, args ...string) sentByClient {
	t.Helper()
	var r sentByClient
	runScript(t, "", &r, args...)
	return r
}

// runScript runs a script with its standard input, and decodes the JSON that it
// prints. A script that fails fails the test.
func runScript(t *testing.T, input string, out any, args ...string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(clientScripts, "node_modules")); err != nil {
		t.Fatal("the clients are not installed: npm ci --ignore-scripts --prefix plugins/javascript/testdata/clients")
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir, cmd.Stdin = clientScripts, strings.NewReader(input)
	printed, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("node %v: %v\n%s%s", args, err, printed, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(printed, out); err != nil {
		t.Fatalf("node %v printed %q: %v", args, printed, err)
	}
}

const clientsConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  web: {plugin: javascript, keys: [client-test-key], destinations: [archive]}
destinations:
  archive: {type: file, path: events.jsonl}
`

// What the vendors' own clients send, in Chromium and in Node, stands in the
// file: every event once, of its type, with the source's name.
func TestTheVendorsClientsReachTheFile(t *testing.T) {
	s := newSite(t, clientsConfig)
	s.start()
	base := "http://" + s.listen
	for _, args := range [][]string{
		{"browser-clients.mjs", "analytics-next", base, "client-test-key"},
		{"browser-clients.mjs", "cdp-analytics-browser", base, "client-test-key"},
		{"server-clients.mjs", "analytics-node", base, "client-test-key", "3"},
		{"server-clients.mjs", "cdp-analytics-node", base, "client-test-key", "3"},
		{"server-clients.mjs", "customerio-node", base, "client-test-key", "3"},
		{"server-clients.mjs", "customerio-node-strict", base, "client-test-key", "3"},
	} {
		t.Run(args[1], func(t *testing.T) {
			types := map[string]int{}
			for _, e := range runClient(t, args...).Sent {
				types[e.Type]++
				eventually(t, e.Type+" "+e.MessageID+" in the file", func() bool { return s.archived()[e.MessageID] == 1 })
			}
			for _, want := range []string{"page", "identify", "track", "group"} {
				if types[want] == 0 {
					t.Errorf("no %s call was sent: %v", want, types)
				}
			}
		})
	}
}

// What `make run` shows: the shop's page in a browser, and five seconds after a
// click the event in the file.
func TestAClickInTheQuickstartIsInTheFileWithinSeconds(t *testing.T) {
	q := newQuickstart(t)
	q.start()
	s := q.data()
	for _, library := range []string{"segment", "customerio"} {
		r := runClient(t, "visit.mjs", "http://"+q.shop+"/?library="+library, "page,track,identify,group",
			"[data-product=Chess]", "#identify", "#group")
		clicked := time.Now()
		for _, e := range r.Sent {
			eventually(t, library+": "+e.Type+" in the file", func() bool { return s.archived()[e.MessageID] == 1 })
		}
		if took := time.Since(clicked); took > 5*time.Second {
			t.Errorf("%s: the last event was in the file %s after its click", library, took)
		}
		if len(r.Errors) > 0 {
			t.Errorf("%s: the page's errors: %v", library, r.Errors)
		}
	}
	before := len(s.archived())
	if out, err := q.command("-webhook").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the test webhook in the file", func() bool {
		lines := s.lines("events.jsonl")
		return len(lines) == before+1 && strings.Contains(string(lines[before]), `"event":"Email Delivered"`)
	})
}
