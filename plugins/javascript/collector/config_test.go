package collector_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		json string
		want collector.Config
	}{
		{`{}`, collector.Config{MaxEvent: 32768, MaxRequest: 512000}},
		{`{"max_event":"64KiB","max_request":4000000}`, collector.Config{MaxEvent: 65536, MaxRequest: 4000000}},
		{`{"max_event":"1KB","max_request":"2MB"}`, collector.Config{MaxEvent: 1000, MaxRequest: 2000000}},
		{`{"max_request":"4MiB"}`, collector.Config{MaxEvent: 32768, MaxRequest: 4 << 20}},
		{`{"trusted_proxies":["10.0.0.0/8","::1/128"]}`, collector.Config{MaxEvent: 32768, MaxRequest: 512000,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}},
	} {
		got := collector.DefaultConfig()
		if err := json.Unmarshal([]byte(c.json), &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", c.json, got, err)
		}
	}
	for _, c := range []struct{ json, says string }{
		{`{"max_event":"32K"}`, "32KiB"},
		{`{"max_event":"KiB"}`, "32KiB"},
		{`{"max_event":"-1"}`, "32KiB"},
		{`{"max_event":0}`, "32KiB"},
		{`{"max_event":1.5}`, "32KiB"},
		{`{"max_event":"9999999999"}`, "1 GiB"},
		{`{"max_event":"2000MiB"}`, "1 GiB"},
		{`{"trusted_proxies":["10.0.0.1"]}`, "10.0.0.1"},
	} {
		got := collector.DefaultConfig()
		if err := json.Unmarshal([]byte(c.json), &got); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.json, err)
		}
	}
	if _, err := collector.New(collector.Options{Config: collector.Config{MaxEvent: 2, MaxRequest: 1}}); err == nil || !strings.Contains(err.Error(), "max_event") {
		t.Errorf("an event larger than a request: %v", err)
	}
}
