package forwarder_test

import (
	"slices"
	"testing"
)

// A slash that the client escaped stays part of an id, whatever else of the path
// it should have escaped.
func TestAnEscapedSlashIsNoSlash(t *testing.T) {
	for target, want := range map[string]string{
		"/api/v1/customers/日%2Fdevices%2Fx":     "DELETE /api/v1/customers/%E6%97%A5%2Fdevices%2Fx ",
		"/api/v1/customers/a%2Fdevices%2F%22t|": "DELETE /api/v1/customers/a%2Fdevices%2F%22t%7C ",
		"/api/v1/customers/5?x=日&y=%2F":         "DELETE /api/v1/customers/5?x=%E6%97%A5&y=%2F ",
		"/api/v1/customers/5/devices/token%2F1": "DELETE /api/v1/customers/5/devices/token%2F1 ",
		"/api/v1/customers/cio_d9c106000001%20": "DELETE /api/v1/customers/cio_d9c106000001%20 ",
	} {
		h := newHost()
		got := call{method: "DELETE", path: target, headers: basic}.do(newForwarder(h))
		if got.StatusCode != 200 || !slices.Equal(h.attachments(t), []string{want}) {
			t.Errorf("%s: answer %d, repeated as %q", target, got.StatusCode, h.attachments(t))
		}
	}
}
