package forwarder

import (
	"hash/fnv"
	"math"
	"net/http"

	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// region answers where the account is: here, so that a client that asks before
// it sends stays.
func (q *request) region() *problem {
	config, err := q.source.Config()
	if err != nil {
		return badConfig()
	}
	ingest.WriteJSON(q.w, http.StatusOK, struct {
		URL         string `json:"url"`
		Region      string `json:"region"`
		Environment int64  `json:"environment_id"`
	}{baseURL(q.http), config.Region, environmentID(q.source.Name)})
	return nil
}

// badConfig cannot come where the host has checked the config.
func badConfig() *problem {
	return &problem{Problem: ingest.Problem{Status: http.StatusServiceUnavailable, Code: "bad_config", RetryAfter: 60,
		Message: "the source's config cannot be read: wellhead check says what is wrong"}}
}

// baseURL is the address that the client used. Anyone may say X-Forwarded-Proto,
// but only to be told it.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// environmentID is a positive number that stays the same while the source has
// its name.
func environmentID(source string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(source))
	return int64(h.Sum32()%math.MaxInt32) + 1
}
