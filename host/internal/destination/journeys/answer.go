package journeys

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// verdict says what an answer means for the request as a whole.
func (d *Destination) verdict(ctx context.Context, a answer) *destination.Error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	e := &destination.Error{
		Code:       fmt.Sprintf("http_%d", a.status),
		RetryAfter: destination.RetryAfter(a.header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("%s answered %d%s", d.host, a.status, message(a.body)),
	}
	switch {
	case a.status < 400:
		e.Attention, e.Hint = true, d.elsewhere()
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		e.Attention, e.Hint = true, "check site_id, api_key and region"
	case a.status == http.StatusProxyAuthRequired:
		e.Attention, e.Hint = true, "check the proxy's credentials"
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly, a.status == http.StatusTooManyRequests,
		a.status == http.StatusServiceUnavailable:
	case a.status >= 500:
		if d.up(ctx) {
			e.Kind = destination.Failed
		}
	default:
		e.Kind = destination.Refused
	}
	return e
}

// elsewhere is what to do about a redirect. Customer.io redirects the requests of a
// workspace that is in another region; credentials do not follow.
func (d *Destination) elsewhere() string {
	switch {
	case d.config.URL != "":
		return "set url to where it redirects: redirects are not followed"
	case d.config.Region == EU:
		return "set region: us if the workspace is there"
	}
	return "set region: eu if the workspace is there"
}

// up tells whether the API answers a question that changes nothing. It parts a
// request that cannot be answered from an outage, in which requests keep their order.
func (d *Destination) up(ctx context.Context) bool {
	a, e := d.do(ctx, request{method: http.MethodGet, path: "/api/v1/accounts/region"})
	return e == nil && a.status < 500
}

// fault is what Customer.io says of an operation.
type fault struct {
	BatchIndex             *int `json:"batch_index"`
	Reason, Field, Message string
}

func (f fault) String() string {
	var parts []string
	for _, part := range []string{f.Reason, f.Field, f.Message} {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// refusals reads which of n operations the answer to their batch refuses, and
// why. Its error is that the answer cannot be understood.
func (d *Destination) refusals(a answer, n int) (map[int]*destination.Error, *destination.Error) {
	var said struct{ Errors []fault }
	err := json.Unmarshal(a.body, &said)
	if a.status != http.StatusMultiStatus && (err != nil || len(said.Errors) == 0) {
		return nil, nil //nolint:nilerr // the status says enough, whatever the body is
	}
	code := fmt.Sprintf("http_%d", a.status)
	refused := map[int]*destination.Error{}
	for _, f := range said.Errors {
		if f.BatchIndex == nil || *f.BatchIndex < 0 || *f.BatchIndex >= n {
			refused = nil
			break
		}
		refused[*f.BatchIndex] = &destination.Error{
			Kind: destination.Refused, Code: code,
			Err: fmt.Errorf("%s refused it%s", d.host, after(f.String())),
		}
	}
	if err != nil || len(refused) == 0 {
		return nil, &destination.Error{
			Kind: destination.Refused, Code: code,
			Err: fmt.Errorf("%s does not say which operations of a batch it refused", d.host),
		}
	}
	return refused, nil
}

// message returns what Customer.io says in an error's body, to be put after a
// status. Of a body in another form, such as a proxy's page with the
// request's path, nothing is shown.
func message(body []byte) string {
	var said struct {
		Meta struct {
			Error  string
			Errors []string
		}
		Errors []fault
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	texts := said.Meta.Errors
	if said.Meta.Error != "" {
		texts = append(texts, said.Meta.Error)
	}
	for _, f := range said.Errors {
		texts = append(texts, f.String())
	}
	return after(strings.Join(texts, "; "))
}

// after puts a text from outside after another, bounded and on one line.
func after(text string) string {
	if text = destination.Excerpt(text); text == "" {
		return ""
	}
	return ": " + text
}
