package customerio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// refusedHeader is how many events of a request a Wellhead refused. It has the
// others, whatever the status.
const refusedHeader = "Wellhead-Refused"

// said is the body of an answer, in the forms of Wellhead, Customer.io
// (meta.errors) and the endpoints that Segment's clients know (code, message).
type said struct {
	Code    string
	Message string
	Meta    struct{ Errors []string }
	Refused []refusal
}

// refusal is one event that a Wellhead refused.
type refusal struct {
	Index               *int
	Code, Path, Message string
}

// verdict says what an answer means for all events that were sent. It notes in
// failed what is refused of them one by one.
func (d *Destination) verdict(a answer, sent []int, failed destination.Partial) *destination.Error {
	taken := a.status >= 200 && a.status < 300
	var s said
	err := json.Unmarshal(a.body, &s)
	if count := a.header.Get(refusedHeader); count != "" && (taken || a.status == http.StatusBadRequest) {
		if err == nil && count == strconv.Itoa(len(s.Refused)) && d.sort(s.Refused, sent, failed) {
			return nil
		}
		return &destination.Error{
			Kind: destination.Refused, Code: "refused",
			Err: fmt.Errorf("%s refused %s of %d events and does not say which", d.host, destination.Excerpt(count), len(sent)),
		}
	}
	if taken {
		return nil
	}
	e := &destination.Error{
		Code:       fmt.Sprintf("http_%d", a.status),
		RetryAfter: destination.RetryAfter(a.header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("%s answered %d%s", d.host, a.status, d.after(s.text())),
	}
	e.Kind, e.Hint = d.meaning(a.status)
	e.Attention = e.Hint != ""
	return e
}

// meaning returns what a status other than 2xx means, with a hint where an operator
// is needed.
func (d *Destination) meaning(code int) (kind destination.Kind, hint string) {
	const clientGone = 460 // of a load balancer, before the receiver had the request
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		if d.config.URL != "" {
			return destination.Unavailable, "check key: the receiver does not take it"
		}
		return destination.Unavailable, "check key, and region: a workspace is in one only"
	case http.StatusProxyAuthRequired:
		return destination.Unavailable, "check the proxy's credentials"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return destination.Unavailable, "check url: nothing takes a POST to " + batchPath + " there"
	case http.StatusUnsupportedMediaType:
		return destination.Unavailable, "set gzip: false if the receiver takes no compressed requests"
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, clientGone, http.StatusServiceUnavailable:
		return destination.Unavailable, ""
	}
	switch {
	case code < 400:
		return destination.Unavailable, "set url to where it redirects: redirects are not followed"
	case code >= 500:
		return destination.Failed, ""
	}
	return destination.Refused, ""
}

// sort notes refusals in failed. It tells whether each is of an event that was sent.
func (d *Destination) sort(refused []refusal, sent []int, failed destination.Partial) bool {
	for _, r := range refused {
		if r.Index == nil || *r.Index < 0 || *r.Index >= len(sent) {
			return false
		}
	}
	for _, r := range refused {
		where := r.Code
		if r.Path != "" {
			where += " at " + r.Path
		}
		failed[sent[*r.Index]] = &destination.Error{
			Kind: destination.Refused, Code: "refused",
			Err: fmt.Errorf("%s refused it%s%s", d.host, d.after(where), d.after(r.Message)),
		}
	}
	return true
}

// text is what the body of an answer says. Of one in another form, such as a
// proxy's page, nothing is shown.
func (s *said) text() string {
	if len(s.Meta.Errors) > 0 {
		return strings.Join(s.Meta.Errors, "; ")
	}
	return s.Message
}

// after puts a text from outside after another, bounded, on one line and without
// the key.
func (d *Destination) after(text string) string {
	if text = destination.Excerpt(d.hide.Replace(text)); text == "" {
		return ""
	}
	return ": " + text
}
