package collector_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// FuzzRequest holds that every request is answered, that 200 is said of what
// was emitted and of nothing else, and that no key is emitted.
func FuzzRequest(f *testing.F) {
	f.Add("batch", basic, "", []byte(`{"batch":[{"type":"track"}]}`))
	f.Add("b", "", "gzip", []byte(zip(`{"writeKey":"KEY","batch":[{"writeKey":"KEY"}]}`)))
	f.Add("t", "", "identity", []byte(`{"writeKey":"KEY"}`))
	f.Add("../v1//i/", "Authorization: Bearer x", "", []byte(`{"writeKey":"RESTING"}`))
	f.Fuzz(func(t *testing.T, path, header, encoding string, body []byte) {
		r := call{path: "/", headers: []string{header}, body: string(body)}.request()
		r.URL.Path = "/v1/" + path
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		h := newHost()
		w := httptest.NewRecorder()
		newCollector(t, h).ServeHTTP(w, r)
		switch w.Code {
		case 200, 301, 400, 401, 404, 413, 415, 503:
		default:
			t.Fatalf("answer %d", w.Code)
		}
		if w.Code != http.StatusOK && len(h.batches) > 0 {
			t.Fatalf("answer %d, but emitted %q", w.Code, h.events())
		}
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("answer %s", w.Body)
		}
		for _, e := range h.events() {
			var members map[string]json.RawMessage
			if json.Unmarshal([]byte(e), &members) == nil && members["writeKey"] != nil {
				t.Fatalf("the key is still in %s", e)
			}
		}
	})
}
