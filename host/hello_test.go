package host_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

const helloConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  hello: {path: "$BIN/plugins/hello"}
sources:
  greeter: {plugin: hello, destinations: [archive]}
destinations:
  archive: {type: file, path: events.jsonl}
`

func TestAPluginsEventsReachTheFileAndSurviveAKill(t *testing.T) {
	s := newSite(t, helloConfig)
	h := s.start()
	eventually(t, "two greetings in the file", func() bool { return len(s.lines("events.jsonl")) >= 2 })
	h.kill()
	before := len(s.lines("events.jsonl"))
	h = s.start()
	eventually(t, "two more greetings", func() bool { return len(s.lines("events.jsonl")) >= before+2 })
	h.stop()
	for i, line := range s.lines("events.jsonl") {
		var e struct{ MessageID, Event, SourceID string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if want := fmt.Sprintf("hello-%d", i+1); e.MessageID != want || e.SourceID != "greeter" {
			t.Errorf("line %d is %s of source %q, want %s of greeter", i+1, e.MessageID, e.SourceID, want)
		}
	}
}
