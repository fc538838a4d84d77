package collector

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// failure is the body of an answer that is no 200, in the forms that all
// clients read: meta.errors (customerio-node), code and message (the Python
// clients).
type failure struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Meta    meta      `json:"meta"`
	Refused []refusal `json:"refused,omitempty"`
}

type meta struct {
	Errors []string `json:"errors"`
}

// refusal is one event that was refused, by its first violation.
type refusal struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId"`
	Code      string `json:"code"`
	Path      string `json:"path"`
	Message   string `json:"message"`
	Action    string `json:"action"` // quarantine or drop
}

// maxText bounds, in bytes, each text of a refusal: an answer must not grow
// with what an event holds.
const maxText = 512

func newRefusal(v sdk.Violation, index int) refusal {
	r := refusal{Index: index, MessageID: clip(v.MessageID), Code: v.Code, Path: clip(v.Path), Message: clip(v.Message), Action: "quarantine"}
	if v.Dropped {
		r.Action = "drop"
	}
	return r
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

func (r refusal) String() string {
	return fmt.Sprintf("event %d%s: %s: %s", r.Index, r.Path, r.Code, r.Message)
}

// writeProblem answers a request that is not taken.
func writeProblem(w http.ResponseWriter, p *ingest.Problem) {
	p.SetRetryAfter(w.Header())
	ingest.WriteJSON(w, p.Status, failure{Code: p.Code, Message: p.Message, Meta: meta{Errors: []string{p.Message}}})
}

// writeTaken answers a request whose events are durable, or were dropped as
// the operator chose. A strict client hears of refused ones by the status too.
func writeTaken(w http.ResponseWriter, refused []refusal, strict bool) {
	if len(refused) == 0 {
		ingest.WriteJSON(w, http.StatusOK, struct{}{})
		return
	}
	w.Header().Set("Wellhead-Refused", strconv.Itoa(len(refused)))
	if !strict {
		ingest.WriteJSON(w, http.StatusOK, struct {
			Refused []refusal `json:"refused"`
		}{refused})
		return
	}
	f := failure{Code: "refused", Message: fmt.Sprintf("%d of the events were refused; the others are stored", len(refused)), Refused: refused}
	for _, r := range refused {
		f.Meta.Errors = append(f.Meta.Errors, r.String())
	}
	ingest.WriteJSON(w, http.StatusBadRequest, f)
}
