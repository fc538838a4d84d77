package host_test

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

// TestGateAcceptsWhatTheForwarderEmits judges the events of the forwarder's
// golden files. It refuses those that are there to be refused, and no others.
func TestGateAcceptsWhatTheForwarderEmits(t *testing.T) {
	refused := map[string]string{
		"v1_events/late":             event.CodeSchema, // a time in milliseconds
		"v1_events_anonymous/nobody": event.CodeNoID,
		"webhook_other/":             event.CodeSchema, // it has no metric
		"webhook_other/SMS Sent":     event.CodeNoID,
		"webhook_other/not_object":   event.CodeNotObject,
	}
	files, err := filepath.Glob("../plugins/journeys/translate/testdata/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), "golden files", err)
	}
	g, err := gate.New(gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source := g.Source(gate.SourceOptions{ID: "app"})
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		name = name[:len(name)-len(".txtar")]
		for _, f := range archive.Files {
			if f.Name != "events" {
				continue
			}
			for d := json.NewDecoder(bytes.NewReader(f.Data)); ; {
				var claim json.RawMessage
				if err := d.Decode(&claim); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				var e struct{ Event string }
				if json.Unmarshal(claim, &e) != nil {
					e.Event = event.CodeNotObject
				}
				want := refused[name+"/"+e.Event]
				delete(refused, name+"/"+e.Event)
				got := ""
				if r := source.Judge(gate.Input{Claim: event.Claim(claim)}, time.Now()).Refusal; r != nil {
					got = r.Violations[0].Code
				}
				if got != want {
					t.Errorf("%s: refused as %q, want %q: %s", name, got, want, claim)
				}
			}
		}
	}
	for e := range refused {
		t.Errorf("no event %s", e)
	}
}
