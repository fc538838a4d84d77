package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/sdk"
)

// ask returns a client of the org at a URL.
func ask(t *testing.T, token sdk.Token) *client.Client {
	t.Helper()
	c := client.New(client.Options{Tokens: granted{token}, Backoff: time.Millisecond})
	t.Cleanup(c.Close)
	return c
}

// What is wrong with one sync is told by check with the fix, and stops that sync
// alone while the source runs.
func TestWhatIsWrongWithASyncIsFoundBeforeAndWhileItRuns(t *testing.T) {
	f := newStream(t, org.Options{})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.org.SetAccess("Lead", org.Access{NoRead: true}))
	must(f.org.SetAccess("Account", org.Access{HiddenFields: []string{"Industry"}}))
	must(f.org.Fail(org.Fault{Name: "insufficient_access", Path: "FROM Opportunity"}))
	insert(t, f.org, "A")
	id := object.Identify
	syncs := map[string]syncConfig{
		"good":      {Object: "Contact", Call: id},
		"call":      {Object: "Contact", Call: "page"},
		"field":     {Object: "Contact", Call: id, Fields: []string{"Id", "Emial"}},
		"hidden":    {Object: "Account", Call: object.Group, Fields: []string{"Industry"}},
		"no rights": {Object: "Opportunity", Call: object.Track},
		"object":    {Object: "Contct", Call: id},
		"type":      {Object: "Contact", Call: id, UserID: "MailingAddress"},
		"unread":    {Object: "Lead", Call: id},
		"where":     {Object: "Contact", Call: id, Where: "Name ="},
		"where's":   {Object: "Contact", Call: id, Where: "Emial != null"},
	}
	want := map[string][]string{ // code, path and a part of the fix
		"call":      {"wrong_value", "/call", "identify, group or track"},
		"field":     {"unknown_field", "/fields/1", "did you mean Email?"},
		"hidden":    {"unknown_field", "/fields/0", "Set Field-Level Security"},
		"no rights": {"no_permission", "", "Object Settings > the object > Read and View All Records"},
		"object":    {"unknown_object", "/object", "API name"},
		"type":      {"unsuitable_field", "/user_id", "name a text"},
		"unread":    {"unknown_object", "/object", "Object Settings > the object > Read"},
		"where":     {"malformed_query", "/where", "mend where"},
		"where's":   {"unknown_field", "/where", "mend where"},
	}
	look := func(when string, problems []sdk.Problem) {
		t.Helper()
		for name, w := range want {
			at := "/syncs/" + name + w[1]
			if !slices.ContainsFunc(problems, func(p sdk.Problem) bool {
				return p.Code == w[0] && p.Path == at && strings.Contains(p.Fix, w[2])
			}) {
				t.Errorf("%s, sync %s: want %q among %+v", when, name, w, problems)
			}
		}
		if len(problems) != len(want) {
			t.Errorf("%s: %d problems, want %d: %+v", when, len(problems), len(want), problems)
		}
	}
	c := settings(time.Hour, syncs)
	token, _ := f.Token(t.Context())
	look("check", check(t.Context(), ask(t, token), c))
	f.start(t, c)
	f.await(t, "the good sync and the others' problems", func() bool {
		for name := range want {
			if f.syncs[name].State != sdk.SyncFailed {
				return false
			}
		}
		return f.syncs["good"].State == sdk.SyncIdle && len(f.problems) >= len(want)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	look("running", f.problems)
	if f.count(`"sync":"good"`) != 1 {
		t.Errorf("%d events of the good sync", f.count(`"sync":"good"`))
	}
}

// What is wrong with the source as a whole is told once, not for each sync.
func TestWhatIsWrongWithTheSourceIsToldOnce(t *testing.T) {
	page := func(status int) sdk.Token { // what is not Salesforce's API
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
		}))
		t.Cleanup(srv.Close)
		return sdk.Token{AccessToken: "t", InstanceURL: srv.URL}
	}
	f := newStream(t, org.Options{})
	disabled := newStream(t, org.Options{})
	if err := disabled.org.Fail(org.Fault{Name: "api_disabled"}); err != nil {
		t.Fatal(err)
	}
	there, _ := disabled.Token(context.Background())
	for name, w := range map[string]struct {
		token           sdk.Token
		code, path, fix string
	}{
		"refused token": {sdk.Token{AccessToken: "stale", InstanceURL: f.url}, "session_refused", "", "wellhead connect"},
		"wrong host":    {page(http.StatusFound), "wrong_host", "/login_url", "My Domain"},
		"a website":     {page(http.StatusNotFound), "wrong_host", "/login_url", "My Domain"},
		"nobody there":  {sdk.Token{AccessToken: "t", InstanceURL: "http://127.0.0.1:1"}, "unreachable", "/login_url", "network"},
		"no API":        {there, "api_disabled", "", "API Enabled"},
	} {
		problems := check(t.Context(), ask(t, w.token), settings(time.Hour, templates))
		if len(problems) != 1 || problems[0].Code != w.code || problems[0].Path != w.path || !strings.Contains(problems[0].Fix, w.fix) {
			t.Errorf("%s: got %+v", name, problems)
		}
	}
}

// airbyte#4312, airbyte#4564, airbyte#1669, airbyte#6021, mage#4314
func TestDiscoveryAsksOnlyForWhatTheConfigNames(t *testing.T) {
	f := newStream(t, org.Options{})
	if err := f.org.AddField("Contact", org.Field{Name: "New__c", Label: "New", Type: "hologram"}); err != nil {
		t.Fatal(err)
	}
	token, _ := f.Token(t.Context())
	before := f.org.Stats().Requests
	streams, err := discover(t.Context(), ask(t, token), settings(time.Hour, map[string]syncConfig{"gone": {Object: "Gone__c"}, "things": {Object: "Custom__c"}}))
	if err != nil {
		t.Fatal(err)
	}
	if n := f.org.Stats().Requests - before; n != 5 || len(streams) < 50 {
		t.Errorf("%d requests for %d objects, want one for all and one for each of Account, Contact, Custom__c and Lead", n, len(streams))
	}
	for _, s := range streams {
		var schema struct{ Properties map[string]any }
		if err := json.Unmarshal(s.Schema, &schema); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		whole := slices.Contains([]string{"Account", "Contact", "Custom__c", "Lead"}, s.Name)
		if (schema.Properties["Id"] != nil) != whole || s.Name == "Contact" && schema.Properties["New__c"] == nil {
			t.Errorf("%s: %s", s.Name, s.Schema)
		}
	}
}

func TestCheckAsksForEachObjectOnce(t *testing.T) {
	f := newStream(t, org.Options{})
	token, _ := f.Token(t.Context())
	before := f.org.Stats()
	if problems := check(t.Context(), ask(t, token), settings(time.Hour, templates)); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
	after := f.org.Stats()
	if describes, queries := after.Describes-before.Describes, after.Queries-before.Queries; describes != 3 || queries != 4 {
		t.Errorf("%d describes and %d queries for 4 syncs of Account, Contact and Lead", describes, queries)
	}
}

// What is asked for by name has no place in the config.
func TestAnUnknownObjectThatIsAskedForIsNotInTheConfig(t *testing.T) {
	f := newStream(t, org.Options{})
	token, _ := f.Token(t.Context())
	_, err := discoverOne(t.Context(), ask(t, token), "Contct")
	if p, ok := errors.AsType[sdk.Problem](err); !ok || p.Path != "" || p.Code != "unknown_object" || !strings.Contains(p.Fix, "did you mean Contact?") {
		t.Errorf("%+v", err)
	}
}

func TestWhetherChangesCanBeHeardIsChecked(t *testing.T) {
	f := newStream(t, org.Options{})
	here := serve(t, f.org)
	for name, w := range map[string]struct {
		enabled                  bool
		endpoint, ca, path, says string
	}{
		"it answers":     {true, here, "", "", ""},
		"nobody there":   {true, "127.0.0.1:1", "", "/pubsub", "cannot be reached at 127.0.0.1:1"},
		"no certificate": {true, here, "nope.pem", "/pubsub/ca_file", "nope.pem"},
		"not wanted":     {false, "127.0.0.1:1", "", "", ""},
	} {
		c := settings(time.Hour, templates)
		c.PubSub.Enabled, c.PubSub.Endpoint, c.PubSub.CAFile, c.PubSub.Plaintext = w.enabled, w.endpoint, w.ca, w.ca == ""
		got := checkEvents(t.Context(), c)
		if w.says == "" && len(got) > 0 || w.says != "" && (len(got) != 1 || got[0].Path != w.path || !strings.Contains(got[0].Message, w.says) || got[0].Fix == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
