package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

// serve gives the org a Pub/Sub API and returns its address.
func serve(t *testing.T, o *org.Org) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	o.RegisterPubSub(srv)
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-served })
	return l.Addr().String()
}

// camel#17153, product-integrator-mi#4768, lfx-self-serve#2195, connect PR#4689
func TestChangesArriveAsTheyHappenThroughKillsAndGaps(t *testing.T) {
	f := newStream(t, org.Options{Keepalive: 50 * time.Millisecond})
	first := insert(t, f.org, "first")
	c := settings(time.Hour, map[string]syncConfig{
		"contacts": {Object: "Contact", Call: object.Identify, Fields: []string{"LastName"}},
		"again":    {Object: "Contact", Call: object.Track, Fields: []string{"LastName"}},
	})
	c.PubSub.Enabled, c.PubSub.Plaintext, c.PubSub.Endpoint = true, true, serve(t, f.org)
	kill := f.start(t, c)
	told := func(name string) func() bool {
		return func() bool { return f.count(`"LastName":"`+name+`"`) == 2 }
	}
	f.await(t, "backfill", told("first"))
	f.await(t, "a place", func() bool { return strings.Contains(string(f.checkpoint), `"replay"`) })
	began := time.Now()
	for i := range 300 {
		insert(t, f.org, fmt.Sprint("live", i))
	}
	f.await(t, "the last of 300 changes", told("live299"))
	t.Logf("300 changes in %s", time.Since(began).Round(time.Millisecond))

	kill()
	insert(t, f.org, "while down")
	kill = f.start(t, c)
	f.await(t, "the change while it was down", told("while down"))
	if err := f.org.Delete("Contact", first); err != nil {
		t.Fatal(err)
	}
	f.await(t, "the deletion", func() bool { return f.count("Deleted") == 2 })

	kill()
	if err := f.org.Fail(org.Fault{Name: "pubsub_replay_corrupted", Times: 1}); err != nil {
		t.Fatal(err)
	}
	f.start(t, c)
	f.await(t, "the gap is told", func() bool {
		return slices.ContainsFunc(f.problems, func(p sdk.Problem) bool { return p.Code == "pubsub_gap" })
	})
	f.await(t, "the gap is over", func() bool { return len(f.problems) == 0 })
	insert(t, f.org, "after the gap")
	f.await(t, "a change after the gap", told("after the gap"))
}

// following is a source that polls once an hour, and hears of changes.
func following(t *testing.T) (*fakeStream, config) {
	t.Helper()
	f := newStream(t, org.Options{Keepalive: 50 * time.Millisecond})
	c := settings(time.Hour, map[string]syncConfig{"contacts": {Object: "Contact", Call: object.Identify, Fields: []string{"LastName"}}})
	c.PubSub.Enabled, c.PubSub.Plaintext, c.PubSub.Endpoint = true, true, serve(t, f.org)
	return f, c
}

func (f *fakeStream) told(name string) func() bool {
	return func() bool { return f.count(`"LastName":"`+name+`"`) == 1 }
}

func (f *fakeStream) placed() bool { return strings.Contains(string(f.checkpoint), `"replay"`) }

func (f *fakeStream) complains(code string) func() bool {
	return func() bool {
		return slices.ContainsFunc(f.problems, func(p sdk.Problem) bool { return p.Code == code })
	}
}

// camel#17153, product-integrator-mi#4768, lfx-self-serve#2195
func TestWhatAnUnknownPlaceLeavesOutIsReadAtOnce(t *testing.T) {
	for name, lose := range map[string]func(f *fakeStream){
		"expired": func(f *fakeStream) { f.org.Advance(80 * time.Hour) },
		"corrupted": func(f *fakeStream) {
			var c checkpoint
			if err := json.Unmarshal(f.checkpoint, &c); err != nil {
				t.Fatal(err)
			}
			c.Replay["/data/ContactChangeEvent"] = []byte("no replay id")
			f.checkpoint, _ = json.Marshal(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := following(t)
			insert(t, f.org, "first")
			kill := f.start(t, c)
			f.await(t, "backfill and a place", func() bool { return f.told("first")() && f.placed() })
			kill()
			lose(f)
			insert(t, f.org, "while it was down")
			f.start(t, c)
			f.await(t, "the gap is told", f.complains("pubsub_gap"))
			insert(t, f.org, "before it hears again") // neither the window nor the events have it
			f.await(t, "what was missed", func() bool {
				told := f.told("while it was down")() && f.told("before it hears again")()
				if !told && !f.complains("pubsub_gap")() {
					t.Error("the gap counts as closed before what was missed is told")
				}
				return told
			})
			insert(t, f.org, "afterwards")
			f.await(t, "what happens afterwards", f.told("afterwards"))
			f.await(t, "all is well", func() bool { return len(f.problems) == 0 })
		})
	}
}

// quieten starts a source that knows its place among the events and reads no
// window for an hour.
func (f *fakeStream) quieten(t *testing.T, c config) {
	t.Helper()
	kill := f.start(t, c)
	f.await(t, "backfill and a place", func() bool { return f.syncs["contacts"].State == sdk.SyncIdle && f.placed() })
	kill()
	delete(f.runs, "contacts incremental")
	f.start(t, c)
	f.await(t, "the last window of the hour", func() bool { return !f.runs["contacts incremental"].Ended.IsZero() })
}

func TestWhatAnEventCannotNameIsReadSoon(t *testing.T) {
	for name, happen := range map[string]func(t *testing.T, o *org.Org){
		"overflow": func(t *testing.T, o *org.Org) {
			if err := o.Load("Contact", 1, func(int) map[string]any { return map[string]any{"LastName": "soon"} }); err != nil {
				t.Fatal(err)
			}
			if err := o.Gap("Contact", "GAP_OVERFLOW"); err != nil {
				t.Fatal(err)
			}
		},
		"refetch that fails": func(t *testing.T, o *org.Org) {
			if err := o.Fail(org.Fault{Name: "query_timeout", Path: "Id IN", Times: 1}); err != nil {
				t.Fatal(err)
			}
			insert(t, o, "soon")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := following(t)
			f.quieten(t, c)
			happen(t, f.org)
			f.await(t, "what happened", f.told("soon"))
		})
	}
}

func TestAChangeOfOtherFieldsCostsNoRequest(t *testing.T) {
	f, c := following(t)
	id, other := insert(t, f.org, "first"), insert(t, f.org, "other")
	f.quieten(t, c)
	update := func(id, field, value string) {
		if err := f.org.Update("Contact", id, map[string]any{field: value}); err != nil {
			t.Fatal(err)
		}
	}
	before := f.org.Stats()
	for i := range 20 {
		update(other, "Phone", fmt.Sprint(i))
	}
	update(id, "LastName", "second")
	f.await(t, "the change of a field that is read", f.told("second"))
	now := f.org.Stats()
	if queries, rows := now.Queries-before.Queries, now.Rows-before.Rows; queries != 1 || rows != 1 {
		t.Errorf("%d queries of %d rows for one change that is told", queries, rows)
	}
}

func TestThePlaceIsStoredNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeStream{changed: make(chan struct{})}
		f := &follower{runner: &runner{stream: host}, topic: "topic"}
		for _, step := range []struct {
			after       time.Duration
			place, want string
		}{{0, "a", "a"}, {0, "b", "a"}, {placeEvery - 1, "c", "a"}, {1, "", "a"}, {0, "d", "d"}, {1, "e", "d"}} {
			time.Sleep(step.after)
			var place []byte // none is known
			if step.place != "" {
				place = []byte(step.place)
			}
			if err := f.store(t.Context(), place); err != nil {
				t.Fatal(err)
			}
			var c checkpoint
			if err := json.Unmarshal(host.checkpoint, &c); err != nil || string(c.Replay["topic"]) != step.want {
				t.Errorf("%q: stored %q, want %q, %v", step.place, c.Replay["topic"], step.want, err)
			}
		}
	})
}

func TestAnotherOrgIsReadFromTheStart(t *testing.T) {
	f, c := following(t)
	insert(t, f.org, "here")
	was := checkpoint{V: 1, Org: "00D000000000009EAA", Syncs: map[string]sync.State{"contacts": {Cursor: time.Now().Add(time.Hour), Paused: true}},
		Replay: map[string][]byte{"/data/ContactChangeEvent": []byte("its place")}}
	f.checkpoint, _ = json.Marshal(was)
	f.start(t, c)
	f.await(t, "backfill and a place", func() bool { return f.told("here")() && f.placed() })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.problems) > 0 || strings.Contains(string(f.checkpoint), was.Org) {
		t.Errorf("problems %v, checkpoint %s", f.problems, f.checkpoint)
	}
}
