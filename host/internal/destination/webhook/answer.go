package webhook

import (
	"fmt"
	"net/http"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// verdict says what an answer means.
func (d *Destination) verdict(resp *http.Response, answer []byte) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	text := destination.Excerpt(string(answer))
	if text != "" {
		text = ": " + text
	}
	e := &destination.Error{
		Code:       fmt.Sprintf("http_%d", code),
		RetryAfter: destination.RetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("%s answered %d%s", d.host, code, text),
	}
	switch {
	case code < 400:
		e.Attention, e.Hint = true, "set url to where it is redirected: redirects are not followed"
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		e.Attention, e.Hint = true, "check the credentials and the secret"
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone:
		e.Attention, e.Hint = true, "check the url: nothing takes a POST there"
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code == http.StatusServiceUnavailable:
	case code >= 500:
		e.Kind = destination.Failed
	default:
		e.Kind = destination.Refused
	}
	return e
}
