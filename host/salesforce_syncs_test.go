package host_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// What people do to syncs by the command line, at the real plugin: a paused one
// is paused after a kill too, and what changed meanwhile comes when it is resumed.
func TestSyncsOfAnOrgDoWhatTheyAreTold(t *testing.T) {
	s := newOrgSite(t, func(*org.Org) {})
	h := s.start()
	s.connect()
	title := func(sync string) func(*told) bool {
		return func(e *told) bool { return e.Context.Salesforce.Sync == sync && e.Traits["Title"] == "while paused" }
	}
	eventually(t, "the org in the file", func() bool { return len(s.told(nil)) == 27 })
	eventually(t, "all runs have ended", func() bool {
		syncs := s.syncs()
		for _, sync := range syncs {
			if sync.State != "idle" || len(sync.Runs) == 0 || sync.Runs[0].State != "done" {
				return false
			}
		}
		return len(syncs) == 4
	})

	s.sync("contacts: paused", "pause", "crm", "contacts")
	s.admin("update", map[string]any{"object": "Contact", "id": "003000000000001AAA", "fields": map[string]any{"Title": "while paused"}})
	s.admin("update", map[string]any{"object": "Account", "id": "001000000000001AAA", "fields": map[string]any{"Industry": "after"}})
	heard := func(industry string) func() bool {
		return func() bool {
			return len(s.told(func(e *told) bool { return e.Traits["Industry"] == industry })) > 0
		}
	}
	eventually(t, "a change of another sync", heard("after"))
	h.kill()
	h = s.start()
	eventually(t, "the paused sync is paused after the kill", func() bool { return s.syncs()["contacts"].State == "paused" })
	s.admin("update", map[string]any{"object": "Account", "id": "001000000000001AAA", "fields": map[string]any{"Industry": "later"}})
	eventually(t, "a change after the kill", heard("later"))
	if got := s.told(title("contacts")); len(got) > 0 {
		t.Error("a paused sync told of a change")
	}
	if out, err := s.wellhead("sync", "run", "crm", "contacts").CombinedOutput(); err == nil || !strings.Contains(string(out), "sync contacts is paused; run wellhead sync resume first") {
		t.Errorf("run of a paused sync: %v\n%s", err, out)
	}
	s.sync("contacts: resumed", "resume", "crm", "contacts")
	s.sync("contacts: was not paused", "resume", "crm", "contacts")
	eventually(t, "what changed meanwhile", func() bool { return len(s.told(title("contacts"))) == 1 })

	s.sync("leads: ", "run", "crm", "leads", "--wait")
	before := len(s.lines("events.jsonl"))
	reset := time.Now().Truncate(time.Millisecond)
	s.sync("contacts: reset", "reset", "crm", "contacts", "--yes")
	eventually(t, "everything is read again", func() bool {
		return slices.ContainsFunc(s.syncs()["contacts"].Runs, func(r syncRun) bool {
			return r.Kind == "backfill" && r.State == "done" && r.Read == 10 && !r.Started.Before(reset)
		})
	})
	if got := len(s.lines("events.jsonl")); got != before {
		t.Errorf("reading again brought %d events that are in the file already", got-before)
	}
	if out, err := s.wellhead("sync", "list", "crm", "contact").CombinedOutput(); err == nil || !strings.Contains(string(out), `has no sync "contact"; did you mean "contacts"?`) {
		t.Errorf("an unknown sync: %v\n%s", err, out)
	}
	h.stop()
}

// sync runs a command about syncs, which says this.
func (s *orgSite) sync(says string, args ...string) {
	s.t.Helper()
	if out, err := s.wellhead(append([]string{"sync"}, args...)...).CombinedOutput(); err != nil || !strings.Contains(string(out), says) {
		s.t.Fatalf("sync %v: %v\n%s", args, err, out)
	}
}

type syncRun struct {
	Kind, State string
	Started     time.Time
	Read        uint64
}

type syncState struct {
	Name, State string
	Runs        []syncRun
}

// syncs is what wellhead sync list tells of each.
func (s *orgSite) syncs() map[string]syncState {
	s.t.Helper()
	out, err := s.wellhead("sync", "list", "crm", "--json").Output()
	if err != nil {
		return nil // the host is not up yet
	}
	var list struct{ Syncs []syncState }
	if err := json.Unmarshal(out, &list); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]syncState{}
	for _, sync := range list.Syncs {
		all[sync.Name] = sync
	}
	return all
}
