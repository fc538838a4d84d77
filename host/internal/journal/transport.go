package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errFull is the error of a stream that refuses what is new.
var errFull = errors.New("the log has reached its limit")

// publisher appends to streams, one message at a time.
type publisher struct {
	store   *store
	timeout func() time.Duration
	inbox   string
	acks    chan *nats.Msg
}

// publisher makes a publisher that waits for an acknowledgement for as long as
// timeout says. Where its storage has failed, the server says nothing at all; its
// log mostly does.
func (s *store) publisher(timeout func() time.Duration) (*publisher, error) {
	p := &publisher{store: s, timeout: timeout, inbox: s.pub.NewInbox(), acks: make(chan *nats.Msg, 1)}
	if _, err := s.pub.ChanSubscribe(p.inbox, p.acks); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return p, nil
}

// publish stores a message and returns its sequence number. After any error but
// errFull nobody knows whether it was stored, and the store is of no more use.
func (p *publisher) publish(name string, data []byte) (uint64, error) {
	if err := p.store.pub.PublishRequest(name, p.inbox, data); err != nil {
		return 0, p.store.because(fmt.Errorf("store a frame in %s: %w", name, err))
	}
	patience := p.timeout()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case msg := <-p.acks:
		return readAck(name, msg)
	case <-p.store.failed:
		return 0, fmt.Errorf("store a frame in %s: %w", name, p.store.cause)
	case <-timeout.C:
		return 0, fmt.Errorf("store a frame in %s: no acknowledgement within %s", name, patience)
	}
}

func readAck(name string, msg *nats.Msg) (uint64, error) {
	if msg == nil {
		return 0, fmt.Errorf("store a frame in %s: the connection is closed", name)
	}
	var ack struct {
		Seq   uint64
		Error *jetstream.APIError
	}
	switch err := json.Unmarshal(msg.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("store a frame in %s: nats answers %q %v", name, msg.Data, msg.Header)
	case ack.Error == nil:
		return ack.Seq, nil
	case ack.Error.Description == server.ErrMaxBytes.Error():
		return 0, errFull
	}
	return 0, fmt.Errorf("store a frame in %s: %w", name, ack.Error)
}

// fetch returns the first message at or after seq. Where there is none, or it
// cannot be read, found is false.
func (s *store) fetch(ctx context.Context, name string, seq uint64) (data []byte, at uint64, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return nil, 0, false, context.Cause(ctx)
	}
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, seq, name)
	msg, err := s.get.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+name, request)
	if err != nil {
		return nil, 0, false, s.because(fmt.Errorf("read frame %d of %s: %w", seq, name, err))
	}
	if status := msg.Header.Get("Status"); status != "" {
		if status == "404" {
			return nil, 0, false, nil
		}
		return nil, 0, false, fmt.Errorf("read frame %d of %s: nats answers %s %s", seq, name, status, msg.Header.Get("Description"))
	}
	at, err = strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, 0, false, fmt.Errorf("read frame %d of %s: %w", seq, name, err)
	}
	return msg.Data, at, true, nil
}
