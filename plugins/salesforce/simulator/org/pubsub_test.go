package org_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/wellhead-io/wellhead/plugins/salesforce/eventbus"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// bus is a client of the org's Pub/Sub API.
type bus struct {
	*box
	client eventbus.PubSubClient
	ctx    context.Context //nolint:containedctx // of the test, with the metadata that every call needs
}

func newBus(t *testing.T, options org.Options) *bus {
	t.Helper()
	b := newBox(t, options)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	server := grpc.NewServer()
	b.RegisterPubSub(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	b.must(err)
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "accesstoken", b.token, "instanceurl", b.url, "tenantid", b.ID())
	return &bus{b, eventbus.NewPubSubClient(conn), ctx}
}

// stream is one subscription.
type stream struct {
	*bus
	grpc.BidiStreamingClient[eventbus.FetchRequest, eventbus.FetchResponse]
}

func (b *bus) subscribe(r *eventbus.FetchRequest) *stream {
	b.t.Helper()
	s, err := b.client.Subscribe(b.ctx)
	b.must(err)
	if err := s.Send(r); err != nil && !errors.Is(err, io.EOF) { // io.EOF: refused already, as Recv tells
		b.t.Fatal(err)
	}
	return &stream{b, s}
}

// next waits for the next answer that is not a keepalive.
func (s *stream) next() []*eventbus.ConsumerEvent {
	s.t.Helper()
	for {
		res, err := s.Recv()
		s.must(err)
		if len(res.GetEvents()) > 0 {
			return res.GetEvents()
		}
	}
}

// refused waits for the stream's end and tells the trailer's code.
func (s *stream) refused() string {
	s.t.Helper()
	for {
		if _, err := s.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return "EOF"
			}
			return strings.Join(s.Trailer().Get("error-code"), ",")
		}
	}
}

// read decodes an event by the schema that its id names.
func (b *bus) read(e *eventbus.ConsumerEvent) (header map[string]any, fields map[string]any, schema string) {
	b.t.Helper()
	info, err := b.client.GetSchema(b.ctx, &eventbus.SchemaRequest{SchemaId: e.GetEvent().GetSchemaId()})
	b.must(err)
	parsed, err := avro.ParseWithCache(info.GetSchemaJson(), "", &avro.SchemaCache{})
	b.must(err)
	b.must(avro.Unmarshal(parsed, e.GetEvent().GetPayload(), &fields))
	header, _ = fields["ChangeEventHeader"].(map[string]any)
	delete(fields, "ChangeEventHeader")
	for k, v := range fields {
		if v == nil {
			delete(fields, k)
		}
	}
	return header, fields, info.GetSchemaJson()
}

// names decodes bitmaps as python/util/ChangeEventHeaderUtility.py does.
func names(schema string, maps any) []string {
	type member struct {
		Name string
		Type any
	}
	var record struct{ Fields []member }
	if err := json.Unmarshal([]byte(schema), &record); err != nil {
		return []string{err.Error()}
	}
	var out []string
	list, _ := maps.([]any)
	for _, m := range list {
		parent, hex, nested := strings.Cut(fmt.Sprint(m), "-")
		prefix, fields := "", record.Fields
		if nested {
			var i int
			if _, err := fmt.Sscan(parent, &i); err != nil {
				return []string{err.Error()}
			}
			prefix = record.Fields[i].Name + "."
			union, _ := record.Fields[i].Type.([]any)
			text, _ := json.Marshal(union[1])
			var child struct{ Fields []member }
			if json.Unmarshal(text, &child) != nil || child.Fields == nil {
				return []string{"a named record: look at its first use"}
			}
			fields = child.Fields
		} else {
			hex = parent
		}
		n, ok := new(big.Int).SetString(strings.TrimPrefix(hex, "0x"), 16)
		if !ok {
			return []string{"not hex: " + hex}
		}
		for i := range n.BitLen() {
			if n.Bit(i) == 1 {
				out = append(out, prefix+fields[i].Name)
			}
		}
	}
	return out
}

func request(n int32) *eventbus.FetchRequest {
	return &eventbus.FetchRequest{TopicName: "/data/ContactChangeEvent", NumRequested: n, ReplayPreset: eventbus.ReplayPreset_EARLIEST}
}

func TestChangeEvents(t *testing.T) {
	b := newBus(t, org.Options{Empty: true})
	id := b.insert("Contact", map[string]any{"FirstName": "Grace", "LastName": "Hopper", "Email": "g@h.example", "Birthdate": "1906-12-09", "MailingCity": "Arlington", "IsEmailBounced": false})
	b.insert("Account", map[string]any{"Name": "of another topic"})
	b.Advance(1500 * time.Millisecond)
	b.must(b.Update("Contact", id, map[string]any{"LastName": "Murray", "MailingCity": "Bern", "MailingStreet": "Hauptgasse 1", "Email": nil, "Phone": "1"}))
	b.must(b.Delete("Contact", id))
	b.must(b.Undelete("Contact", id))
	b.must(b.Gap("Contact", "GAP_UPDATE", id, "003000000000077AAA"))
	b.must(b.Gap("Contact", "GAP_OVERFLOW"))
	events := b.subscribe(request(100)).next()
	if len(events) != 6 {
		t.Fatalf("%d events", len(events))
	}
	var kinds []string
	for _, e := range events {
		header, _, _ := b.read(e)
		kinds = append(kinds, fmt.Sprint(header["changeType"], header["recordIds"]))
	}
	want := []string{"CREATE[" + id + "]", "UPDATE[" + id + "]", "DELETE[" + id + "]", "UNDELETE[" + id + "]", "GAP_UPDATE[" + id + " 003000000000077AAA]", "GAP_OVERFLOW[]"}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds\n got %q\nwant %q", kinds, want)
	}
	_, created, _ := b.read(events[0])
	name, _ := created["Name"].(map[string]any)
	if !strings.Contains(fmt.Sprint(name), "FirstName:Grace") || created["Email"] != "g@h.example" || created["Birthdate"] != time.Date(1906, 12, 9, 0, 0, 0, 0, time.UTC).UnixMilli() || created["IsEmailBounced"] != false {
		t.Errorf("created: %v", created)
	}
	header, updated, schema := b.read(events[1])
	if got := fmt.Sprint(updated["Phone"], updated["Email"], updated["Birthdate"], updated["LastModifiedDate"]); got != fmt.Sprint("1", nil, nil, start.Add(time.Second).UnixMilli()) {
		t.Errorf("updated: %v", updated)
	}
	if header["commitTimestamp"] != start.Add(1500*time.Millisecond).UnixMilli() {
		t.Errorf("committed at %v", header["commitTimestamp"])
	}
	got := names(schema, header["changedFields"])
	slices.Sort(got)
	wantNames := []string{"Email", "LastModifiedDate", "MailingAddress.City", "MailingAddress.Street", "Name.LastName", "Phone"}
	// MailingAddress is the second field of its record's type, which the first,
	// OtherAddress, defines.
	if strings.Contains(strings.Join(got, " "), "named record") {
		schema = strings.ReplaceAll(schema, `["null","com.sforce.eventbus.Address"]`, `["null",`+addressOf(schema)+`]`)
		got = names(schema, header["changedFields"])
		slices.Sort(got)
	}
	if !slices.Equal(got, wantNames) {
		t.Errorf("changed fields %v: %v", header["changedFields"], got)
	}
	if got := names(schema, header["nulledFields"]); !slices.Equal(got, []string{"Email"}) {
		t.Errorf("nulled fields %v: %v", header["nulledFields"], got)
	}
	if _, fields, _ := b.read(events[2]); len(fields) != 0 {
		t.Errorf("a deletion has values: %v", fields)
	}
	if _, fields, _ := b.read(events[3]); fields["Phone"] != "1" || fields["Birthdate"] == nil {
		t.Errorf("undeleted: %v", fields)
	}
}

func addressOf(schema string) string {
	from := strings.Index(schema, `{"type":"record","name":"Address"`)
	depth := 0
	for i, c := range schema[from:] {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return schema[from : from+i+1]
			}
		}
	}
	return ""
}

func TestOneEventTellsOfManyRecords(t *testing.T) {
	b := newBus(t, org.Options{Empty: true})
	var ids []string
	for i := range 3 {
		ids = append(ids, b.insert("Contact", map[string]any{"LastName": fmt.Sprint(i)}))
	}
	b.must(b.UpdateAll("Contact", ids, map[string]any{"Title": "Dr."}))
	events := b.subscribe(request(100)).next()
	header, fields, _ := b.read(events[len(events)-1])
	if len(events) != 4 || fmt.Sprint(header["recordIds"]) != fmt.Sprint(ids) || fields["Title"] != "Dr." {
		t.Errorf("%d events, the last of %v with %v", len(events), header["recordIds"], fields)
	}
}

func TestASubscriberGetsWhatItAsksFor(t *testing.T) {
	b := newBus(t, org.Options{Empty: true, Keepalive: 20 * time.Millisecond})
	s := b.subscribe(request(2))
	for i := range 5 {
		b.insert("Contact", map[string]any{"LastName": fmt.Sprint(i)})
	}
	seen := 0
	for seen < 2 {
		seen += len(s.next())
	}
	select {
	case <-b.ctx.Done():
	default:
	}
	b.must(s.Send(&eventbus.FetchRequest{NumRequested: 1000}))
	for seen < 5 {
		seen += len(s.next())
	}
	res, err := s.Recv() // nothing is left, and 97 are outstanding
	b.must(err)
	if len(res.GetEvents()) != 0 || res.GetPendingNumRequested() != 97 || len(res.GetLatestReplayId()) == 0 {
		t.Errorf("keepalive: %v", res)
	}
	later := b.insert("Contact", map[string]any{"LastName": "later"})
	if header, _, _ := b.read(s.next()[0]); fmt.Sprint(header["recordIds"]) != "["+later+"]" {
		t.Errorf("got %v", header)
	}
	b.must(s.CloseSend())
	if got := s.refused(); got != "EOF" {
		t.Errorf("the end: %s", got)
	}
}

func TestNothingOutstandingEndsASubscription(t *testing.T) {
	b := newBus(t, org.Options{Empty: true, FetchDeadline: 20 * time.Millisecond})
	b.insert("Contact", map[string]any{"LastName": "X"})
	s := b.subscribe(request(1))
	s.next()
	if got := s.refused(); !strings.HasSuffix(got, "subscription.fetch.timeout") {
		t.Errorf("%s", got)
	}
}

func TestReplay(t *testing.T) {
	b := newBus(t, org.Options{Empty: true, Keepalive: 10 * time.Millisecond})
	var ids []string
	for i := range 4 {
		ids = append(ids, b.insert("Contact", map[string]any{"LastName": fmt.Sprint(i)}))
	}
	events := b.subscribe(request(100)).next()
	after := func(id []byte) *stream {
		r := request(100)
		r.ReplayPreset, r.ReplayId = eventbus.ReplayPreset_CUSTOM, id
		return b.subscribe(r)
	}
	if header, _, _ := b.read(after(events[1].GetReplayId()).next()[0]); fmt.Sprint(header["recordIds"]) != "["+ids[2]+"]" {
		t.Errorf("resumed at %v", header["recordIds"])
	}
	const prefix = "sfdc.platform.eventbus.grpc."
	for name, id := range map[string][]byte{"replayid.validation.failed": nil, "replayid.corrupted": []byte("nonsense..")} {
		if got := after(id).refused(); got != prefix+"subscription.fetch."+name {
			t.Errorf("%q: %s", id, got)
		}
	}
	latest := b.subscribe(&eventbus.FetchRequest{TopicName: "/data/ContactChangeEvent", NumRequested: 100})
	keepalive, err := latest.Recv()
	b.must(err)
	if len(keepalive.GetEvents()) != 0 {
		t.Errorf("LATEST tells of the past: %v", keepalive)
	}
	b.Advance(71 * time.Hour)
	if got := b.subscribe(request(100)).refused(); got != prefix+"service.auth.error" {
		t.Errorf("with an expired token: %q", got)
	}
	b.ctx = metadata.AppendToOutgoingContext(t.Context(), "accesstoken", b.Token(), "instanceurl", b.url, "tenantid", b.ID())
	quiet := after(keepalive.GetLatestReplayId())
	res, err := quiet.Recv()
	b.must(err)
	b.Advance(2 * time.Hour)
	b.ctx = metadata.AppendToOutgoingContext(t.Context(), "accesstoken", b.Token(), "instanceurl", b.url, "tenantid", b.ID())
	if got := after(events[3].GetReplayId()).refused(); got != prefix+"subscription.fetch.replayid.corrupted" {
		t.Errorf("after 73 hours: %s", got)
	}
	b.insert("Contact", map[string]any{"LastName": "new"})
	if got := len(after(res.GetLatestReplayId()).next()); got != 1 {
		t.Errorf("a keepalive's replay id leads to %d events", got)
	}
	if got := len(b.subscribe(request(100)).next()); got != 1 {
		t.Errorf("EARLIEST leads to %d events", got)
	}
}

func TestSchemasFollowTheDescribe(t *testing.T) {
	b := newBus(t, org.Options{Empty: true})
	b.insert("Contact", map[string]any{"LastName": "before"})
	b.must(b.AddField("Contact", org.Field{Name: "Score__c", Type: "double"}))
	b.must(b.AddField("Contact", org.Field{Name: "Sum__c", Type: "double", Calculated: true}))
	b.insert("Contact", map[string]any{"LastName": "after", "Score__c": 1.5})
	events := b.subscribe(request(100)).next()
	_, _, before := b.read(events[0])
	_, fields, after := b.read(events[1])
	if strings.Contains(before, "Score__c") || fields["Score__c"] != 1.5 || strings.Contains(after, "Sum__c") {
		t.Errorf("fields %v\nbefore %s\nafter %s", fields, before, after)
	}
	info, err := b.client.GetTopic(b.ctx, &eventbus.TopicRequest{TopicName: "/data/ContactChangeEvent"})
	b.must(err)
	if info.GetSchemaId() != events[1].GetEvent().GetSchemaId() {
		t.Errorf("the topic has schema %s", info.GetSchemaId())
	}
	all := b.subscribe(&eventbus.FetchRequest{TopicName: "/data/ChangeEvents", NumRequested: 5, ReplayPreset: eventbus.ReplayPreset_EARLIEST})
	if got := len(all.next()); got != 2 {
		t.Errorf("all changes: %d", got)
	}
	custom, err := b.client.GetTopic(b.ctx, &eventbus.TopicRequest{TopicName: "/data/Custom__ChangeEvent"})
	if err != nil || !custom.GetCanSubscribe() {
		t.Errorf("a custom object's topic: %v", err)
	}
	if _, err := b.client.GetTopic(b.ctx, &eventbus.TopicRequest{TopicName: "/data/NopeChangeEvent"}); err == nil {
		t.Error("an unknown topic is known")
	}
}

func TestFaultsOfPubSub(t *testing.T) {
	b := newBus(t, org.Options{Empty: true, Keepalive: 10 * time.Millisecond})
	b.insert("Contact", map[string]any{"LastName": "X"})
	replay := b.subscribe(request(1)).next()[0].GetReplayId()
	for fault, want := range map[string]string{"pubsub_auth": "service.auth.error", "pubsub_limit": "subscription.limit.exceeded",
		"pubsub_replay_corrupted": "subscription.fetch.replayid.corrupted", "pubsub_close": "service.unavailable"} {
		b.must(b.Fail(org.Fault{Name: fault, Times: 1, Path: "ContactChangeEvent"}))
		r := request(1)
		r.ReplayPreset, r.ReplayId = eventbus.ReplayPreset_CUSTOM, replay
		if got := b.subscribe(r).refused(); got != "sfdc.platform.eventbus.grpc."+want {
			t.Errorf("%s: %s", fault, got)
		}
	}
	b.must(b.Fail(org.Fault{Name: "pubsub_silent", After: 1, Times: 1}))
	ctx, cancel := context.WithCancel(b.ctx)
	b.ctx = ctx
	s := b.subscribe(request(100))
	s.next()
	answered := make(chan error, 1)
	go func() {
		_, err := s.Recv()
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a silent stream answers: %v", err)
	case <-time.After(100 * time.Millisecond): // ten keepalives
	}
	cancel()
	if err := <-answered; err == nil {
		t.Error("a silent stream answers")
	}
}
