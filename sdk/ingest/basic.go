package ingest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Basic returns the credentials of HTTP Basic as they were sent, user:password
// or, as old clients send it, a user without a colon. Base64 without its
// padding is taken too. It is false where the header is another or broken.
func Basic(r *http.Request) (string, bool) {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	credentials = strings.TrimRight(strings.TrimSpace(credentials), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(credentials)
	return string(decoded), err == nil
}
