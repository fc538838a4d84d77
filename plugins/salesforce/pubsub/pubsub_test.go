package pubsub_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/wellhead-io/wellhead/plugins/salesforce/eventbus"
	"github.com/wellhead-io/wellhead/plugins/salesforce/pubsub"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box is an org with a subscriber.
type box struct {
	*org.Org
	t        *testing.T
	conn     *pubsub.Conn
	rejected int
}

func newBox(t *testing.T, silence time.Duration) *box {
	t.Helper()
	b := &box{Org: org.New(org.Options{Empty: true, Keepalive: 50 * time.Millisecond}), t: t}
	t.Cleanup(b.Close)
	web := httptest.NewServer(b.Org)
	t.Cleanup(web.Close)
	b.SetBaseURL(web.URL)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	srv := grpc.NewServer()
	b.RegisterPubSub(srv)
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-served })
	token := b.Token()
	b.conn, err = pubsub.Dial(pubsub.Options{
		Endpoint: l.Addr().String(), Plaintext: true, Org: b.ID(), Silence: silence,
		Token: func(context.Context) (sdk.Token, error) {
			return sdk.Token{AccessToken: token, InstanceURL: web.URL}, nil
		},
		Reject: func(sdk.Token) { b.rejected++; token = b.Token() },
	})
	b.must(err)
	t.Cleanup(b.conn.Close)
	return b
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

var errEnough = errors.New("enough")

// hear subscribes behind a place until enough says so, and returns the last
// place.
func (b *box) hear(place []byte, enough func([]pubsub.Change) bool) ([]byte, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	err := b.conn.Subscribe(ctx, pubsub.Topic("Contact"), place, func(c []pubsub.Change, next []byte) error {
		place = next
		if enough(c) {
			return errEnough
		}
		return nil
	})
	return place, err
}

func (b *box) insert(name string) string {
	b.t.Helper()
	id, err := b.Insert("Contact", map[string]any{"LastName": name})
	b.must(err)
	return id
}

// pub-sub-api-node-client#47: more than 100 events
func TestChangesAreHeardFromWhereItWasLeft(t *testing.T) {
	b := newBox(t, 0)
	place, err := b.hear(nil, func(c []pubsub.Change) bool { return true }) // a keepalive has a place, too
	if !errors.Is(err, errEnough) || place == nil {
		t.Fatal(place, err)
	}
	var want, got []string
	for range 250 { // more than are asked for at once
		want = append(want, b.insert("A"))
	}
	place, err = b.hear(place, func(changes []pubsub.Change) bool {
		for _, c := range changes {
			if c.Object != "Contact" || c.Time.IsZero() || c.All {
				t.Errorf("%+v", c)
			}
			got = append(got, c.IDs...)
		}
		return len(got) >= len(want)
	})
	if !errors.Is(err, errEnough) || !slices.Equal(got, want) {
		t.Fatalf("%v: %d of %d changes", err, len(got), len(want))
	}
	b.must(b.AddField("Contact", org.Field{Name: "New__c", Label: "New", Type: "double"})) // another schema
	b.must(b.Delete("Contact", want[0]))
	b.must(b.Gap("Contact", "GAP_UPDATE", "003*"))
	got = nil
	_, err = b.hear(place, func(changes []pubsub.Change) bool {
		for _, c := range changes {
			got = append(got, c.IDs...)
			if c.All {
				return true
			}
		}
		return false
	})
	if !errors.Is(err, errEnough) || !slices.Equal(got, want[:1]) {
		t.Errorf("%v: %v", err, got)
	}
}

// forcedotcom/pub-sub-api#28, #34
func TestWhatEndsASubscriptionIsToldApart(t *testing.T) {
	for fault, want := range map[string]error{
		"pubsub_replay_corrupted": pubsub.ErrGap, "pubsub_auth": pubsub.ErrAuth, "pubsub_limit": pubsub.ErrLimit, "pubsub_silent": pubsub.ErrSilent,
	} {
		b := newBox(t, 300*time.Millisecond)
		b.must(b.Fail(org.Fault{Name: fault, Times: 1}))
		var place []byte
		if errors.Is(want, pubsub.ErrGap) {
			place = make([]byte, 8)
		}
		_, err := b.hear(place, func([]pubsub.Change) bool { return false })
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", fault, err)
		}
		if errors.Is(want, pubsub.ErrAuth) && b.rejected != 1 {
			t.Errorf("%d tokens rejected", b.rejected)
		}
	}
	b := newBox(t, 0)
	err := b.conn.Subscribe(t.Context(), "/data/NothingChangeEvent", nil, nil)
	if !errors.Is(err, pubsub.ErrTopic) {
		t.Errorf("unknown topic: %v", err)
	}
}

// The simulator's events are decoded by salesforce-pubsub-api-client too, to the
// same fields (TestPubSubAPIClient).
func TestAnEventTellsWhatDidNotChange(t *testing.T) {
	b := newBox(t, 0)
	id := b.insert("A")
	place, err := b.hear(nil, func([]pubsub.Change) bool { return true })
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	b.must(b.Update("Contact", id, map[string]any{"LastName": "Same", "MailingCity": "Bern", "Email": "a@b.c"}))
	b.must(b.Gap("Contact", "GAP_UPDATE", id))
	b.must(b.Delete("Contact", id))
	var got []pubsub.Change
	_, err = b.hear(place, func(c []pubsub.Change) bool {
		got = append(got, c...)
		return len(got) >= 3
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	for _, f := range []string{"Email", "LastModifiedDate", "MailingAddress", "Name", "SystemModstamp", "Nonsense"} {
		if got[0].Unchanged[f] {
			t.Errorf("%s counts as unchanged", f)
		}
	}
	for _, f := range []string{"Phone", "AccountId", "OtherAddress", "CreatedDate"} {
		if !got[0].Unchanged[f] {
			t.Errorf("%s counts as changed", f)
		}
	}
	if got[1].Unchanged != nil || got[2].Unchanged != nil {
		t.Errorf("a gap or a deletion tells what did not change: %+v", got[1:])
	}
}

// redpanda-data/connect PR#4689
func TestAnEventThatCannotBeReadStandsForAll(t *testing.T) {
	b := newBox(t, 0)
	place, err := b.hear(nil, func([]pubsub.Change) bool { return true })
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	b.must(b.Fail(org.Fault{Name: "pubsub_garbled"}))
	b.insert("garbled")
	var got []pubsub.Change
	_, err = b.hear(place, func(c []pubsub.Change) bool {
		if got = append(got, c...); len(got) == 1 {
			b.ClearFaults()
			b.insert("after it")
		}
		return len(got) == 2
	})
	if !errors.Is(err, errEnough) || !got[0].All || len(got[0].IDs) > 0 || got[1].All || len(got[1].IDs) != 1 {
		t.Errorf("%v: %+v", err, got)
	}
}

// asked is a Pub/Sub API that tells how many events are still to come, whatever
// it is asked for, and notes what that is.
type asked struct {
	eventbus.UnimplementedPubSubServer
	pending []int32
	refills int // that are awaited before the last answer
	got     []int32
}

func (a *asked) Subscribe(stream grpc.BidiStreamingServer[eventbus.FetchRequest, eventbus.FetchResponse]) error {
	receive := func() error {
		r, err := stream.Recv()
		a.got = append(a.got, r.GetNumRequested())
		return err
	}
	if err := receive(); err != nil {
		return err
	}
	for i, n := range a.pending {
		for i == len(a.pending)-1 && len(a.got) <= a.refills {
			if err := receive(); err != nil {
				return err
			}
		}
		if err := stream.Send(&eventbus.FetchResponse{PendingNumRequested: n}); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// No more than 100 events are ever on their way, and more are asked for before
// there are none.
func TestMoreEventsAreAskedForWhenHalfHaveCome(t *testing.T) {
	api := &asked{pending: []int32{100, 60, 50, 49, 1, 0, 100}, refills: 3}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	eventbus.RegisterPubSubServer(srv, api)
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	conn, err := pubsub.Dial(pubsub.Options{Endpoint: l.Addr().String(), Plaintext: true,
		Token: func(context.Context) (sdk.Token, error) { return sdk.Token{AccessToken: "t"}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	left := len(api.pending)
	err = conn.Subscribe(ctx, "topic", nil, func([]pubsub.Change, []byte) error {
		if left--; left == 0 {
			return errEnough
		}
		return nil
	})
	conn.Close()
	srv.Stop()
	<-served
	if want := []int32{100, 51, 99, 100}; !errors.Is(err, errEnough) || !slices.Equal(api.got, want) {
		t.Errorf("%v: asked for %v, want %v", err, api.got, want)
	}
}

func TestBitmaps(t *testing.T) {
	const schema = `{"type":"record","name":"E","fields":[{"name":"ChangeEventHeader","type":"string"},{"name":"Name","type":["null",` +
		`{"type":"record","name":"P","fields":[{"name":"FirstName","type":"string"},{"name":"LastName","type":"string"}]}]},` +
		`{"name":"Phone","type":"string"},{"name":"Fax","type":"string"},{"name":"City","type":"string"}]}`
	for bitmaps, want := range map[string]string{
		"0x06": "City Fax", "0x00000006": "City Fax", "0x10": "Fax Name Phone", "1-0x02": "City Fax Phone", "0x08 1-0x03": "City Phone", "0x1E": "",
		"": "City Fax Name Phone", "06": "nil", "0x": "nil", "0xZ": "nil", "-0x2": "nil", "0x20": "nil", "0-0x2": "nil", "5-0x2": "nil", "1-2": "nil", "0x-6": "nil",
	} {
		got := pubsub.Unchanged(schema, strings.Fields(bitmaps)...)
		text := strings.Join(slices.Sorted(maps.Keys(got)), " ")
		if got == nil {
			text = "nil"
		}
		if text != want {
			t.Errorf("%s: %s, want %s", bitmaps, text, want)
		}
	}
}

func TestAHandlerMayTakeLongerThanTheSilence(t *testing.T) {
	const silence = 200 * time.Millisecond
	b := newBox(t, silence)
	slow := 0
	_, err := b.hear(nil, func([]pubsub.Change) bool {
		slow++
		time.Sleep(silence + silence/2) // what takes the time
		return slow == 3
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("after %d: %v", slow, err)
	}
}

func TestTopics(t *testing.T) {
	for object, want := range map[string]string{"Account": "/data/AccountChangeEvent", "My__c": "/data/My__ChangeEvent"} {
		if got := pubsub.Topic(object); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
