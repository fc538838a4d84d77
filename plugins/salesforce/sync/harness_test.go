package sync_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // simpleforce logs there
	goleak.VerifyTestMain(m)
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// box is an org, a client of it, and a journal that takes events.
type box struct {
	*org.Org
	t        testing.TB
	client   *client.Client
	spec     sync.Spec
	sync     *sync.Sync
	state    sync.State // as JSON would bring it back
	seen     map[string]bool
	events   []event // accepted
	repeated int
	warned   []sdk.Problem
	runs     map[string]sync.Progress
	fail     error // of the next Emit, once
	after    int   // Emits that pass before fail
	lost     bool  // the failing Emit stores, but is not heard of
	before   atomic.Pointer[func(request string)]
	storing  func(events int) // called before an Emit stores
}

type event struct {
	Type, MessageID, UserID, AnonymousID, PreviousID, GroupID, Event string
	Traits, Properties                                               map[string]any
	Context                                                          struct {
		Salesforce struct{ Org, Sync, Object, ID string }
	}
	Timestamp string
}

func newBox(t testing.TB, spec sync.Spec, o org.Options) *box {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = start
	}
	o.Empty, o.BulkPageSize = true, cmp.Or(o.BulkPageSize, 500)
	b := &box{Org: org.New(o), t: t, spec: spec, seen: map[string]bool{}, runs: map[string]sync.Progress{}}
	t.Cleanup(b.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := b.before.Load(); before != nil {
			(*before)(r.RequestURI)
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b.SetBaseURL(srv.URL)
	b.client = client.New(client.Options{Tokens: tokens{b, srv.URL}, Backoff: time.Millisecond})
	t.Cleanup(b.client.Close)
	if b.spec.Call == "" {
		b.spec.Call = object.Identify
	}
	b.spec.Org, b.spec.Sync = b.ID(), "it"
	b.restart()
	return b
}

type tokens struct {
	b   *box
	url string
}

func (k tokens) Token(context.Context) (sdk.Token, error) {
	return sdk.Token{AccessToken: k.b.Token(), InstanceURL: k.url}, nil
}
func (k tokens) RejectToken(sdk.Token) {}

func contacts() sync.Spec { return sync.Spec{Object: "Contact", Deletes: true} }

// narrow reads few fields of many contacts.
func narrow() sync.Spec {
	return sync.Spec{Object: "Contact", Deletes: true, Mapping: object.Mapping{Fields: []string{"LastName"}}}
}

// restart is a kill: only the durable state remains.
func (b *box) restart() {
	b.t.Helper()
	raw, err := json.Marshal(b.state)
	b.must(err)
	var s sync.State
	b.must(json.Unmarshal(raw, &s))
	b.state = s
	b.sync = sync.New(sync.Options{
		Spec: b.spec, Client: b.client, State: s, Emit: b.emit,
		Warn:     func(p sdk.Problem) { b.warned = append(b.warned, p) },
		Progress: func(p sync.Progress) { b.runs[p.Run] = p },
	})
	b.sync.SetBulk(1000, 500)
}

var errKilled = errors.New("killed")

func (b *box) emit(ctx context.Context, s sync.State, events []sdk.Event) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if b.storing != nil {
		b.storing(len(events))
	}
	if b.fail != nil {
		if b.after--; b.after < 0 {
			err := b.fail
			b.fail = nil
			if b.lost {
				b.accept(events)
			}
			return 0, err
		}
	}
	b.accept(events)
	b.state = s
	return 0, nil
}

func (b *box) accept(events []sdk.Event) {
	for _, raw := range events {
		var e event
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		if err := d.Decode(&e); err != nil {
			b.t.Fatalf("%v in %s", err, raw)
		}
		if b.seen[e.MessageID] {
			b.repeated++
			continue
		}
		b.seen[e.MessageID] = true
		b.events = append(b.events, e)
	}
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// meanwhile does something when the next request comes that contains a text,
// before it is answered.
func (b *box) meanwhile(text string, do func()) {
	var once stdsync.Once
	before := func(request string) {
		if strings.Contains(request, text) {
			once.Do(do)
		}
	}
	b.before.Store(&before)
}

// poll lets the org's clock pass the lag and polls.
func (b *box) poll() {
	b.t.Helper()
	b.Advance(6 * time.Second)
	b.must(b.sync.Poll(b.t.Context()))
}

func (b *box) insert(object string, fields map[string]any) string {
	b.t.Helper()
	id, err := b.Insert(object, fields)
	b.must(err)
	return id
}

// fold is what the events say the org's records are.
func (b *box) fold() map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, e := range b.events {
		id := e.Context.Salesforce.ID
		switch {
		case e.Type == "alias" || e.Type == "track" && strings.HasSuffix(e.Event, "Deleted"):
			delete(out, id)
		case e.Type == "track":
			out[id] = e.Properties
		default:
			out[id] = e.Traits
		}
	}
	return out
}

// truth is what they are, in the members that are told.
func (b *box) truth() map[string]map[string]any {
	b.t.Helper()
	out := map[string]map[string]any{}
	for _, id := range b.IDs(b.spec.Object) {
		out[id], _ = b.Get(b.spec.Object, id)
	}
	return out
}

// check holds that the events tell the org's state.
func (b *box) check(context string) {
	b.t.Helper()
	told, truth := b.fold(), b.truth()
	for _, id := range slices.Sorted(maps.Keys(truth)) {
		if told[id] == nil {
			b.t.Fatalf("%s: %s was never told, or told to be deleted", context, id)
		}
		for name, value := range told[id] {
			if want := canonical(truth[id], name); !reflect.DeepEqual(value, want) {
				b.t.Fatalf("%s: %s.%s was told as %#v, and is %#v", context, id, name, value, want)
			}
		}
		for name := range truth[id] {
			if _, ok := told[id][name]; !ok && strings.HasSuffix(name, "__c") && b.spec.Fields == nil {
				b.t.Fatalf("%s: %s.%s was never told", context, id, name)
			}
		}
	}
	for id := range told {
		if truth[id] == nil {
			b.t.Fatalf("%s: %s is gone, and was not told to be", context, id)
		}
	}
}

// canonical is a value of the org as events write it.
func canonical(record map[string]any, name string) any {
	switch v := record[name].(type) {
	case string:
		if t, err := client.ParseTime(v); err == nil && strings.HasSuffix(v, "+0000") {
			return t.Format("2006-01-02T15:04:05.000Z")
		}
		return v
	case json.Number:
		return json.Number(strings.TrimSuffix(v.String(), ".0"))
	case map[string]any:
		if !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return x != nil }) {
			return nil
		}
		return v
	default:
		return v
	}
}

func (b *box) count(eventName string) int {
	n := 0
	for _, e := range b.events {
		if e.Event == eventName || e.Type == eventName {
			n++
		}
	}
	return n
}

// loadOld loads contacts that no window reads.
func (b *box) loadOld(n int) {
	b.t.Helper()
	old := b.Now().Add(-time.Hour)
	b.must(b.Load("Contact", n, func(i int) map[string]any {
		return map[string]any{"LastName": fmt.Sprint(i), "SystemModstamp": old, "CreatedDate": old}
	}))
}

func names(n int) func(i int) map[string]any {
	return func(i int) map[string]any { return map[string]any{"LastName": fmt.Sprintf("N%d", i)} }
}
