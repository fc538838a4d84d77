package forwarder

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

const (
	// decisionTime bounds a webhook from its first byte to its answer:
	// Customer.io gives up after 4 s.
	decisionTime = 3 * time.Second
	// maxWebhook bounds the body in bytes. It may hold all of a message.
	maxWebhook = 2 << 20
)

// webhook takes a reporting webhook for the source of this escaped name. What
// is not stored is answered 503, never 429: after that Customer.io would wait
// for an hour.
func (q *request) webhook(name string) *problem {
	until := time.Now().Add(decisionTime)
	if q.http.Method != http.MethodPost {
		return q.lost(&translate.MethodError{Allow: http.MethodPost})
	}
	var err error
	q.source, err = q.ByName(webhookName(name))
	switch {
	case errors.Is(err, sdk.ErrUnknownKey):
		return &problem{Problem: ingest.Problem{Status: http.StatusNotFound, Code: "no_such_source",
			Message: "no source of this plugin has the name that stands after /webhooks/"}}
	case err != nil:
		return &problem{Problem: *ingest.NotRunning()}
	}
	config, err := q.source.Config()
	if err != nil {
		return badConfig()
	}
	claimed, p := readSignature(q.http.Header, time.Now(), config)
	if p != nil {
		return p
	}
	ctx, cancel := context.WithDeadline(q.http.Context(), until)
	defer cancel()
	body, p := q.body(ctx, maxWebhook)
	if p != nil {
		return p
	}
	if !claimed.of(body, config.SigningKeys) {
		return unauthorized("bad_signature", "the webhook is signed with none of the source's webhook_signing_keys")
	}
	verdict, p := q.emit(sdk.Batch{Events: []sdk.Event{translate.Report(body)}}, until)
	if p != nil {
		if p.Status == http.StatusTooManyRequests {
			p.Status = http.StatusServiceUnavailable
		}
		return p
	}
	writeTaken(q.w, refusedEvents(verdict))
	return nil
}

// signature is what the header of a webhook claims.
type signature struct {
	timestamp string
	mac       []byte
}

// readSignature reads the header, and says what is wrong with it before the
// body is read.
func readSignature(h http.Header, now time.Time, c Config) (signature, *problem) {
	if len(c.SigningKeys) == 0 {
		return signature{}, unauthorized("no_signing_key", "the source has no webhook_signing_keys in its config: no webhook can be verified")
	}
	s := signature{timestamp: h.Get("X-CIO-Timestamp")}
	var err error
	s.mac, err = hex.DecodeString(h.Get("X-CIO-Signature"))
	if err != nil || len(s.mac) != sha256.Size {
		return s, unauthorized("bad_signature", "X-CIO-Signature is no HMAC-SHA256 in hex")
	}
	seconds, err := strconv.ParseInt(s.timestamp, 10, 64)
	if err != nil || !near(seconds, now, time.Duration(c.Tolerance)) {
		return s, unauthorized("bad_timestamp", "X-CIO-Timestamp is no Unix time within webhook_tolerance of now")
	}
	return s, nil
}

// near reports whether a Unix time is not further from now than tolerance.
func near(seconds int64, now time.Time, tolerance time.Duration) bool {
	at := time.Unix(seconds, 0)
	return !at.Before(now.Add(-tolerance)) && !at.After(now.Add(tolerance))
}

// of reports whether the signature is that of the body under any of the keys.
// The time that it takes says nothing of a key.
func (s signature) of(body []byte, keys []string) bool {
	good := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte("v0:" + s.timestamp + ":"))
		mac.Write(body)
		good = hmac.Equal(mac.Sum(nil), s.mac) || good
	}
	return good
}
