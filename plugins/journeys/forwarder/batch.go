package forwarder

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk"
)

// operationCost is what an operation takes in bytes beyond its own: its place
// in the split body, its events' and the answer that names it.
const operationCost = 512

// entityPath is where an operation could have been sent by itself.
const entityPath = "/api/v2/entity"

// batch takes the operations of a batch and answers which are not taken. All
// that are good go into one Emit, so that there is one answer: where they are
// not stored the client sends all of them again.
func (q *request) batch() *problem {
	body, p := q.body(q.http.Context(), translate.MaxBody)
	if p != nil {
		return p
	}
	operations, err := translate.Operations(body)
	if err != nil {
		return badCall(err)
	}
	if p := q.held.Hold(len(operations) * operationCost); p != nil {
		return &problem{Problem: *p}
	}
	b := sdk.Batch{Events: make([]sdk.Event, 0, len(operations)), Groups: make([]sdk.Group, 0, len(operations))}
	of := make([]int, 0, len(operations)) // the operation of each event
	failed := map[int]failure{}
	attachments := make([]byte, 0, len(operations)*attachmentSize(entityPath, 2)+attachmentSize("", len(body)))
	for i, op := range operations {
		events, err := op.Events()
		if err != nil {
			bad := badCall(err)
			q.rejections.Add(bad.logged(), q.log())
			failed[i] = bad.failure()
			continue
		}
		if len(events) == 0 {
			continue
		}
		start := len(attachments)
		attachments = appendAttachment(attachments, http.MethodPost, entityPath, op)
		b.Groups = append(b.Groups, sdk.Group{First: len(b.Events), Count: len(events), Attachment: attachments[start:len(attachments):len(attachments)]})
		b.Events = append(b.Events, events...)
		for range events {
			of = append(of, i)
		}
	}
	refused := 0
	if len(b.Events) > 0 {
		verdict, p := q.emit(b, time.Now().Add(emitTimeout))
		if p != nil {
			return p
		}
		refused = refusedEvents(verdict)
		for _, v := range verdict.Violations {
			if i := of[v.Index]; failed[i] == (failure{}) {
				failed[i] = failure{Reason: v.Code, Field: clip(v.Path), Message: clip(v.Message)}
			}
		}
	}
	writeBatch(q.w, len(operations), failed, refused)
	return nil
}

// maxText bounds, in bytes, each text of an answer that comes from the host:
// it must not grow with what an event holds.
const maxText = 512

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// badCall is the problem of a call that Customer.io would not take.
func badCall(err error) *problem {
	p := &problem{}
	p.Status, p.Code, p.Message = http.StatusBadRequest, translate.ReasonInvalid, err.Error()
	var bad *translate.Error
	if errors.As(err, &bad) {
		p.Code, p.field, p.client = bad.Reason, bad.Field, bad
	}
	return p
}
