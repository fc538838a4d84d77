package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/sdk"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // simpleforce logs there
	goleak.VerifyTestMain(m)
}

// fakeStream is the host: it stores what is new, and the checkpoint after it.
type fakeStream struct {
	org *org.Org
	url string

	mu         stdsync.Mutex
	changed    chan struct{}
	checkpoint []byte
	seen       map[string]bool
	events     []string // accepted
	problems   []sdk.Problem
	syncs      map[string]sdk.Sync
	runs       map[string]sdk.SyncRun
}

func newStream(t *testing.T, o org.Options) *fakeStream {
	t.Helper()
	o.Empty = true
	f := &fakeStream{org: org.New(o), changed: make(chan struct{}), seen: map[string]bool{}, syncs: map[string]sdk.Sync{}, runs: map[string]sdk.SyncRun{}}
	t.Cleanup(f.org.Close)
	srv := httptest.NewServer(f.org)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	f.org.SetBaseURL(srv.URL)
	return f
}

func (f *fakeStream) Token(context.Context) (sdk.Token, error) {
	return sdk.Token{AccessToken: f.org.Token(), InstanceURL: f.url}, nil
}
func (f *fakeStream) RejectToken(sdk.Token)                   {}
func (f *fakeStream) Checkpoint() []byte                      { f.mu.Lock(); defer f.mu.Unlock(); return f.checkpoint }
func (f *fakeStream) Limits() sdk.Limits                      { return sdk.Limits{BatchBytes: 4 << 20, BatchEvents: 10} }
func (f *fakeStream) Updated() <-chan struct{}                { return nil }
func (f *fakeStream) Draining() <-chan struct{}               { return nil }
func (f *fakeStream) Commands() <-chan *sdk.SyncCommand       { return nil }
func (f *fakeStream) Progress(string, uint64, uint64, string) {}
func (f *fakeStream) Log() *slog.Logger                       { return slog.New(slog.DiscardHandler) }

// change does something under the lock and wakes those who wait for it.
func (f *fakeStream) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeStream) Store(ctx context.Context, b sdk.Batch) (sdk.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Verdict{}, err
	}
	if len(b.Events) > 10 {
		return sdk.Verdict{}, &sdk.TooLarge{What: "events", Have: len(b.Events), Allowed: 10}
	}
	f.change(func() {
		for _, e := range b.Events {
			var v struct{ MessageID string }
			if err := json.Unmarshal(e, &v); err != nil {
				panic(err)
			}
			if !f.seen[v.MessageID] {
				f.seen[v.MessageID] = true
				f.events = append(f.events, string(e))
			}
		}
		if b.Checkpoint != nil {
			f.checkpoint = b.Checkpoint
		}
	})
	return sdk.Verdict{}, nil
}

func (f *fakeStream) Health(p ...sdk.Problem) { f.change(func() { f.problems = p }) }
func (f *fakeStream) Syncs(all ...sdk.Sync) {
	f.change(func() {
		for _, s := range all {
			f.syncs[s.Name] = s
		}
	})
}
func (f *fakeStream) Report(r sdk.SyncRun) { f.change(func() { f.runs[r.Sync+" "+r.Kind] = r }) }

// await returns when something holds, which is asked under the lock.
func (f *fakeStream) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		f.mu.Lock()
		ok, changed := holds(), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: not within 30 s; problems %v, %d events", what, f.problems, len(f.events))
		}
	}
}

// start runs the source until the returned function is called: a kill.
func (f *fakeStream) start(t *testing.T, c config) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx, f, func() (config, error) { return c, nil }); err != nil && ctx.Err() == nil {
			t.Errorf("run: %v", err)
		}
	}()
	var once stdsync.Once
	kill = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(kill)
	return kill
}

func (f *fakeStream) count(text string) int {
	n := 0
	for _, e := range f.events {
		if strings.Contains(e, text) {
			n++
		}
	}
	return n
}

func settings(interval time.Duration, syncs map[string]syncConfig) config {
	return config{Interval: duration(interval), Syncs: syncs}
}

func insert(t *testing.T, o *org.Org, name string) string {
	t.Helper()
	id, err := o.Insert("Contact", map[string]any{"LastName": name})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestASyncThatFailsLeavesTheOthersAlone(t *testing.T) {
	f := newStream(t, org.Options{})
	insert(t, f.org, "A")
	f.start(t, settings(time.Hour, map[string]syncConfig{
		"good": {Object: "Contact", Call: object.Identify}, "object": {Object: "Nothing__c", Call: object.Group},
		"where": {Object: "Contact", Call: object.Identify, Where: "Name ="}, "call": {Object: "Contact", Call: "page"},
	}))
	f.await(t, "three problems and the good sync's events", func() bool {
		return len(f.problems) == 3 && f.syncs["good"].State == sdk.SyncIdle && f.count(`"sync":"good"`) == 1
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []string
	for _, p := range f.problems {
		got = append(got, p.Code+" "+p.Path)
	}
	want := []string{"wrong_value /syncs/call/call", "unknown_object /syncs/object/object", "malformed_query /syncs/where/where"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := f.runs["good backfill"]; r.Read != 1 || r.Emitted != 1 || r.Ended.IsZero() || r.Error != nil {
		t.Errorf("%+v", r)
	}
	if s := f.syncs["where"]; s.State != sdk.SyncFailed || s.Due.IsZero() {
		t.Errorf("%+v", s)
	}
}

// A request that is tried again is told at its first failure, while the sync runs
// on, and no more when it has come through.
func TestARequestThatIsTriedAgainIsTold(t *testing.T) {
	f := newStream(t, org.Options{})
	insert(t, f.org, "A")
	if err := f.org.Fail(org.Fault{Name: "html_503", Path: "describe", Times: 1}); err != nil {
		t.Fatal(err)
	}
	f.start(t, settings(time.Hour, map[string]syncConfig{"contacts": {Object: "Contact", Call: object.Identify}}))
	f.await(t, "what is tried again", func() bool {
		return len(f.problems) == 1 && f.problems[0].Code == "unavailable" && f.syncs["contacts"].State == sdk.SyncRunning &&
			strings.HasPrefix(f.problems[0].Message, "trying again: salesforce: unavailable: status 503")
	})
	f.await(t, "the sync's end without a problem", func() bool {
		return len(f.problems) == 0 && f.syncs["contacts"].State == sdk.SyncIdle && len(f.events) == 1
	})
}

func TestTheSourceWaitsWhenTheQuotaIsUsed(t *testing.T) {
	f := newStream(t, org.Options{})
	insert(t, f.org, "A")
	f.org.SetUsage(90_000)
	c := settings(time.Hour, map[string]syncConfig{"contacts": {Object: "Contact", Call: object.Identify}})
	c.Quota.StopAt = 0.8
	f.start(t, c)
	f.await(t, "quota", func() bool {
		return len(f.problems) == 1 && f.problems[0].Code == "quota" && f.syncs["contacts"].State == sdk.SyncFailed
	})
	if n := f.org.Stats().Requests; n != 1 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestConfigIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{`"5m"`: 5 * time.Minute, `"1.5d"`: 36 * time.Hour, `"250ms"`: 250 * time.Millisecond, `0`: 0} {
		var d duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: got %s, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{`"x"`, `"-5m"`, `"-1d"`, `5`, `"NaNd"`} {
		var d duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s: read as %s", text, time.Duration(d))
		}
	}
	for text, ok := range map[string]bool{`"80%"`: true, `"100%"`: true, `"0%"`: false, `"101%"`: false, `"NaN%"`: false, `"80"`: false, `80`: false} {
		var p percent
		if err := json.Unmarshal([]byte(text), &p); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]deletes{`true`: {}, `false`: {off: true}, `"Gone"`: {event: "Gone"}} {
		var d deletes
		if err := json.Unmarshal([]byte(text), &d); err != nil || d != want {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
}

func TestTheConfigIsRefusedWithItsPlace(t *testing.T) {
	read := func(text string) []sdk.Problem {
		t.Helper()
		c := config{Interval: duration(5 * time.Minute)}
		c.PubSub.Endpoint = "api.pubsub.salesforce.com:7443"
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return check(t.Context(), nil, c)
	}
	sync := func(where string) string {
		b, err := json.Marshal(map[string]any{"syncs": map[string]any{"x": map[string]string{"object": "Contact", "call": "identify", "where": where}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for text, want := range map[string]string{ // a path and a part of the fix
		`{"interval": "1ms"}`: "/interval write 10s or more",
		`{"interval": 0}`:     "/interval write 10s or more",
		`{"interval": "9s"}`:  "/interval write 10s or more",
		`{"interval": "999ms", "login_url": "http://127.0.0.1:8095"}`: "/interval write 1s or more",
		`{"interval": "1s", "login_url": "http://127.0.0.1:8095"}`:    "",
		`{"interval": "10s"}`:                              "",
		`{"pubsub": {"enabled": true, "plaintext": true}}`: "/pubsub/plaintext remove it",
		`{"pubsub": {"enabled": true, "plaintext": true, "endpoint": "127.0.0.1.nip.io:1"}}`: "/pubsub/plaintext remove it",
		`{"pubsub": {"plaintext": true, "endpoint": "[::1]:1"}}`:                             "",
		`{"pubsub": {"plaintext": true, "endpoint": "localhost:1"}}`:                         "",
		sync("Email != null) OR (Name != null"):                                              "/syncs/x/where mend where",
		sync("Email != null) LIMIT 1 --"):                                                    "/syncs/x/where mend where",
		sync("(Email != null"):                                                               "/syncs/x/where mend where",
		sync("Name = 'a"):                                                                    "/syncs/x/where mend where",
		sync(`Name = 'a\') OR (Name = 'b'`):                                                  "/syncs/x/where mend where",
		sync(`Name = 'a\\') OR (Name = 'b'`):                                                 "/syncs/x/where mend where",
		sync(`Name IN ('(', ')\'(', '\\') AND (Email != null)`):                              "",
	} {
		var got string
		for _, p := range read(text) {
			got += p.Path + " " + p.Fix
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestASyncThatFailsAgainWaitsLonger(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute, 2 * time.Hour} {
		least, longest := time.Duration(0), max(interval, longestPause)
		for failed := 1; failed < 100; failed++ {
			got := pauseAfter(failed, interval)
			if got <= least && least < longest*3/4 || got > longest {
				t.Errorf("interval %s: %s after %d failures, above %s before, at most %s", interval, got, failed, least, longest)
			}
			least = got
		}
		if least < longest*3/4 {
			t.Errorf("interval %s: %s in the end", interval, least)
		}
	}
}
