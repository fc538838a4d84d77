package forwarder_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/journeys/forwarder"
)

// FuzzRequest holds that every request is answered in a known way, that success
// is said of what was emitted and of nothing else, and that the attachments
// hold no credentials.
func FuzzRequest(f *testing.F) {
	f.Add("PUT", "/api/v1/customers/5%2B1", []byte(`{"a":1,"cio_relationships":{"action":"add_relationships","relationships":[{"identifiers":{"object_type_id":1,"object_id":"o"}}]}}`))
	f.Add("POST", "/api/v2/batch", []byte(`{"batch":[`+identify+`,`+nameless+`,`+twice+`]}`))
	f.Add("POST", "/api/v2/entity", []byte(`{"\u0074ype":"object","action":"identify","identifiers":{"cio_object_id":"\""}}`))
	f.Add("POST", "/api/v1/segments/7/add_customers", []byte(` { "ids" : [ "1" , 2 ] } `))
	f.Add("POST", "/api/v1/metrics", []byte(`{"delivery_id":"\\","metric":"m\"","x":"\\\\"}`))
	f.Add("DELETE", "/api/v1/customers/1/devices/2", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		r := call{path: "/", headers: basic, body: string(body)}.request()
		r.Method, r.URL.Path = method, path
		h := newHost()
		w := httptest.NewRecorder()
		newForwarder(h).ServeHTTP(w, r)
		switch w.Code {
		case 200, 204, 207, 400, 401, 404, 405, 413:
		default:
			t.Fatalf("answer %d", w.Code)
		}
		if w.Code >= 400 && len(h.events()) > 0 {
			t.Fatalf("answer %d, but emitted %q", w.Code, h.events())
		}
		if w.Code != 204 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("answer %s", w.Body)
		}
		for _, e := range h.events() {
			if !json.Valid([]byte(e)) {
				t.Fatalf("emitted %q", e)
			}
		}
		h.attachments(&testing.T{})
	})
}

// FuzzSignature holds that no header makes a webhook taken that is not signed.
func FuzzSignature(f *testing.F) {
	f.Add("1613063089", "20fc297cf519aa55dfeb13663f90eea4082a454edc811f9d29a057b9598f85f2")
	f.Add("-1", "")
	f.Add("99999999999999999999", "zz")
	f.Fuzz(func(t *testing.T, timestamp, signature string) {
		h := newHost()
		h.config.SigningKeys = []string{"secret"}
		h.config.Tolerance = forwarder.Duration(200 * 365 * 24 * time.Hour)
		r := call{path: "/webhooks/app", body: webhookBody}.request()
		r.Header["X-Cio-Timestamp"], r.Header["X-Cio-Signature"] = []string{timestamp}, []string{signature}
		w := httptest.NewRecorder()
		newForwarder(h).ServeHTTP(w, r)
		good := strings.EqualFold(sign("secret", timestamp, webhookBody), signature)
		if w.Code != 401 && (w.Code != 200 || !good) || w.Code == 401 && len(h.events()) > 0 {
			t.Fatalf("answer %d", w.Code)
		}
	})
}
