package collector

import (
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

const (
	// partBytes is how much of a request is emitted at a time, so that what is
	// made of it is bounded too. A single event may be larger.
	partBytes = 1 << 20
	// emitTimeout bounds the wait for a verdict. The host itself waits for its
	// journal for up to 5 s.
	emitTimeout = 10 * time.Second
)

// emit stores the events, part by part. Where a part is not stored the client
// sends all of them again; those that were stored are known by their messageId.
func (q *request) emit(body *payload.Body) ([]refusal, *ingest.Problem) {
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
			return nil, ingest.NotStored(err)
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
