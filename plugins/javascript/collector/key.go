package collector

import (
	"net/http"
	"strings"

	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// headerKey returns the API key of an Authorization header: the user of Basic.
// Empty: the header names none, and the body has to. A Bearer token is no key;
// clients that send one put their key into the body.
func headerKey(r *http.Request) string {
	credentials, ok := ingest.Basic(r)
	if !ok {
		return ""
	}
	key, _, _ := strings.Cut(credentials, ":")
	return key
}
