package collector_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
)

const (
	segmentSnippet    = "/analytics.js/v1/KEY/analytics.min.js"
	customerioSnippet = "/v1/analytics-js/snippet/KEY/analytics.min.js"
)

func withScripts(o *collector.Options) {
	o.Scripts = fstest.MapFS{
		"segment/standalone.js":         {Data: []byte(`segment("__WRITE_KEY__")`)},
		"segment/x.bundle.0f.js":        {Data: []byte(`chunk("__WRITE_KEY__")`)},
		"segment/LICENSE.md":            {Data: []byte(`MIT`)},
		"customerio/standalone.js":      {Data: []byte(`customerio("__WRITE_KEY__")`)},
		"customerio/ajs-destination.js": {Data: []byte(`ajs()`)},
	}
}

func TestScripts(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		body   string
		age    string
	}{
		{segmentSnippet, 200, `segment("KEY")`, "public, max-age=300"},
		{customerioSnippet, 200, `customerio("KEY")`, "public, max-age=300"},
		{"/analytics.js/v1/RESTING/analytics.min.js", 200, `segment("RESTING")`, "public, max-age=300"},
		{"/analytics-next/bundles/x.bundle.0f.js", 200, `chunk("__WRITE_KEY__")`, "public, max-age=31536000, immutable"},
		{"/v1/analytics-js/ajs-destination.js", 200, `ajs()`, "public, max-age=300"},
		{"/analytics.js/v1/NO/analytics.min.js", 404, "no source has this API key\n", ""},
		{"/v1/analytics-js/snippet/NO/analytics.min.js", 404, "no source has this API key\n", ""},
		{"/analytics-next/bundles/y.js", 404, "the library has no such file\n", ""},
		{"/analytics-next/bundles/LICENSE.md", 404, "the library has no such file\n", ""},
	} {
		got := call{method: http.MethodGet, path: c.path}.do(newCollector(t, newHost(), withScripts))
		if body := text(t, got); got.StatusCode != c.status || body != c.body || got.Header.Get("Cache-Control") != c.age {
			t.Errorf("%s: %d %q %q", c.path, got.StatusCode, body, got.Header.Get("Cache-Control"))
		}
		if script := got.Header.Get("Content-Type") == "text/javascript; charset=utf-8"; script != (c.status == 200) {
			t.Errorf("%s: %s", c.path, got.Header.Get("Content-Type"))
		}
	}
}

func TestKeyCannotBreakOutOfTheScript(t *testing.T) {
	h := newHost()
	c := newCollector(t, h, withScripts, func(o *collector.Options) {
		o.Find = func(string) (collector.Stream, error) { return h, nil }
	})
	got := text(t, call{method: http.MethodGet, path: "/analytics.js/v1/a%22b%5C/analytics.min.js"}.do(c))
	if want := `segment("a\"b\\")`; got != want {
		t.Fatalf("script %s, want %s", got, want)
	}
}

func TestScriptIsCompressedAndKept(t *testing.T) {
	c := newCollector(t, newHost(), withScripts)
	get := call{method: http.MethodGet, path: segmentSnippet, headers: []string{"Accept-Encoding: br, gzip"}}
	for range 2 { // made, then kept
		got := get.do(c)
		z, err := gzip.NewReader(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); err != nil || string(b) != `segment("KEY")` || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("%s %v %v", b, err, got.Header)
		}
		again := get
		again.headers = append(again.headers, "If-None-Match: "+got.Header.Get("ETag"))
		if got := again.do(c); got.StatusCode != 304 || text(t, got) != "" {
			t.Fatalf("answer %d to a browser that has it", got.StatusCode)
		}
		again.path = strings.Replace(segmentSnippet, "KEY", "RESTING", 1)
		if got := again.do(c); got.StatusCode != 200 {
			t.Fatalf("answer %d to a browser that has another key's", got.StatusCode)
		}
	}
}

func TestScriptsAreAllThatIsServed(t *testing.T) {
	c := newCollector(t, newHost(), withScripts)
	for _, path := range []string{"/analytics-next/bundles/..%2Fcustomerio%2Fstandalone.js", "/analytics-next/bundles/..", "/analytics-next/bundles/"} {
		if got := (call{method: http.MethodGet, path: path}).do(c); got.StatusCode != 404 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestBuildWithoutScriptsSaysWhatToDo(t *testing.T) {
	c := newCollector(t, newHost())
	for _, path := range []string{segmentSnippet, customerioSnippet, "/v1/analytics-js/407.js"} {
		got := call{method: http.MethodGet, path: path}.do(c)
		if body := text(t, got); got.StatusCode != 503 || !strings.Contains(body, "make build") {
			t.Errorf("%s: %d %s", path, got.StatusCode, body)
		}
	}
}
