package host_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

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
	second, err2 := os.ReadFile(two[1])
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	spoil("the answer to another question", 2, func(file string, _ []byte) error {
		other := first
		if file == two[0] {
			other = second
		}
		return os.WriteFile(file, other, 0o600)
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
