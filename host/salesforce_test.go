package host_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// What `make run` shows of Salesforce: consent by a click in a browser, the
// records in the file, a change a moment later; and after a kill of the org, of
// the host or of everything it goes on where it was.
func TestTheQuickstartReadsAnOrgAfterAClick(t *testing.T) {
	q := newQuickstart(t)
	q.start()
	if !strings.Contains(q.log.String(), "source crm waits until you grant access") {
		t.Error("the quickstart does not say that access is to be granted")
	}
	if out, err := q.wellhead("status").CombinedOutput(); err != nil || !strings.Contains(string(out), "run: wellhead connect crm [needs_consent]") {
		t.Errorf("status before the consent: %v\n%s", err, out) // an error: the host is not ready
	}
	if out, err := q.command("-change").CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody reads it yet: run bin/wellhead connect crm") {
		t.Errorf("a change before the consent: %v\n%s", err, out)
	}

	grantAccess(t, q.wellhead("connect", "crm", "--yes", "--listen", freeAddr(t)), func(page string) {
		var ended struct{ Title string }
		runScript(t, "", &ended, "consent.mjs", page, "allow")
	})
	s := q.data()
	records := func() (calls map[string]int) {
		calls = map[string]int{}
		for _, e := range s.told(nil) {
			calls[e.Type+" "+e.Context.Salesforce.Sync]++
		}
		return calls
	}
	want := map[string]int{"identify contacts": 10, "identify leads": 2, "group accounts": 5, "group members": 10}
	eventually(t, "every record of the org in the file", func() bool { return maps.Equal(records(), want) })

	var took []time.Duration
	change := func() {
		t.Helper()
		began := time.Now()
		out, err := q.command("-change").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Rear Admiral") {
			t.Fatalf("a change: %v\n%s", err, out)
		}
		took = append(took, time.Since(began)) // with two processes' starts
	}
	for range 11 {
		change()
	}
	slices.Sort(took)
	t.Logf("from the start of the command to the line in the file: %v", took)
	if took[len(took)/2] > time.Second {
		t.Errorf("half of the changes took longer than %s", took[len(took)/2])
	}

	// The org dies: the quickstart ends and says so. Started again it goes on.
	killProcess(t, q.cmd.Process.Pid, "salesforce-simu")
	if err := q.cmd.Wait(); err == nil || !strings.Contains(q.log.String(), "the Salesforce simulator has ended: start again with make run") {
		t.Errorf("after the org died: %v", err)
	}
	q.start()
	if !strings.Contains(q.log.String(), "read by source crm") {
		t.Error("after a restart the grant is gone")
	}
	change()
	killProcess(t, q.cmd.Process.Pid, "wellhead")
	_ = q.cmd.Wait()
	q.start()
	change()
	_ = q.cmd.Process.Kill() // its children end with it
	_ = q.cmd.Wait()
	eventually(t, "the addresses are free again", func() bool {
		for _, addr := range q.at {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return false
			}
			_ = l.Close()
		}
		return true
	})
	q.start()
	change()
	for id, n := range s.archived() {
		if n > 1 {
			t.Errorf("%s stands in the file %d times", id, n)
		}
	}

	other := newQuickstart(t)
	other.org = q.org
	if out, err := other.command().CombinedOutput(); err == nil || !strings.Contains(string(out), "is another simulator running? end it") {
		t.Errorf("a second one at the org's address: %v\n%s", err, out)
	}
}

const orgConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  salesforce: {path: "$BIN/plugins/salesforce"}
sources:
  crm:
    plugin: salesforce
    config:
      login_url: "http://$ORG"
      auth: {client_id: wellhead-simulator, client_secret: simulator-secret}
      interval: 1s
      pubsub: {enabled: true, endpoint: "$EVENTS", plaintext: true}
    limits: {rate: 3000/s, burst: 2000} # so that the first read takes a while
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// orgSite is a site whose host reads a simulated org.
type orgSite struct {
	*site
	org, events string
	state       string // the org's file
	simulator   *exec.Cmd
}

// newOrgSite starts an org that fill has written to.
func newOrgSite(t *testing.T, fill func(*org.Org)) *orgSite {
	t.Helper()
	s := &orgSite{org: freeAddr(t), events: freeAddr(t), state: filepath.Join(t.TempDir(), "org")}
	s.site = newSite(t, strings.NewReplacer("$ORG", s.org, "$EVENTS", s.events).Replace(orgConfig))
	o, err := org.Open(s.state, org.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(o)
	o.Close()
	s.startOrg()
	return s
}

func (s *orgSite) startOrg() {
	s.t.Helper()
	log := &syncBuffer{}
	cmd := exec.Command(filepath.Join(binaries, "salesforce-simulator"), "-listen", s.org, "-pubsub", s.events, "-state", s.state)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.simulator = cmd
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(s.t, "the org listens", func() bool { return strings.Contains(log.String(), "Pub/Sub at") })
}

func (s *orgSite) killOrg() {
	_ = s.simulator.Process.Kill()
	_ = s.simulator.Wait()
}

// connect grants the running host access, as a browser does.
func (s *orgSite) connect() {
	s.t.Helper()
	eventually(s.t, "the host is ready", func() bool { return s.wellhead("status").Run() == nil })
	grantAccess(s.t, s.wellhead("connect", "crm", "--yes", "--listen", freeAddr(s.t)), func(page string) {
		u, err := url.Parse(page)
		if err != nil {
			s.t.Fatal(err)
		}
		form := u.Query()
		form.Set("un", org.AdminUsername)
		form.Set("pw", "any")
		form.Set("decision", "allow")
		u.RawQuery = ""
		res, err := http.PostForm(u.String(), form)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = res.Body.Close()
	})
}

func (s *site) wellhead(args ...string) *exec.Cmd {
	return exec.CommandContext(s.t.Context(), filepath.Join(binaries, "wellhead"), append(args, "-c", s.path("wellhead.yaml"))...)
}

var consentPage = regexp.MustCompile(`http://\S+/services/oauth2/authorize\S+`)

// grantAccess runs wellhead connect, and lets the person go to the page that it
// names.
func grantAccess(t *testing.T, connect *exec.Cmd, person func(page string)) {
	t.Helper()
	log := &syncBuffer{}
	connect.Env = append(os.Environ(), "BROWSER=true", "PATH=/usr/bin:/bin") // opens nothing
	connect.Stdout, connect.Stderr = log, log
	if err := connect.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page of the consent", func() bool { return strings.Contains(log.String(), "waiting for the browser") })
	person(consentPage.FindString(log.String()))
	if err := connect.Wait(); err != nil || !strings.Contains(log.String(), "crm: connected to Simulator") {
		t.Fatalf("connect: %v\n%s", err, log)
	}
}

// admin changes the org. It returns nothing where the org is down or refuses.
func (s *orgSite) admin(name string, arguments map[string]any) (answer struct{ ID string }) {
	body, err := json.Marshal(arguments)
	if err != nil {
		panic(err)
	}
	res, err := http.Post("http://"+s.org+"/admin/"+name, "application/json", bytes.NewReader(body))
	if err != nil {
		return answer
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
		_ = json.Unmarshal(b, &answer)
	}
	return answer
}

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

// What there is to read, by the command line: every object, and the schema of one
// that no sync names; the host that runs gives the access token.
func TestDiscoverTellsWhatAnOrgHas(t *testing.T) {
	s := newOrgSite(t, func(*org.Org) {})
	h := s.start()
	s.connect()
	list, err := s.wellhead("discover", "crm").Output()
	if err != nil || !regexp.MustCompile(`(?m)^Account +Account$`).Match(list) || !regexp.MustCompile(`(?m)^Custom__c +`).Match(list) {
		t.Errorf("%v\n%s", err, list)
	}
	raw, err := s.wellhead("discover", "crm", "Custom__c").Output()
	var schema struct{ Properties map[string]struct{ Type any } }
	if err := errors.Join(err, json.Unmarshal(raw, &schema)); err != nil || schema.Properties["CustomField__c"].Type == nil {
		t.Errorf("%v\n%s", err, raw)
	}
	raw, err = s.wellhead("discover", "crm", "Opportunity", "--json").Output()
	var streams []struct {
		Name   string
		Schema struct{ Properties map[string]any }
	}
	if err := errors.Join(err, json.Unmarshal(raw, &streams)); err != nil || len(streams) != 1 || streams[0].Name != "Opportunity" || streams[0].Schema.Properties["StageName"] == nil {
		t.Errorf("%v\n%s", err, raw)
	}
	for wrong, want := range map[string]string{"Oportunity": `there is no object "Oportunity" that the connected user may read; did you mean Opportunity?`, "no name": "there is no object"} { //nolint:misspell // as somebody may write it
		if out, err := s.wellhead("discover", "crm", wrong).CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", wrong, err, out)
		}
	}
	h.stop()
}

// What an org has is asked once in a while, and no token is asked for either; the
// answer is kept beside a host that runs, and serves its own question alone.
func TestWhatAnOrgHasIsAskedOnceInAWhile(t *testing.T) {
	s := newOrgSite(t, func(*org.Org) {})
	h := s.start()
	s.connect()
	discover := func(args ...string) (answer string, kept bool) {
		t.Helper()
		var out, says bytes.Buffer
		cmd := s.wellhead(append([]string{"discover", "crm"}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &says
		if err := cmd.Run(); err != nil || out.Len() == 0 {
			t.Fatalf("discover %q: %v\n%s%s", args, err, &out, &says)
		}
		return out.String(), regexp.MustCompile(`^as of \d+s ago; --fresh asks again\n$`).Match(says.Bytes())
	}
	asked, kept := discover("Custom__c")
	if kept {
		t.Error("the first answer is one that was kept")
	}
	if again, kept := discover("Custom__c"); !kept || again != asked {
		t.Errorf("beside a host the answer is not kept, or another:\n%s\n%s", again, asked)
	}
	h.stop()
	spent := func() org.Stats {
		t.Helper()
		res, err := http.Get("http://" + s.org + "/admin/stats")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var st org.Stats
		if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	asks := func(when string, wants bool, args ...string) {
		t.Helper()
		before := spent()
		_, kept := discover(args...)
		if after := spent(); kept == wants || (after.Requests > before.Requests) != wants || !wants && after != before {
			t.Errorf("%s: kept %v, the org counts %+v after %+v", when, kept, after, before)
		}
	}
	asks("the same object", false, "Custom__c")
	asks("the same object, as JSON", false, "Custom__c", "--json")
	asks("fresh", true, "Custom__c", "--fresh")
	asks("another object", true, "Account")
	asks("all objects", true)
	asks("all objects again", false)

	answers := func(want int) []string {
		t.Helper()
		files, err := filepath.Glob(s.path("data/discovered/*"))
		if err != nil || len(files) != want {
			t.Errorf("%q are kept, want %d; %v", files, want, err)
		}
		return files
	}
	for _, file := range answers(3) {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	spoil := func(when string, kept int, how func(file string, content []byte) error) {
		t.Helper()
		for _, file := range answers(kept) {
			b, err := os.ReadFile(file)
			if err := errors.Join(err, how(file, b)); err != nil {
				t.Fatal(err)
			}
		}
		asks(when, true)
		asks(when+", again", false)
	}
	spoil("an old answer", 3, func(file string, _ []byte) error {
		return os.Chtimes(file, time.Time{}, time.Now().Add(-host.DiscoveredFor))
	})
	spoil("an answer of the future", 1, func(file string, _ []byte) error { // the others were removed
		return os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour))
	})
	spoil("half an answer", 1, func(file string, b []byte) error { return os.WriteFile(file, b[:len(b)/2], 0o600) })
	spoil("a changed answer", 1, func(file string, b []byte) error {
		return os.WriteFile(file, bytes.Replace(b, []byte("Account"), []byte("Acc0unt"), 1), 0o600)
	})
	asks("another object", true, "Account")
	two := answers(2)
	first, err := os.ReadFile(two[0])
	if err != nil {
		t.Fatal(err)
	}
	spoil("the answer to another question", 2, func(file string, second []byte) error {
		if file == two[0] {
			second, err = os.ReadFile(two[1])
			return errors.Join(err, os.WriteFile(file, second, 0o600))
		}
		return os.WriteFile(file, first, 0o600)
	})

	conf, err := os.ReadFile(s.path("wellhead.yaml"))
	if err == nil {
		err = os.WriteFile(s.path("wellhead.yaml"), bytes.Replace(conf, []byte("interval: 1s"), []byte("interval: 2s"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	asks("another config", true)
	asks("another config, again", false)
	h = s.start()
	s.connect()
	h.stop()
	asks("another grant", true)
	asks("another grant, again", false)
	if out, err := s.wellhead("discover", "crm", "Nope").CombinedOutput(); err == nil {
		t.Errorf("%s", out)
	}
	before := spent().Requests
	if out, err := s.wellhead("discover", "crm", "Nope").CombinedOutput(); err == nil || spent().Requests == before {
		t.Errorf("what is wrong is kept: %v, %s", err, out)
	}
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
