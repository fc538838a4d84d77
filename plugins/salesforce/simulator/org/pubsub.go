package org

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wellhead-io/wellhead/plugins/salesforce/eventbus"
)

// RegisterPubSub serves the org's changes at a gRPC server: topics
// /data/XChangeEvent of each object and /data/ChangeEvents of all.
func (o *Org) RegisterPubSub(r grpc.ServiceRegistrar) {
	eventbus.RegisterPubSubServer(r, &pubsub{org: o})
}

type pubsub struct {
	eventbus.UnimplementedPubSubServer
	org *Org
}

const (
	// maxRequested is the most events that can be outstanding.
	maxRequested = 100
	// maxBatch is the most events of one answer.
	maxBatch    = 100
	allChanges  = "/data/ChangeEvents"
	codePrefix  = "sfdc.platform.eventbus.grpc."
	authError   = codePrefix + "service.auth.error"
	replayError = codePrefix + "subscription.fetch.replayid.corrupted"
)

// refuse is an error with Salesforce's code in its trailer.
func (p *pubsub) refuse(trailer func(metadata.MD), rpc string, code codes.Code, reason, message string) error {
	trailer(metadata.Pairs("error-code", reason, "rpc-id", rpc))
	return status.Error(code, message+" rpcId: "+rpc)
}

func (p *pubsub) rpcID() string {
	p.org.mu.Lock()
	defer p.org.mu.Unlock()
	return p.org.nextKey()
}

// authorized checks a call's metadata.
func (p *pubsub) authorized(ctx context.Context, trailer func(metadata.MD), rpc string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	get := func(key string) string {
		if v := md.Get(key); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	tenant, _ := canonicalID(get("tenantid"))
	if _, ok := p.org.oauth.find(get("accesstoken")); !ok || tenant != DefaultOrgID || get("instanceurl") == "" {
		return p.refuse(trailer, rpc, codes.Unauthenticated, authError, "An authentication exception occurred. The accesstoken, instanceurl or tenantid is missing or invalid.")
	}
	return nil
}

// topic finds the object of a topic, nil for that of all.
func (p *pubsub) topic(name string) (*table, bool) {
	if name == allChanges {
		return nil, true
	}
	p.org.mu.RLock()
	defer p.org.mu.RUnlock()
	for _, t := range p.org.tables {
		if strings.EqualFold(name, "/data/"+eventName(t.name)) && !t.access.NoRead && t.is("queryable") {
			return t, true
		}
	}
	return nil, false
}

func (p *pubsub) noTopic(trailer func(metadata.MD), rpc, name string) error {
	return p.refuse(trailer, rpc, codes.InvalidArgument, codePrefix+"topic.not.found", "The topic "+name+" could not be found, or the user has no access to it.")
}

// GetTopic implements eventbus.PubSubServer.
func (p *pubsub) GetTopic(ctx context.Context, r *eventbus.TopicRequest) (*eventbus.TopicInfo, error) {
	rpc := p.rpcID()
	trailer := func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) }
	if err := p.authorized(ctx, trailer, rpc); err != nil {
		return nil, err
	}
	t, ok := p.topic(r.GetTopicName())
	if !ok {
		return nil, p.noTopic(trailer, rpc, r.GetTopicName())
	}
	out := &eventbus.TopicInfo{TopicName: r.GetTopicName(), TenantGuid: "core/simulator/" + DefaultOrgID, CanSubscribe: true, RpcId: rpc}
	if t != nil {
		e, err := p.schema(t)
		if err != nil {
			return nil, err
		}
		out.SchemaId = e.id
	}
	return out, nil
}

// schema is that of an object's events now, from now on to be found by its id.
func (p *pubsub) schema(t *table) (*eventSchema, error) {
	p.org.mu.RLock()
	s := t.shape
	p.org.mu.RUnlock()
	return p.known(s)
}

func (p *pubsub) known(s *shape) (*eventSchema, error) {
	e, err := s.events()
	if err == nil {
		p.org.schemas.Store(e.id, e)
	}
	return e, err
}

// GetSchema implements eventbus.PubSubServer.
func (p *pubsub) GetSchema(ctx context.Context, r *eventbus.SchemaRequest) (*eventbus.SchemaInfo, error) {
	rpc := p.rpcID()
	trailer := func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) }
	if err := p.authorized(ctx, trailer, rpc); err != nil {
		return nil, err
	}
	v, ok := p.org.schemas.Load(r.GetSchemaId())
	if e, is := v.(*eventSchema); ok && is {
		return &eventbus.SchemaInfo{SchemaJson: e.text, SchemaId: e.id, RpcId: rpc}, nil
	}
	return nil, p.refuse(trailer, rpc, codes.InvalidArgument, codePrefix+"schema.not.found", "The schema "+r.GetSchemaId()+" could not be found.")
}

// subscription is one Subscribe call.
type subscription struct {
	*pubsub
	stream  grpc.BidiStreamingServer[eventbus.FetchRequest, eventbus.FetchResponse]
	rpc     string
	topic   string
	t       *table // nil: all
	at      int64  // the number of the last change that was looked at
	pending int
}

// Subscribe implements eventbus.PubSubServer.
func (p *pubsub) Subscribe(stream grpc.BidiStreamingServer[eventbus.FetchRequest, eventbus.FetchResponse]) error {
	s := &subscription{pubsub: p, stream: stream, rpc: p.rpcID()}
	if err := p.authorized(stream.Context(), stream.SetTrailer, s.rpc); err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return ended(err)
	}
	if err := s.begin(first); err != nil {
		return err
	}
	requests := make(chan *eventbus.FetchRequest)
	over := make(chan error, 1)
	go func() { // ends with the stream's context, which ends with this call
		for {
			r, err := stream.Recv()
			if err != nil {
				over <- ended(err)
				return
			}
			select {
			case requests <- r:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	return s.serve(requests, over)
}

// ended is the end of a stream: io.EOF is the client's own wish.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// begin reads the first request.
func (s *subscription) begin(r *eventbus.FetchRequest) error {
	s.topic = r.GetTopicName()
	var ok bool
	if s.t, ok = s.pubsub.topic(s.topic); !ok {
		return s.noTopic(s.stream.SetTrailer, s.rpc, s.topic)
	}
	if f, struck := s.org.faults.strike(atSubscribe, s.topic); struck {
		if f.Name == "pubsub_limit" {
			return s.refuse(s.stream.SetTrailer, s.rpc, codes.ResourceExhausted, codePrefix+"subscription.limit.exceeded", "You have exceeded the event delivery limit for your org.")
		}
		return s.refuse(s.stream.SetTrailer, s.rpc, codes.Unauthenticated, authError, "An authentication exception occurred.")
	}
	if err := s.ask(r); err != nil {
		return err
	}
	s.org.mu.RLock()
	s.at = s.org.lastChange
	s.org.mu.RUnlock()
	switch r.GetReplayPreset() {
	case eventbus.ReplayPreset_EARLIEST:
		s.at = s.org.earliestChange()
	case eventbus.ReplayPreset_CUSTOM:
		_, struck := s.org.faults.strike(atReplay, s.topic)
		at, ok := s.org.replay(r.GetReplayId())
		switch {
		case len(r.GetReplayId()) == 0:
			return s.refuse(s.stream.SetTrailer, s.rpc, codes.InvalidArgument, codePrefix+"subscription.fetch.replayid.validation.failed", "The Replay ID validation failed. A replay ID is required with CUSTOM.")
		case struck || !ok:
			return s.refuse(s.stream.SetTrailer, s.rpc, codes.InvalidArgument, replayError, "The Replay ID validation failed. Ensure that the Replay ID is valid and within the retention window.")
		}
		s.at = at
	}
	return nil
}

// ask adds what a request wants to what is outstanding.
func (s *subscription) ask(r *eventbus.FetchRequest) error {
	if t := r.GetTopicName(); t != "" && t != s.topic {
		return s.refuse(s.stream.SetTrailer, s.rpc, codes.InvalidArgument, codePrefix+"subscription.fetch.topic.changed", "The topic of a stream cannot change.")
	}
	if r.GetNumRequested() <= 0 {
		return s.refuse(s.stream.SetTrailer, s.rpc, codes.InvalidArgument, codePrefix+"subscription.fetch.requested.events.invalid", "The number of requested events must be positive.")
	}
	s.pending = min(maxRequested, s.pending+int(min(r.GetNumRequested(), maxRequested)))
	return nil
}

// serve sends what is asked for, as it comes, and keepalives between.
func (s *subscription) serve(requests <-chan *eventbus.FetchRequest, over <-chan error) error {
	quiet := time.NewTimer(s.org.options.Keepalive)
	defer quiet.Stop()
	idle := time.NewTimer(s.org.options.FetchDeadline)
	defer idle.Stop()
	for {
		s.org.mu.RLock()
		changed := s.org.changed
		s.org.mu.RUnlock()
		if s.pending > 0 {
			sent, err := s.deliver()
			if err != nil {
				return err
			}
			if sent {
				quiet.Reset(s.org.options.Keepalive)
				idle.Reset(s.org.options.FetchDeadline)
				continue
			}
		}
		select {
		case err := <-over:
			return err
		case <-s.org.closing:
			return status.Error(codes.Unavailable, "the simulator ends")
		case r := <-requests:
			if err := s.ask(r); err != nil {
				return err
			}
		case <-changed:
		case <-quiet.C:
			quiet.Reset(s.org.options.Keepalive)
			if s.pending > 0 {
				if err := s.send(nil); err != nil {
					return err
				}
			}
		case <-idle.C:
			if s.pending == 0 {
				return s.refuse(s.stream.SetTrailer, s.rpc, codes.DeadlineExceeded, codePrefix+"subscription.fetch.timeout", "No events were requested in time.")
			}
			idle.Reset(s.org.options.FetchDeadline)
		}
	}
}

// deliver sends the next events, if there are any.
func (s *subscription) deliver() (sent bool, err error) {
	s.org.mu.RLock()
	var found []Change
	next := s.org.changesAfter(s.at)
	if len(next) > 0 && next[0].Number > s.at+1 {
		s.org.mu.RUnlock()
		return false, s.refuse(s.stream.SetTrailer, s.rpc, codes.InvalidArgument, replayError, "The Replay ID validation failed. The events that follow are no longer retained.")
	}
	for _, c := range next {
		s.at = c.Number
		if s.t == nil || c.Object == s.t.name {
			if found = append(found, c); len(found) == min(s.pending, maxBatch) {
				break
			}
		}
	}
	s.org.mu.RUnlock()
	if found == nil {
		return false, nil
	}
	var events []*eventbus.ConsumerEvent
	for i := range found {
		e, err := s.event(&found[i])
		if err != nil {
			s.org.log.Error("cannot write an event", "object", found[i].Object, "error", err)
			return false, status.Error(codes.Internal, err.Error())
		}
		events = append(events, e)
	}
	s.pending -= len(events)
	return true, s.send(events)
}

func (s *subscription) event(c *Change) (*eventbus.ConsumerEvent, error) {
	schema, err := s.known(c.shape)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", c.Object, err)
	}
	payload, err := schema.encode(c)
	if err != nil {
		return nil, fmt.Errorf("event of %s: %w", c.Object, err)
	}
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(c.Commit.Unix()), c.Number)
	return &eventbus.ConsumerEvent{ReplayId: replayID(c.Number, c.Commit), Event: &eventbus.ProducerEvent{Id: id, SchemaId: schema.id, Payload: payload}}, nil
}

// send answers with events, or with none as a keepalive.
func (s *subscription) send(events []*eventbus.ConsumerEvent) error {
	if f, struck := s.org.faults.strike(atDelivery, s.topic); struck {
		if f.Name == "pubsub_silent" {
			select {
			case <-s.stream.Context().Done():
			case <-s.org.closing:
			}
			return status.Error(codes.Canceled, "the client gave up")
		}
		return s.refuse(s.stream.SetTrailer, s.rpc, codes.Unavailable, codePrefix+"service.unavailable", "The service is temporarily unavailable.")
	}
	latest := replayID(s.at, s.org.Now())
	if n := len(events); n > 0 {
		latest = events[n-1].ReplayId
		if _, struck := s.org.faults.strike(atEvent, s.topic); struck {
			events[0].Event.Payload = events[0].Event.Payload[:3]
		}
	}
	return s.stream.Send(&eventbus.FetchResponse{Events: events, LatestReplayId: latest, RpcId: s.rpc, PendingNumRequested: int32(s.pending)})
}

// earliestChange is the number after which the events begin that are retained.
func (o *Org) earliestChange() int64 {
	oldest := o.Now().Add(-retention)
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, c := range o.changes {
		if !c.Commit.Before(oldest) {
			return c.Number - 1
		}
	}
	return o.lastChange
}

// A replay id is eight bytes, as Salesforce's are or begin: a number below 2^53,
// for clients that keep it as a double. Its low bits are the minute from which
// it is good for 72 hours, the others the place in the log.
const minuteBits = 23

var minuteZero = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func replayID(number int64, at time.Time) []byte {
	minute := max(0, min(int64(at.Sub(minuteZero)/time.Minute), 1<<minuteBits-1))
	return binary.BigEndian.AppendUint64(nil, uint64(number<<minuteBits|minute))
}

// replay reads a replay id; ok is false where the events after it are not all
// retained.
func (o *Org) replay(id []byte) (number int64, ok bool) {
	if len(id) != 8 {
		return 0, false
	}
	v := int64(binary.BigEndian.Uint64(id))
	number = v >> minuteBits
	at := minuteZero.Add(time.Duration(v&(1<<minuteBits-1)) * time.Minute)
	o.mu.RLock()
	defer o.mu.RUnlock()
	switch {
	case number < 0, number > o.lastChange, o.Now().Sub(at) > retention+time.Minute:
		return 0, false
	case len(o.changes) > 0 && number < o.changes[0].Number-1, len(o.changes) == 0 && number < o.lastChange:
		return 0, false
	}
	return number, true
}
