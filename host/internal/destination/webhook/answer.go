package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// verdict says what an answer means.
func (d *Destination) verdict(resp *http.Response, answer []byte) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	e := &destination.Error{
		Code:       fmt.Sprintf("http_%d", code),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("%s answered %d%s", d.host, code, excerpt(answer)),
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

// noAnswer says why there was none. The URL, which may hold a token, is not shown.
func (d *Destination) noAnswer(err error) *destination.Error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		err = op.Err // without the address, which d.host tells
	}
	e := &destination.Error{Code: "no_answer", Err: fmt.Errorf("%s: %w", d.host, err)}
	var (
		timeout interface{ Timeout() bool }
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		e.Code = "unknown_host"
		e.Attention, e.Hint = dns.IsNotFound, "check the url and this machine's name resolution"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Code, e.Hint = "timeout", fmt.Sprintf("look whether the receiver at %s is overloaded or a firewall drops what is sent there, or raise timeout", d.host)
	case errors.As(err, &cert), errors.As(err, &record):
		e.Code = "tls"
		e.Attention, e.Hint = true, "check the certificate of "+d.host
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Code, e.Hint = "refused_connection", "nobody listens there: start the receiver, or mend the url"
		if op != nil && op.Op == "proxyconnect" {
			e.Hint = "the proxy that HTTP_PROXY or HTTPS_PROXY names does not listen: start it, or mend the variable"
		}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Code, e.Hint = "reset_connection", "look into the receiver's log: it ended the connection without an answer"
	}
	return e
}

// maxExcerpt is how much of an answer's body an error shows.
const maxExcerpt = 200

// excerpt returns the beginning of an answer's body on one line, to be put
// after a status.
func excerpt(body []byte) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(body[:min(len(body), maxExcerpt)]))
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return ""
	}
	return ": " + text
}

// retryAfter reads Retry-After, in seconds or as a date; 0: it says nothing.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
