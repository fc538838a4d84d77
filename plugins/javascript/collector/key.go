package collector

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// headerKey returns the API key of an Authorization header: the user of Basic,
// without a password or, as old clients send it, without a colon. Empty: the
// header names none, and the body has to. A Bearer token is no key; clients
// that send one put their key into the body.
func headerKey(r *http.Request) string {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	credentials = strings.TrimRight(strings.TrimSpace(credentials), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(credentials)
	if err != nil {
		return ""
	}
	key, _, _ := strings.Cut(string(decoded), ":")
	return key
}
