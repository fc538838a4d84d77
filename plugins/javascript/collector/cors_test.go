package collector_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

func TestPreflightOnEveryPath(t *testing.T) {
	for _, path := range []string{"/v1/t", "/v1/b", "/v1/batch", "/v1/m", "/v1/projects/KEY/settings", "/analytics.js/v1/KEY/analytics.min.js", "/", "/no/such/path"} {
		got := call{method: http.MethodOptions, path: path, headers: []string{
			"Origin: https://shop.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-retry-count",
		}}.do(newCollector(t, newHost()))
		if got.StatusCode != 204 || got.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
		allowed := strings.Split(got.Header.Get("Access-Control-Allow-Headers"), ", ")
		for _, name := range []string{"authorization", "content-type", "x-retry-count", "x-strict-mode"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s: %q is not allowed by name", path, name)
			}
		}
		if got.Header.Get("Access-Control-Max-Age") == "" {
			t.Errorf("%s: no Max-Age", path)
		}
	}
}

func TestEveryAnswerMayBeReadByPages(t *testing.T) {
	for _, c := range []call{
		{path: "/v1/t", headers: []string{basic}, body: `{}`},
		{path: "/v1/t", body: `{}`},
		{path: "/v1/t", headers: []string{basic}, body: `{`},
		{path: "/v1/m", body: `{}`},
		{method: "GET", path: "/v1/t"},
		{method: "GET", path: "/v1/projects/KEY/settings"},
		{method: "GET", path: "/v1/projects/NO/settings"},
		{method: "GET", path: "/analytics.js/v1/KEY/analytics.min.js"},
		{method: "GET", path: "/nothing"},
	} {
		c.headers = append(c.headers, "Origin: https://shop.example")
		got := c.do(newCollector(t, newHost()))
		if got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Expose-Headers") != "Retry-After, Wellhead-Refused" {
			t.Errorf("%s: %v", c.path, got.Header)
		}
	}
}

func TestBrowserLibraryThatIgnoresTheStatusHearsABrokenConnection(t *testing.T) {
	h := newHost()
	h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) {
		return sdk.Verdict{}, &sdk.NotStored{Reason: sdk.DiskFull, RetryAfter: time.Second}
	}
	for _, c := range []struct {
		name string
		call
		readable bool
	}{
		{"Customer.io's", call{path: "/v1/t", headers: []string{"Origin: https://shop.example"}, body: `{"writeKey":"KEY"}`}, false},
		{"Segment's", call{path: "/v1/t", headers: []string{"Origin: https://shop.example", basic}, body: `{"writeKey":"KEY"}`}, true},
		{"a final answer", call{path: "/v1/t", headers: []string{"Origin: https://shop.example"}, body: `{"writeKey":"NO"}`}, true},
	} {
		got := c.do(newCollector(t, h))
		if readable := got.Header.Get("Access-Control-Allow-Origin") == "*"; readable != c.readable || got.StatusCode < 400 {
			t.Errorf("%s: answer %d, readable %v", c.name, got.StatusCode, readable)
		}
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	for _, c := range []struct {
		call
		status int
		allow  string
	}{
		{call{path: "/v1/m", body: `{"series":[]}`}, 200, ""},
		{call{path: "/v1/m", body: `not JSON, and no key`}, 200, ""},
		{call{method: "GET", path: "/v1/track"}, 405, "POST, OPTIONS"},
		{call{method: "DELETE", path: "/v1/batch"}, 405, "POST, OPTIONS"},
		{call{method: "POST", path: "/v1/projects/KEY/settings"}, 405, "GET, OPTIONS"},
		{call{path: "/v1/tracks"}, 404, ""},
		{call{path: "/"}, 404, ""},
		{call{path: "/v1"}, 404, ""},
	} {
		got := c.do(newCollector(t, newHost()))
		if got.StatusCode != c.status || got.Header.Get("Allow") != c.allow || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, got.StatusCode, got.Header.Get("Allow"))
		}
	}
}
