package host_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// told is an event of the plugin.
type told struct {
	Type, Event, UserID string
	Traits              map[string]any
	Context             struct{ Salesforce struct{ Sync, ID string } }
}

// told reads the events in the file, those of which keep is true.
func (s *site) told(keep func(*told) bool) (out []told) {
	s.t.Helper()
	for _, line := range s.lines("events.jsonl") {
		var e told
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatal(err)
		}
		if keep == nil || keep(&e) {
			out = append(out, e)
		}
	}
	return out
}

// fold is what the events of a sync say that its records are.
func (s *site) fold(sync string) map[string]map[string]any {
	s.t.Helper()
	out := map[string]map[string]any{}
	for _, e := range s.told(func(e *told) bool { return e.Context.Salesforce.Sync == sync }) {
		if e.Type == "identify" || e.Type == "group" {
			out[e.Context.Salesforce.ID] = e.Traits
		} else { // deleted, or merged into another
			delete(out, e.Context.Salesforce.ID)
		}
	}
	return out
}

// differs says what the file does not tell as it is in the org; "": it is all
// there. The org may run.
func (s *orgSite) differs(sync, object string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.state)
	if err != nil {
		s.t.Fatal(err)
	}
	copied := s.state + ".copy"
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	o, err := org.Open(copied, org.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer o.Close()
	have := s.fold(sync)
	for _, id := range o.IDs(object) {
		row, _ := o.Get(object, id)
		traits := have[id]
		if traits == nil {
			return id + " was never told, or was told to be deleted"
		}
		for _, name := range []string{"Name", "Title", "Phone", "AccountId", "Industry", "SystemModstamp"} {
			if got, want := fmt.Sprint(traits[name]), strings.Replace(fmt.Sprint(row[name]), "+0000", "Z", 1); got != want {
				return fmt.Sprintf("%s.%s was told as %s and is %s", id, name, got, want)
			}
		}
		delete(have, id)
	}
	for id := range have {
		return id + " is gone, and was not told to be"
	}
	return ""
}

// Whatever is killed, and when, the file tells the org in the end: host, plugin
// and org are killed during the first read and under a stream of changes.
func TestNothingOfAnOrgIsLostUnderKills(t *testing.T) {
	kills := 12
	if os.Getenv("WELLHEAD_LONG") != "" {
		kills = 300
	}
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	var contacts []string
	s := newOrgSite(t, func(o *org.Org) {
		for i := range 11_000 { // as many are read by Bulk, the leads by REST
			if _, err := o.Insert("Contact", map[string]any{"LastName": fmt.Sprint("Contact ", i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3000 {
			if _, err := o.Insert("Lead", map[string]any{"LastName": fmt.Sprint("Lead ", i), "Company": "Company"}); err != nil {
				t.Fatal(err)
			}
		}
		contacts = o.IDs("Contact")
	})
	h := s.start()
	s.connect()
	kill := func(victim string) {
		switch victim {
		case "host":
			h.kill()
			h = s.start()
		case "plugin":
			killPlugins(t, h)
		case "org":
			s.killOrg()
			wait(t, time.Duration(r.IntN(300))*time.Millisecond)
			s.startOrg()
		}
	}
	some := func() string { return []string{"host", "plugin", "org"}[r.IntN(3)] }
	all := len(contacts) + 3000
	for i := range kills / 2 {
		at := (all*i + r.IntN(all)) / (kills / 2)
		eventuallyOr(t, func() bool { return len(s.lines("events.jsonl")) >= at }, func() {
			status, _ := s.wellhead("sync", "list", "crm").CombinedOutput()
			t.Fatalf("the first read has stopped at %d events, before %d\n%s", len(s.lines("events.jsonl")), at, status)
		})
		victim := some()
		t.Logf("with %d events of the first read in the file: kill %s", len(s.lines("events.jsonl")), victim)
		kill(victim)
	}
	eventually(t, "every contact", func() bool { return len(s.fold("contacts")) == len(contacts) })

	var changes atomic.Int64
	done := make(chan struct{})
	var moving errgroup.Group
	mover := rand.New(rand.NewPCG(r.Uint64(), 0))
	moving.Go(func() error { s.move(mover, contacts, &changes, done); return nil })
	for range kills - kills/2 {
		wait(t, time.Duration(200+r.IntN(1300))*time.Millisecond)
		victim := some()
		t.Logf("after %d changes: kill %s", changes.Load(), victim)
		kill(victim)
	}
	close(done)
	_ = moving.Wait()
	if changes.Load() < int64(10*kills) {
		t.Errorf("only %d changes", changes.Load())
	}
	for sync, object := range map[string]string{"contacts": "Contact", "accounts": "Account", "leads": "Lead"} {
		difference := ""
		eventuallyOr(t, func() bool { difference = s.differs(sync, object); return difference == "" }, func() {
			t.Fatalf("%s differ from the org within a minute: %s", sync, difference)
		})
	}
	h.stop()
	for id, n := range s.archived() {
		if n > 1 {
			t.Errorf("%s stands in the file %d times", id, n)
		}
	}
}

// move changes contacts until done is closed, and counts the changes.
func (s *orgSite) move(r *rand.Rand, ids []string, changes *atomic.Int64, done <-chan struct{}) {
	var gone []string
	one := func() string { return ids[r.IntN(len(ids))] }
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		n := changes.Add(1)
		switch r.IntN(8) {
		case 0:
			if a := s.admin("insert", map[string]any{"object": "Contact", "fields": map[string]any{"LastName": fmt.Sprint("New ", n)}}); a.ID != "" {
				ids = append(ids, a.ID)
			}
		case 1:
			id := one()
			s.admin("delete", map[string]any{"object": "Contact", "id": id})
			gone = append(gone, id)
		case 2:
			if len(gone) > 0 {
				s.admin("undelete", map[string]any{"object": "Contact", "id": gone[r.IntN(len(gone))]})
			}
		case 3:
			s.admin("merge", map[string]any{"object": "Contact", "master": one(), "losers": []string{one()}})
		case 4:
			s.admin("harddelete", map[string]any{"object": "Contact", "id": one()})
		case 5:
			s.admin("update", map[string]any{"object": "Account", "id": "001000000000001AAA", "fields": map[string]any{"Industry": fmt.Sprint(n)}})
		default:
			s.admin("update", map[string]any{"object": "Contact", "id": one(), "fields": map[string]any{"Title": fmt.Sprint(n), "Phone": nil}})
		}
	}
}

// killProcess kills a child by its name, of which Linux knows 15 bytes.
func killProcess(t *testing.T, parent int, name string) {
	t.Helper()
	for _, pid := range children(t, parent) {
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(comm)) == name {
			p, err := os.FindProcess(pid)
			if err = errors.Join(err, p.Kill()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no child of %d is called %s", parent, name)
}
