package host_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const journeysConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  journeys: {path: "$BIN/plugins/journeys", listen: "$LISTEN"}
sources:
  app:
    plugin: journeys
    keys: ["client-site:client-test-key"]
    config: {webhook_signing_keys: [retired-test-signing-key, signing-test-key]}
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// journeysUpstream is journeysConfig with a destination that repeats the calls
// at another address.
func journeysUpstream(addr string) string {
	return strings.Replace(journeysConfig, "[archive]", "[archive, cio]", 1) +
		fmt.Sprintf("  cio: {type: journeys, site_id: upstream-site, api_key: upstream-test-key, url: \"http://%s\"}\n", addr)
}

// What becomes of the calls of track-client.mjs, in their order: the type, the
// name and whom it is about.
var trackClientEvents = []string{
	"identify  user/1", "group acme user/1", // one call
	"identify  cio_d9c106000001",
	"track purchase user/1",
	"track looked anonymous-1",
	"track invited friend@example.com",
	"page /pricing user/1",
	"track Report Delivery Event delivery-1",
	"track Report Delivery Event delivery-1",
	"track Device Created or Updated user/1",
	"track Device Deleted user/1",
	"alias jane@example.com user/1",
	"track Segment Member Added 1", "track Segment Member Added 2", // one call
	"track Segment Member Removed jane@example.com",
	"identify  jane@example.com", "track Form Submitted jane@example.com", // one call
	"track Unsubscribed delivery/1",
	"track Subscribed delivery/1",
	"track User Suppressed user/1",
	"track User Unsuppressed user/1",
	"track entity event 42",
	// The batch.
	"identify  42",
	"track purchase 42",
	"screen Dashboard 42",
	"page /pricing 42",
	"group acme 42",
	"track Relationship Deleted 42",
	"track Device Created or Updated 42",
	"track Device Deleted 42",
	"alias jane@example.com 42",
	"track User Suppressed 42",
	"track User Unsuppressed 42",
	"group acme ",
	"group acme anonymous-1",
	"group acme 42",
	"track Relationship Deleted 42",
	"track Object Deleted acme",
	"track Report Delivery Event delivery-1",
	"track User Deleted 42",
	// After the batch.
	"track User Deleted user/1",
}

// An app that has customerio-node needs no other change than the base URL: all
// that its client can call is taken, and stands in the file in the common calls.
func TestTheWholeTrackClientReachesTheFile(t *testing.T) {
	s := newSite(t, journeysConfig)
	s.start()
	base := "http://" + s.listen
	var answers map[string]json.RawMessage
	runScript(t, "", &answers, "track-client.mjs", "all", base, "client-site", "client-test-key")
	for method, answer := range answers {
		switch {
		case method == "getAccountRegion":
			var region struct {
				URL, Region   string
				EnvironmentID int64 `json:"environment_id"`
			}
			if err := json.Unmarshal(answer, &region); err != nil || region.URL != base || region.Region != "us" || region.EnvironmentID <= 0 {
				t.Errorf("the region is %s", answer)
			}
		case string(answer) != "{}":
			t.Errorf("%s was answered %s", method, answer)
		}
	}
	eventually(t, "all events in the file", func() bool { return len(s.lines("events.jsonl")) >= len(trackClientEvents) })
	var got, ids []string
	for _, line := range s.lines("events.jsonl") {
		var e struct {
			Type, Event, Name, GroupID, PreviousID, UserID, AnonymousID, MessageID, SourceID string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.SourceID != "app" || e.MessageID == "" {
			t.Errorf("source and message id are missing in %s", line)
		}
		got = append(got, fmt.Sprintf("%s %s %s", e.Type, e.Event+e.Name+e.GroupID+e.PreviousID, e.UserID+e.AnonymousID))
		if strings.HasPrefix(e.MessageID, "01H") {
			ids = append(ids, e.MessageID)
		}
	}
	if !slices.Equal(got, trackClientEvents) {
		t.Errorf("the file has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(trackClientEvents, "\n"))
	}
	if want := []string{"01HB4HBDKTFWYZCK01DMRSWRFC/1", "01HB4HBDKTFWYZCK01DMRSWRFD/1"}; !slices.Equal(ids, want) {
		t.Errorf("message ids from the client's are %v, want %v", ids, want)
	}
}

// The client's errors are those that it has at Customer.io.
func TestTheTrackClientHearsCustomerIOsErrors(t *testing.T) {
	s := newSite(t, journeysConfig)
	s.start()
	var got map[string]struct {
		Status int
		Body   string
	}
	runScript(t, "", &got, "track-client.mjs", "bad", "http://"+s.listen, "client-site", "client-test-key")
	for call, want := range map[string]struct {
		status int
		body   string // its beginning
	}{
		"name":   {http.StatusBadRequest, `{"meta":{"error":"event name cannot be longer than 100 bytes",`},
		"device": {http.StatusBadRequest, `{"errors":[{"reason":"required","field":"device","message":`},
		"key":    {http.StatusUnauthorized, `{"meta":{"error":`},
	} {
		if g := got[call]; g.Status != want.status || !strings.HasPrefix(g.Body, want.body) {
			t.Errorf("%s: the client's error is %d %s, want %d %s", call, g.Status, g.Body, want.status, want.body)
		}
	}
}

// What Customer.io gets through Wellhead is what it would get from the client
// itself, call by call, but for the credentials.
func TestCallsAreRepeatedAtCustomerIO(t *testing.T) {
	direct := startTrackAPI(t)
	var answers map[string]json.RawMessage
	runScript(t, "", &answers, "track-client.mjs", "all", "http://"+direct.addr, "client-site", "client-test-key")
	want := direct.got()
	if len(want) < 38 {
		t.Fatalf("the client made %d calls", len(want))
	}

	upstream := startTrackAPI(t)
	s := newSite(t, journeysUpstream(upstream.addr))
	s.start()
	runScript(t, "", &answers, "track-client.mjs", "all", "http://"+s.listen, "client-site", "client-test-key")
	eventually(t, "all calls upstream", func() bool { return len(upstream.got()) >= len(want) })
	got := upstream.got()
	for i := range want {
		if want[i].key != "client-site:client-test-key" || got[i].key != "upstream-site:upstream-test-key" {
			t.Errorf("call %d was made with the credentials %s and repeated with %s", i, want[i].key, got[i].key)
		}
		if got[i].text != want[i].text {
			t.Errorf("call %d is\n%s\nwant\n%s", i, got[i].text, want[i].text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d calls, want %d", len(got), len(want))
	}
}

// What Customer.io refuses goes to the quarantine with its reason, and holds
// nothing up.
func TestWhatCustomerIORefusesIsInTheQuarantine(t *testing.T) {
	upstream := startTrackAPI(t)
	s := newSite(t, journeysUpstream(upstream.addr))
	s.start()
	for _, user := range []string{"before", refusedUser, "after"} {
		if status, body := s.trackCall(http.MethodPut, "/api/v1/customers/"+user, `{"plan":"pro"}`); status != http.StatusOK || body != "{}" {
			t.Fatalf("%s was answered %d %s", user, status, body)
		}
	}
	eventually(t, "the calls before and after it upstream", func() bool { return len(upstream.got()) == 2 })
	if got := upstream.got(); !strings.Contains(got[0].text, "/before ") || !strings.Contains(got[1].text, "/after ") {
		t.Errorf("upstream has %v", got)
	}
	var entries []struct {
		Source, Destination, Event string
		Violations                 []struct{ Message string }
	}
	list := exec.CommandContext(t.Context(), filepath.Join(binaries, "wellhead"), "quarantine", "list", "--json", "-c", s.path("wellhead.yaml"))
	out, err := list.Output()
	if err != nil || json.Unmarshal(out, &entries) != nil || len(entries) != 1 || len(entries[0].Violations) != 1 {
		t.Fatalf("the quarantine has %s (%v), want one entry with one reason", out, err)
	}
	if e := entries[0]; e.Source != "app" || e.Destination != "cio" || e.Event != "identify" ||
		!strings.HasPrefix(e.Violations[0].Message, "http_400: ") || !strings.HasSuffix(e.Violations[0].Message, refusedBecause) {
		t.Errorf("the quarantine has %s", out)
	}
	eventually(t, "all three in the file", func() bool { return len(s.lines("events.jsonl")) == 3 })
}

// While Customer.io is away its clients are answered as ever; then it gets
// everything once, and each person's calls in order.
func TestAnOutageOfCustomerIOIsCaughtUp(t *testing.T) {
	upstream := startTrackAPI(t)
	s := newSite(t, journeysUpstream(upstream.addr))
	s.start()
	const people, each = 4, 60
	var clients errgroup.Group
	reached := make(chan struct{}, people) // a client with a third of its calls
	gone, back := make(chan struct{}), make(chan struct{})
	for p := range people {
		clients.Go(func() error {
			for n := range each {
				switch n {
				case each / 3:
					reached <- struct{}{}
					<-gone
				case each * 2 / 3:
					reached <- struct{}{}
					<-back
				}
				path, body := fmt.Sprintf("/api/v1/customers/p%d/events", p), fmt.Sprintf(`{"name":"step","data":{"n":%d}}`, n)
				if n%2 == 1 {
					path, body = "/api/v2/entity", fmt.Sprintf(`{"type":"person","identifiers":{"id":"p%d"},"action":"event","name":"step","attributes":{"n":%d}}`, p, n)
				}
				if status, answer := s.trackCall(http.MethodPost, path, body); status != http.StatusOK || answer != "{}" {
					return fmt.Errorf("call %d of p%d was answered %d %s", n, p, status, answer)
				}
			}
			return nil
		})
	}
	for range people {
		<-reached
	}
	// What is on its way when it goes could come again: nothing is.
	eventually(t, "what was sent is upstream", func() bool { return len(upstream.got()) == people*each/3 })
	upstream.stop()
	close(gone)
	for range people {
		<-reached
	}
	if n := len(upstream.got()); n != people*each/3 {
		t.Errorf("%d calls are upstream, which is away", n)
	}
	began := time.Now()
	upstream.start()
	close(back)
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything upstream", func() bool { return len(upstream.got()) >= people*each })
	t.Logf("caught up with %d calls %s after its return", people*each*2/3, time.Since(began))
	got := upstream.got()
	if len(got) != people*each {
		t.Errorf("%d calls, want %d", len(got), people*each)
	}
	for p := range people {
		n := 0
		for _, c := range got {
			if !strings.Contains(c.text, fmt.Sprintf("/p%d/", p)) && !strings.Contains(c.text, fmt.Sprintf(`"p%d"`, p)) {
				continue
			}
			if !strings.Contains(c.text, fmt.Sprintf(`{"n":%d}`, n)) {
				t.Errorf("p%d: call %d is %s", p, n, c.text)
			}
			n++
		}
		if n != each {
			t.Errorf("p%d: %d calls, want %d", p, n, each)
		}
	}
}

// trackCall makes one call as a client of the source app.
func (s *site) trackCall(method, path, body string) (status int, answer string) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.listen+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.SetBasicAuth("client-site", "client-test-key")
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// trackAPI stands in for Customer.io. It takes every call but those about
// refusedUser, and can go away and come back.
type trackAPI struct {
	t    *testing.T
	addr string

	mu     sync.Mutex
	server *httptest.Server
	calls  []trackCall
}

// trackCall is a call that was taken. Of a batch each operation is one.
type trackCall struct {
	text string // method, path and body
	key  string // site_id:api_key
}

const (
	refusedUser    = "refused-user"
	refusedBecause = "no such plan here"
)

func startTrackAPI(t *testing.T) *trackAPI {
	t.Helper()
	a := &trackAPI{t: t, addr: freeAddr(t)}
	a.start()
	t.Cleanup(a.stop)
	return a
}

func (a *trackAPI) start() {
	a.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(a.t.Context(), "tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(a.serve), ReadHeaderTimeout: time.Minute}}
	a.server.Start()
}

// stop goes away: connections are refused from now on.
func (a *trackAPI) stop() { a.server.Close() }

func (a *trackAPI) got() []trackCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (a *trackAPI) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was not sent
	}
	if strings.Contains(r.URL.Path, refusedUser) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"meta":{"error":"`+refusedBecause+`"}}`)
		return
	}
	site, key, _ := r.BasicAuth()
	add := func(path string, body []byte) {
		a.calls = append(a.calls, trackCall{fmt.Sprintf("%s %s %s", r.Method, path, bytes.TrimSpace(body)), site + ":" + key})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch path := r.URL.RequestURI(); path {
	case "/api/v1/accounts/region": // it changes nothing
	case "/api/v2/batch":
		var batch struct{ Batch []json.RawMessage }
		if err := json.Unmarshal(body, &batch); err != nil {
			a.t.Errorf("a batch that is no JSON: %v", err)
		}
		for _, operation := range batch.Batch {
			add("/api/v2/entity", operation)
		}
	default:
		add(path, body)
	}
	if strings.HasSuffix(r.URL.Path, "/submit") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, "{}")
}
