package collector_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func authorization(scheme, credentials string) string {
	return "Authorization: " + scheme + " " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

func TestKeyIsTakenInEveryForm(t *testing.T) {
	const batch, track = `{"batch":[{"type":"track"}]}`, `{"event":"E"}`
	for _, c := range []struct {
		name string
		call
		status int
		code   string
	}{
		{"user of Basic", call{path: "/v1/batch", headers: []string{authorization("Basic", "KEY:")}, body: batch}, 200, ""},
		{"user of Basic with a password", call{path: "/v1/batch", headers: []string{authorization("Basic", "KEY:x:y")}, body: batch}, 200, ""},
		{"user of Basic without a colon", call{path: "/v1/batch", headers: []string{authorization("Basic", "KEY")}, body: batch}, 200, ""},
		{"user of Basic without padding", call{path: "/v1/batch", headers: []string{"Authorization: Basic S0VZOg"}, body: batch}, 200, ""},
		{"scheme in another case", call{path: "/v1/track", headers: []string{authorization("basic", "KEY:")}, body: track}, 200, ""},
		{"body of a single event", call{path: "/v1/t", body: `{"event":"E","writeKey":"KEY"}`}, 200, ""},
		{"beside the batch", call{path: "/v1/b", body: `{"batch":[{}],"writeKey":"KEY"}`}, 200, ""},
		{"in the events of a batch", call{path: "/v1/b", body: `{"batch":[{"writeKey":"KEY"},{}]}`}, 200, ""},
		{"body beside a bearer token", call{path: "/v1/batch", headers: []string{"Authorization: Bearer abc"}, body: `{"writeKey":"KEY","batch":[{}]}`}, 200, ""},
		{"body beside an empty Basic", call{path: "/v1/batch", headers: []string{authorization("Basic", ":")}, body: `{"writeKey":"KEY","batch":[{}]}`}, 200, ""},
		{"body beside a broken Basic", call{path: "/v1/batch", headers: []string{"Authorization: Basic %%%"}, body: `{"writeKey":"KEY","batch":[{}]}`}, 200, ""},
		{"header before the body", call{path: "/v1/batch", headers: []string{authorization("Basic", "KEY:")}, body: `{"writeKey":"OTHER","batch":[{}]}`}, 200, ""},
		{"any content type", call{path: "/v1/track", headers: []string{basic, "Content-Type: application/x-www-form-urlencoded"}, body: track}, 200, ""},

		{"unknown in the header", call{path: "/v1/batch", headers: []string{authorization("Basic", "NO:")}, body: batch}, 401, "unknown_key"},
		{"unknown in the header, known in the body", call{path: "/v1/batch", headers: []string{authorization("Basic", "NO:")}, body: `{"writeKey":"KEY","batch":[]}`}, 401, "unknown_key"},
		{"unknown in the body", call{path: "/v1/t", body: `{"writeKey":"NO"}`}, 401, "unknown_key"},
		{"nowhere", call{path: "/v1/batch", body: batch}, 401, "no_key"},
		{"nowhere in a single event", call{path: "/v1/t", body: track}, 401, "no_key"},
		{"only where it is the user's own", call{path: "/v1/t", body: `{"properties":{"writeKey":"KEY"}}`}, 401, "no_key"},
		{"of several sources", call{path: "/v1/b", body: `{"batch":[{"writeKey":"KEY"},{"writeKey":"RESTING"}]}`}, 400, "mixed_keys"},
		{"of a source that is not running", call{path: "/v1/t", body: `{"writeKey":"RESTING"}`}, 503, "not_running"},
		{"of a source that is not running, in the header", call{path: "/v1/t", headers: []string{authorization("Basic", "RESTING:")}, body: track}, 503, "not_running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			got := c.do(newCollector(t, h))
			answer := text(t, got)
			if got.StatusCode != c.status || !strings.Contains(answer, c.code) {
				t.Fatalf("answer %d %s, want %d %s", got.StatusCode, answer, c.status, c.code)
			}
			if stored := len(h.events()) > 0; stored != (c.status == 200) {
				t.Fatalf("status %d, but stored: %v", c.status, stored)
			}
			if retry := got.Header.Get("Retry-After"); (retry == "1") != (c.status == 503) {
				t.Fatalf("status %d with Retry-After %q", c.status, retry)
			}
			for _, e := range h.events() {
				if strings.Contains(e, "writeKey") {
					t.Fatalf("the key is still in %s", e)
				}
			}
		})
	}
}

func TestUnknownKeyInHeaderCostsNoBody(t *testing.T) {
	r := call{path: "/v1/batch", headers: []string{authorization("Basic", "NO:")}, body: `{`}.request()
	read := &readSpy{ReadCloser: r.Body}
	r.Body = read
	newCollector(t, newHost()).ServeHTTP(discard{}, r)
	if read.called {
		t.Fatal("the body of a request with an unknown key was read")
	}
}

func TestKeyIsNotLogged(t *testing.T) {
	h := newHost()
	c := newCollector(t, h)
	call{path: "/v1/t", body: `{"writeKey":"GUESSED"}`}.do(c)
	call{path: "/v1/t", body: `{"writeKey":"KEY",`}.do(c)
	if log := h.logged.String(); strings.Contains(log, "GUESSED") || strings.Contains(log, "KEY\"") || log == "" {
		t.Fatalf("log: %s", log)
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
