package forwarder

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// emitTimeout bounds the wait for a verdict. The host itself waits for its
// journal for up to 5 s.
const emitTimeout = 10 * time.Second

// call takes one call and answers it.
func (q *request) call(e *translate.Endpoint) *problem {
	limit := translate.MaxBody
	if e == translate.Entity {
		limit = translate.MaxOperation
	}
	body, p := q.body(q.http.Context(), limit)
	if p != nil {
		return p
	}
	events, err := e.Events(q.path, q.query, body)
	if err != nil {
		return badCall(err)
	}
	refused := 0
	if len(events) > 0 {
		batch := sdk.Batch{Events: events, Groups: []sdk.Group{{Count: len(events), Attachment: q.attachment(body)}}}
		verdict, p := q.emit(batch, time.Now().Add(emitTimeout))
		if p != nil {
			return p
		}
		refused = refusedEvents(verdict)
	}
	if e.NoContent {
		writeNoContent(q.w, refused)
	} else {
		writeTaken(q.w, refused)
	}
	return nil
}

// emit stores a batch, all of it or nothing.
func (q *request) emit(b sdk.Batch, until time.Time) (sdk.Verdict, *problem) {
	size := 0
	for _, e := range b.Events {
		size += len(e)
	}
	for _, g := range b.Groups {
		size += len(g.Attachment)
	}
	if p := q.held.Hold(size); p != nil {
		return sdk.Verdict{}, &problem{Problem: *p}
	}
	ctx, cancel := context.WithDeadline(q.http.Context(), until)
	defer cancel()
	verdict, err := q.source.Stream.Emit(ctx, b)
	if err != nil {
		return sdk.Verdict{}, &problem{Problem: *ingest.NotStored(err)}
	}
	return verdict, nil
}

// refusedEvents counts the events of a verdict that were refused.
func refusedEvents(v sdk.Verdict) int {
	n, last := 0, -1
	for _, violation := range v.Violations {
		if violation.Index != last {
			n, last = n+1, violation.Index
		}
	}
	return n
}

// attachment is the call as a destination needs it to make it again.
func (q *request) attachment(body []byte) []byte {
	target := q.path
	if q.query != "" {
		target += "?" + q.query
	}
	return appendAttachment(make([]byte, 0, attachmentSize(target, len(body))), q.http.Method, target, body)
}

// attachmentSize bounds an attachment, where nothing of the target has to be
// escaped in JSON.
func attachmentSize(target string, body int) int {
	return len(`{"method":"DELETE","path":"","body":""}`) + len(target) + base64.StdEncoding.EncodedLen(body)
}

// appendAttachment appends a call of the Track API as it is kept beside the
// events that it became: a JSON object with its method, its path, which is
// escaped and has the query, and its body in base64, where it has one.
func appendAttachment(out []byte, method, target string, body []byte) []byte {
	out = append(out, `{"method":"`...)
	out = append(out, method...)
	out = append(out, `","path":`...)
	out, _ = jsontext.AppendQuote(out, target) // what is not UTF-8 does not come through a URL's parser
	if len(body) > 0 {
		out = append(out, `,"body":"`...)
		out = base64.StdEncoding.AppendEncode(out, body)
		out = append(out, '"')
	}
	return append(out, '}')
}
