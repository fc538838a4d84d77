package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
	"github.com/wellhead-io/wellhead/sdk"
)

const (
	// maxEvents bounds the events of one request. Segment takes 2,500.
	maxEvents = 10_000
	// eventCost is what an event takes in bytes beyond its own: its place in
	// the split body, its verdict, and the answer that names it.
	eventCost = 1 << 10
	// maxSpread bounds how far a request may grow, in times of the largest
	// request, when what a batch says once is copied into each of its events.
	maxSpread = 16
	// partBytes is how much is emitted at a time, so that what is made of a
	// request is bounded too. A single event may be larger.
	partBytes = 1 << 20
	// emitTimeout bounds the wait for a verdict. The host itself waits for its
	// journal for up to 5 s.
	emitTimeout = 10 * time.Second
)

// endpoint is one of the paths that take events.
type endpoint struct {
	typ   string // of the one event; empty: a batch
	short bool   // it is one of the paths that only browsers and apps use
}

// collect takes one request of events and answers it.
func (c *Collector) collect(w http.ResponseWriter, r *http.Request, to endpoint) {
	q := &request{Collector: c, http: r, to: to, held: share{of: c.budget}}
	defer q.held.release()
	refused, p := q.take(w)
	if p == nil {
		writeTaken(w, refused, r.Header.Get("X-Strict-Mode") == "1")
		return
	}
	c.rejections.add(p, q.logger())
	if p.retryAfter > 0 {
		hideFromPage(w.Header(), r)
	}
	writeProblem(w, p)
}

// request is one request of events while it is in hand.
type request struct {
	*Collector
	http   *http.Request
	to     endpoint
	held   share
	stream Stream // nil: the key is not known yet
}

func (q *request) logger() *slog.Logger {
	if q.stream != nil {
		return q.stream.Log()
	}
	return q.log
}

// take stores the events, or says why it does not.
func (q *request) take(w http.ResponseWriter) ([]refusal, *problem) {
	// A wrong key in the header is found before the body takes any memory.
	if key := headerKey(q.http); key != "" {
		if p := q.authenticate(key); p != nil {
			return nil, p
		}
	}
	limit := q.maxRequest
	if q.to.typ != "" {
		limit = q.maxEvent
	}
	raw, p := q.bodies.read(w, q.http, limit, &q.held)
	if p != nil {
		return nil, p
	}
	body, p := q.split(raw)
	if p != nil {
		return nil, p
	}
	if p := q.admit(body, len(raw)); p != nil {
		return nil, p
	}
	return q.emit(body)
}

func (q *request) authenticate(key string) *problem {
	if key == "" {
		return &problem{status: http.StatusUnauthorized, code: "no_key",
			message: "the request has no API key: send it as the user of HTTP Basic, or as writeKey in the body"}
	}
	stream, err := q.find(key)
	switch {
	case err == nil:
		q.stream = stream
		return nil
	case errors.Is(err, sdk.ErrUnknownKey):
		return &problem{status: http.StatusUnauthorized, code: "unknown_key",
			message: "no source has this API key: look for it under sources in the config"}
	default:
		return &problem{status: http.StatusServiceUnavailable, code: "not_running", retryAfter: 1,
			message: "the key's source takes nothing now: come again"}
	}
}

// split splits the body, and finds the key in it where the header named none.
func (q *request) split(raw []byte) (*payload.Body, *problem) {
	body, err := q.parse(raw)
	if err != nil {
		return nil, bodyFault(err)
	}
	if q.stream != nil {
		return body, nil
	}
	key, err := body.WriteKey()
	if err != nil {
		return nil, bodyFault(err)
	}
	return body, q.authenticate(key)
}

func (q *request) parse(raw []byte) (*payload.Body, error) {
	if q.to.typ != "" {
		return payload.Single(raw, q.to.typ)
	}
	return payload.Batch(raw, maxEvents)
}

// bodyFault says what a fault of the body means to the client.
func bodyFault(err error) *problem {
	p := &problem{status: http.StatusBadRequest, code: payload.CodeNotJSON, message: err.Error()}
	var fault *payload.Error
	if errors.As(err, &fault) {
		p.code = fault.Code
	}
	if p.code == payload.CodeTooManyEvents {
		p.status = http.StatusRequestEntityTooLarge
	}
	return p
}

// admit refuses what would take too much, and takes the memory for the rest.
func (q *request) admit(body *payload.Body, size int) *problem {
	spread := size + body.Len()*body.Shared()
	if most := q.stream.Limits().EventBytes; q.to.typ != "" && most > 0 && size > most {
		return tooLarge(most)
	}
	if spread > maxSpread*q.maxRequest {
		return &problem{status: http.StatusRequestEntityTooLarge, code: "too_large",
			message: fmt.Sprintf("context and integrations of the batch, copied into each of its %d events, make %d bytes: send it in parts", body.Len(), spread)}
	}
	if err := q.held.hold(body.Len()*eventCost + min(spread, partBytes)); err != nil {
		return bodyProblem(err, q.maxRequest)
	}
	return nil
}

// emit stores the events, part by part. Where a part is not stored the client
// sends all of them again; those that were stored are known by their messageId.
func (q *request) emit(body *payload.Body) ([]refusal, *problem) {
	from := payload.Origin{
		IP:     q.proxies.client(q.http),
		Client: q.to.short || q.http.Header.Get("Origin") != "",
	}
	var refused []refusal
	for first := 0; first < body.Len(); {
		part := q.part(body, first, from)
		ctx, cancel := context.WithTimeout(q.http.Context(), emitTimeout)
		verdict, err := q.stream.Emit(ctx, part)
		cancel()
		if err != nil {
			return nil, notStored(err)
		}
		for _, v := range verdict.Violations {
			index := first + v.Index
			if n := len(refused); n == 0 || refused[n-1].Index != index {
				refused = append(refused, newRefusal(v, index))
			}
		}
		first += len(part.Events)
	}
	return refused, nil
}

// part returns the events from first on that go into one batch: at least one.
func (q *request) part(body *payload.Body, first int, from payload.Origin) sdk.Batch {
	limits := q.stream.Limits()
	room := partBytes
	if limits.BatchBytes > 0 {
		room = min(room, limits.BatchBytes)
	}
	count := body.Len() - first
	if limits.BatchEvents > 0 {
		count = min(count, limits.BatchEvents)
	}
	batch := sdk.Batch{Events: make([]sdk.Event, 0, count)}
	for i := range count {
		var event []byte
		size := body.Size(first + i)
		oversize := q.to.typ == "" && size > q.maxEvent
		if oversize {
			event = body.Raw(first + i)
		} else {
			event = body.Event(first+i, from)
		}
		if room -= len(event); room < 0 && i > 0 {
			break
		}
		if oversize {
			batch.Violations = append(batch.Violations, sdk.Violation{Index: i, Code: "too_large",
				Message: fmt.Sprintf("the event has %d bytes, and %d are taken", size, q.maxEvent)})
		}
		batch.Events = append(batch.Events, event)
	}
	return batch
}

// notStored says what an Emit that failed means to the client.
func notStored(err error) *problem {
	var ns *sdk.NotStored
	var large *sdk.TooLarge
	switch {
	case errors.As(err, &ns):
		p := &problem{status: http.StatusServiceUnavailable, code: string(ns.Reason),
			message:    fmt.Sprintf("the events are not stored (%s): send them again", ns.Reason),
			retryAfter: max(1, int((ns.RetryAfter+time.Second-1)/time.Second))}
		if ns.Reason.Busy() {
			p.status = http.StatusTooManyRequests
		}
		return p
	case errors.As(err, &large):
		return tooLarge(large.Allowed)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{status: http.StatusServiceUnavailable, code: "no_verdict", retryAfter: 1,
			message: "it is not known in time whether the events are stored: send them again"}
	default:
		return &problem{status: http.StatusServiceUnavailable, code: "not_running", retryAfter: 1,
			message: "the key's source ended meanwhile: send the events again"}
	}
}
