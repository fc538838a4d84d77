package collector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
)

func TestLimitThatTheHostOverrulesIsLoggedOnce(t *testing.T) {
	for maxEvent, lines := range map[collector.Size]int{1 << 20: 0, 2 << 20: 1} {
		h := newHost()
		c := newCollector(t, h, func(o *collector.Options) { o.Config.MaxEvent, o.Config.MaxRequest = maxEvent, 4<<20 })
		for range 2 {
			if got := (call{path: "/v1/track", headers: []string{basic}, body: `{}`}).do(c); got.StatusCode != 200 {
				t.Fatalf("answer %d", got.StatusCode)
			}
		}
		want := `msg="max_event is more than the host takes: raise limits.event, or lower max_event" max_event=2097152 limits.event=1048576`
		if got := strings.Count(h.logged.String(), want); got != lines {
			t.Errorf("max_event %d: %d lines, want %d, in %s", maxEvent, got, lines, h.logged)
		}
	}
}

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
