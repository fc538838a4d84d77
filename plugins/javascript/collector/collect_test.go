package collector_test

import (
	"slices"
	"testing"
)

func TestEveryPathTakesItsEvents(t *testing.T) {
	for _, c := range []struct{ path, typ string }{
		{"/v1/identify", "identify"}, {"/v1/i", "identify"},
		{"/v1/track", "track"}, {"/v1/t", "track"},
		{"/v1/page", "page"}, {"/v1/p", "page"},
		{"/v1/screen", "screen"}, {"/v1/s", "screen"},
		{"/v1/group", "group"}, {"/v1/g", "group"},
		{"/v1/alias", "alias"}, {"/v1/a", "alias"},
	} {
		for _, path := range []string{c.path, c.path + "/", "//v1/" + c.path[len("/v1/"):]} {
			t.Run(path, func(t *testing.T) {
				h := newHost()
				got := call{path: path, headers: []string{basic}, body: `{"context":{"ip":"x"}}`}.do(newCollector(t, h))
				if got.StatusCode != 200 || text(t, got) != `{}` {
					t.Fatalf("answer %d", got.StatusCode)
				}
				want := []string{`{"context":{"ip":"x"},"type":"` + c.typ + `"}`}
				if !slices.Equal(h.events(), want) {
					t.Fatalf("emitted %q, want %q", h.events(), want)
				}
			})
		}
	}
	for _, path := range []string{"/v1/batch", "/v1/b", "/v1/batch/"} {
		t.Run(path, func(t *testing.T) {
			h := newHost()
			got := call{path: path, body: `{"writeKey":"KEY","batch":[{"type":"page","channel":"server"},{"type":"track","channel":"server"}]}`}.do(newCollector(t, h))
			if got.StatusCode != 200 || text(t, got) != `{}` {
				t.Fatalf("answer %d", got.StatusCode)
			}
			want := []string{`{"type":"page","channel":"server"}`, `{"type":"track","channel":"server"}`}
			if !slices.Equal(h.events(), want) {
				t.Fatalf("emitted %q, want %q", h.events(), want)
			}
		})
	}
}
