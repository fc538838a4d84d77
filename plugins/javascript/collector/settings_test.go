package collector_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
)

func trusting(networks ...string) func(*collector.Options) {
	return func(o *collector.Options) {
		for _, n := range networks {
			o.Config.TrustedProxies = append(o.Config.TrustedProxies, netip.MustParsePrefix(n))
		}
	}
}

func TestSettingsPointBothVendorsLibrariesHere(t *testing.T) {
	for _, c := range []struct {
		name     string
		from     string
		headers  []string
		tls      bool
		protocol string
		host     string
	}{
		{"plain", "", nil, false, "http", "collect.example:8080/v1"},
		{"TLS", "", nil, true, "https", "collect.example:8080/v1"},
		{"behind a trusted proxy", "10.0.0.1:9", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"}, false, "https", "shop.example/v1"},
		{"behind several proxies", "10.0.0.1:9", []string{"X-Forwarded-Proto: HTTPS, http", "X-Forwarded-Host: shop.example, inner"}, false, "https", "shop.example/v1"},
		{"behind a proxy that says nothing", "10.0.0.1:9", nil, false, "http", "collect.example:8080/v1"},
		{"behind a proxy that speaks nonsense", "10.0.0.1:9", []string{"X-Forwarded-Proto: javascript"}, false, "http", "collect.example:8080/v1"},
		{"from anyone who says so", "192.0.2.7:9", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, false, "http", "collect.example:8080/v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := call{method: http.MethodGet, path: "/v1/projects/KEY/settings", from: c.from, headers: c.headers}.request()
			r.Host = "collect.example:8080"
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			newCollector(t, newHost(), trusting("10.0.0.0/8")).ServeHTTP(w, r)
			var answer struct {
				Integrations map[string]struct{ APIKey, APIHost, Protocol string }
				Metrics      struct{ SampleRate *float64 }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			for _, vendor := range []string{"Segment.io", "Customer.io Data Pipelines"} {
				got := answer.Integrations[vendor]
				if got.APIKey != "KEY" || got.APIHost != c.host || got.Protocol != c.protocol {
					t.Errorf("%s: %+v", vendor, got)
				}
			}
			if rate := answer.Metrics.SampleRate; w.Code != 200 || len(answer.Integrations) != 2 || rate == nil || *rate != 0 {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestSettingsOfAKey(t *testing.T) {
	c := newCollector(t, newHost())
	got := call{method: http.MethodGet, path: "/v1/projects/NO/settings"}.do(c)
	if answer := text(t, got); got.StatusCode != 404 || !strings.Contains(answer, "no source has this API key") || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("unknown key: %d %s", got.StatusCode, answer)
	}
	if got := (call{method: http.MethodGet, path: "/v1/projects/RESTING/settings"}).do(c); got.StatusCode != 200 {
		t.Errorf("a page must start its library while the source is down: %d", got.StatusCode)
	}
}

func TestAddressOfClientByRequest(t *testing.T) {
	const forwarded = "X-Forwarded-For: "
	for _, c := range []struct {
		name string
		call
		want string
	}{
		{"browser path", call{path: "/v1/b", from: "192.0.2.7:9"}, "192.0.2.7"},
		{"server path", call{path: "/v1/batch", from: "192.0.2.7:9"}, ""},
		{"server path from a page", call{path: "/v1/batch", from: "192.0.2.7:9", headers: []string{"Origin: https://shop.example"}}, "192.0.2.7"},
		{"IPv6", call{path: "/v1/b", from: "[2001:db8::1%eth0]:9"}, "2001:db8::1"},
		{"IPv4 in IPv6", call{path: "/v1/b", from: "[::ffff:192.0.2.7]:9"}, "192.0.2.7"},
		{"a peer that is no address", call{path: "/v1/b", from: "@"}, ""},
		{"forwarded by anyone", call{path: "/v1/b", from: "192.0.2.7:9", headers: []string{forwarded + "203.0.113.9"}}, "192.0.2.7"},
		{"forwarded by a proxy", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "203.0.113.9"}}, "203.0.113.9"},
		{"forwarded by a proxy, the client lying", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "1.1.1.1, 203.0.113.9"}}, "203.0.113.9"},
		{"forwarded by two proxies", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "203.0.113.9, 10.0.0.2"}}, "203.0.113.9"},
		{"forwarded in two headers", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "203.0.113.9", forwarded + "10.0.0.2"}}, "203.0.113.9"},
		{"forwarded with ports", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "[2001:db8::1]:443, 10.0.0.2:80"}}, "2001:db8::1"},
		{"forwarded in brackets", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "[2001:db8::1]"}}, "2001:db8::1"},
		{"forwarded nonsense", call{path: "/v1/b", from: "10.0.0.1:9", headers: []string{forwarded + "unknown, 10.0.0.2"}}, "10.0.0.2"},
		{"a proxy that says nothing", call{path: "/v1/b", from: "10.0.0.1:9"}, "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			c.headers = append(c.headers, basic)
			c.body = `{"batch":[{"type":"page"}]}`
			if got := c.do(newCollector(t, h, trusting("10.0.0.0/8"))); got.StatusCode != 200 {
				t.Fatalf("answer %d", got.StatusCode)
			}
			want := `{"type":"page"}`
			if c.want != "" {
				want = `{"type":"page","context":{"ip":"` + c.want + `"}}`
			}
			if e := h.events(); len(e) != 1 || e[0] != want {
				t.Fatalf("emitted %q, want %q", e, want)
			}
		})
	}
}
