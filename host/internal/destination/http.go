package destination

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
)

const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 64 << 10
)

// NewHTTPClient returns what destinations that speak HTTP send with. It keeps
// connections, and follows no redirect: that would carry events and credentials to
// a place that nobody configured. A request's timeout is its context's; connecting
// takes at most connect, or 5 s.
func NewHTTPClient(connect time.Duration) *http.Client {
	connect = min(connect, connectTimeout)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connect}).DialContext,
			TLSHandshakeTimeout:    connect,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           2,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NoAnswer says why a request to a host got none. Of err, which may be a
// *url.Error, the URL is not shown.
func NoAnswer(host string, err error) *Error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		err = op.Err // without the address, which host tells
	}
	e := &Error{Code: "no_answer", Err: fmt.Errorf("%s: %w", host, err)}
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
		e.Code, e.Hint = "timeout", fmt.Sprintf("look whether the receiver at %s is overloaded or a firewall drops what is sent there, or raise timeout", host)
	case errors.As(err, &cert), errors.As(err, &record):
		e.Code = "tls"
		e.Attention, e.Hint = true, "check the certificate of "+host
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

// maxExcerpt is how much of a text that came from outside an error shows, in bytes.
const maxExcerpt = 200

// Excerpt returns the beginning of a text that came from outside, on one line.
func Excerpt(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text[:min(len(text), maxExcerpt)])
	return strings.Join(strings.Fields(text), " ")
}

// RetryAfter reads the header Retry-After, in seconds or as a date; 0: it says nothing.
func RetryAfter(header string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
