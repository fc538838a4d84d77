package forwarder

import (
	"net/http"
	"strconv"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// problem is why a request is not taken.
type problem struct {
	ingest.Problem
	field  string
	client *translate.Error // nil: the message is for the client as for the log
}

// logged is the problem without anything of the client's.
func (p *problem) logged() *ingest.Problem {
	if p.client == nil {
		return &p.Problem
	}
	l := p.Problem
	l.Message = "calls that Customer.io would not take"
	if p.field != "" {
		l.Message += ": " + p.field
	}
	return &l
}

// failure is an error as version 2 words it. A zero failure is none.
type failure struct {
	Reason  string `json:"reason"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func (p *problem) failure() failure {
	return failure{Reason: p.Code, Field: p.field, Message: p.Message}
}

// write answers a request that is not taken. Version 1 words an error in one of
// two forms, by endpoint; all of them are answered both.
func (p *problem) write(w http.ResponseWriter, version int) {
	p.SetRetryAfter(w.Header())
	if version == 2 {
		ingest.WriteJSON(w, p.Status, struct {
			Errors []failure `json:"errors"`
		}{[]failure{p.failure()}})
		return
	}
	type meta struct {
		Error  string   `json:"error"`
		Errors []string `json:"errors"`
	}
	ingest.WriteJSON(w, p.Status, struct {
		Meta meta `json:"meta"`
	}{meta{p.Message, []string{p.Message}}})
}

// writeTaken answers a call that is durable.
func writeTaken(w http.ResponseWriter, refused int) {
	countRefused(w.Header(), refused)
	ingest.WriteJSON(w, http.StatusOK, struct{}{})
}

// writeNoContent is writeTaken of an endpoint that answers without a body.
func writeNoContent(w http.ResponseWriter, refused int) {
	countRefused(w.Header(), refused)
	w.WriteHeader(http.StatusNoContent)
}

func countRefused(h http.Header, refused int) {
	if refused > 0 {
		h.Set("Wellhead-Refused", strconv.Itoa(refused))
	}
}

// writeBatch answers a batch, naming the operations that failed.
func writeBatch(w http.ResponseWriter, operations int, failed map[int]failure, refused int) {
	if len(failed) == 0 {
		writeTaken(w, refused)
		return
	}
	type item struct {
		Index int `json:"batch_index"`
		failure
	}
	items := make([]item, 0, len(failed))
	for i := range operations {
		if f, ok := failed[i]; ok {
			items = append(items, item{i, f})
		}
	}
	countRefused(w.Header(), refused)
	ingest.WriteJSON(w, http.StatusMultiStatus, struct {
		Errors []item `json:"errors"`
	}{items})
}
