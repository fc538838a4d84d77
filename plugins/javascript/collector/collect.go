package collector

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
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
)

// endpoint is one of the paths that take events.
type endpoint struct {
	typ   string // of the one event; empty: a batch
	short bool   // it is one of the paths that only browsers and apps use
}

// collect takes one request of events and answers it.
func (c *Collector) collect(w http.ResponseWriter, r *http.Request, to endpoint) {
	q := &request{Collector: c, http: r, to: to, held: c.budget.Share()}
	defer q.held.Release()
	refused, p := q.take(w)
	if p == nil {
		writeTaken(w, refused, r.Header.Get("X-Strict-Mode") == "1")
		return
	}
	c.rejections.Add(p, q.logger())
	if p.RetryAfter > 0 {
		hideFromPage(w.Header(), r)
	}
	writeProblem(w, p)
}

// request is one request of events while it is in hand.
type request struct {
	*Collector
	http   *http.Request
	to     endpoint
	held   *ingest.Share
	stream Stream // nil: the key is not known yet
}

func (q *request) logger() *slog.Logger {
	if q.stream != nil {
		return q.stream.Log()
	}
	return q.log
}

// take stores the events, or says why it does not.
func (q *request) take(w http.ResponseWriter) ([]refusal, *ingest.Problem) {
	// A wrong key in the header is found before the body takes any memory.
	if key := headerKey(q.http); key != "" {
		if p := q.authenticate(key); p != nil {
			return nil, p
		}
	}
	limit, setting, remedy := q.maxRequest, "max_request", "send it in parts"
	if q.to.typ != "" {
		limit, setting, remedy = q.maxEvent, "max_event", "send less in the event"
	}
	raw, p := q.bodies.Read(q.http.Context(), w, q.http, limit, q.held)
	if p != nil {
		if p.Status == http.StatusRequestEntityTooLarge {
			p.Message += ", the collector's " + setting + ": " + remedy
		}
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

func (q *request) authenticate(key string) *ingest.Problem {
	if key == "" {
		return &ingest.Problem{Status: http.StatusUnauthorized, Code: "no_key",
			Message: "the request has no API key: send it as the user of HTTP Basic, or as writeKey in the body"}
	}
	stream, err := q.find(key)
	switch {
	case err == nil:
		q.stream = stream
		q.compare(stream.Limits())
		return nil
	case errors.Is(err, sdk.ErrUnknownKey):
		return &ingest.Problem{Status: http.StatusUnauthorized, Code: "unknown_key",
			Message: "no source has this API key: look for it under sources in the config"}
	default:
		return ingest.NotRunning()
	}
}

// split splits the body, and finds the key in it where the header named none.
func (q *request) split(raw []byte) (*payload.Body, *ingest.Problem) {
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
func bodyFault(err error) *ingest.Problem {
	p := &ingest.Problem{Status: http.StatusBadRequest, Code: payload.CodeNotJSON, Message: err.Error()}
	var fault *payload.Error
	if errors.As(err, &fault) {
		p.Code = fault.Code
	}
	if p.Code == payload.CodeTooManyEvents {
		p.Status = http.StatusRequestEntityTooLarge
	}
	return p
}

// admit refuses what would take too much, and takes the memory for the rest.
func (q *request) admit(body *payload.Body, size int) *ingest.Problem {
	spread := size + body.Len()*body.Shared()
	limits := q.stream.Limits()
	if most := limits.EventBytes; q.to.typ != "" && most > 0 && size > most {
		p := ingest.TooLarge(most)
		p.Message += ", the host's limits.event: send less in the event"
		return p
	}
	if most := limits.BatchBytes; most > 0 && size > most {
		p := ingest.TooLarge(most)
		p.Message += ", the host's limits.request: send it in parts"
		return p
	}
	if spread > maxSpread*q.maxRequest {
		return &ingest.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Message: fmt.Sprintf("context and integrations of the batch, copied into each of its %d events, make %d bytes: send it in parts", body.Len(), spread)}
	}
	return q.held.Hold(body.Len()*eventCost + min(spread, partBytes))
}
