package forwarder_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

const webhookBody = `{"event_id":"e1","object_type":"email","metric":"sent","timestamp":1613063089,"data":{"delivery_id":"d1"}}`

func sign(key, timestamp, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("v0:" + timestamp + ":" + body))
	return hex.EncodeToString(mac.Sum(nil))
}

// signed is a webhook of now for the source app, and gives it the key.
func signed(h *host, body string) call {
	h.config.SigningKeys = []string{"secret"}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	return call{path: "/webhooks/app", body: body, headers: []string{"X-CIO-Timestamp: " + now, "X-CIO-Signature: " + sign("secret", now, body)}}
}

// The vector was made by Customer.io's own client for Node.
func TestSignatureIsCustomerIOs(t *testing.T) {
	const body = `{"event_id":"e1","object_type":"email","metric":"sent","timestamp":1613063089,"data":{}}`
	const signature = "20fc297cf519aa55dfeb13663f90eea4082a454edc811f9d29a057b9598f85f2"
	for timestamp, status := range map[string]int{"1613063089": 200, "1613063090": 401} {
		h := newHost()
		h.config.SigningKeys = []string{"other", "secret", "third"}
		h.config.Tolerance *= 1_000_000 // years
		got := call{path: "/webhooks/app", body: body,
			headers: []string{"X-CIO-Timestamp: " + timestamp, "X-CIO-Signature: " + strings.ToUpper(signature)}}.do(newForwarder(h))
		if got.StatusCode != status || len(h.events()) != (401-status)/201 {
			t.Errorf("timestamp %s: answer %d", timestamp, got.StatusCode)
		}
	}
}

func TestWebhookWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			offset time.Duration
			status int
		}{
			{0, 200},
			{-5 * time.Minute, 200},
			{-5*time.Minute - time.Second, 401},
			{5 * time.Minute, 200},
			{5*time.Minute + time.Second, 401},
		} {
			h := newHost()
			h.config.SigningKeys = []string{"secret"}
			at := strconv.FormatInt(time.Now().Add(c.offset).Unix(), 10)
			got := call{path: "/webhooks/app", body: webhookBody,
				headers: []string{"X-CIO-Timestamp: " + at, "X-CIO-Signature: " + sign("secret", at, webhookBody)}}.do(newForwarder(h))
			if got.StatusCode != c.status {
				t.Errorf("%s from now: answer %d, want %d", c.offset, got.StatusCode, c.status)
			}
		}
	})
}

func TestWebhookThatIsNotTaken(t *testing.T) {
	good := func(h *host) call { return signed(h, webhookBody) }
	for _, c := range []struct {
		name   string
		call   func(h *host) call
		status int
		logs   string
	}{
		{"as it should be", good, 200, ""},
		{"no signing key", func(h *host) call { c := good(h); h.config.SigningKeys = nil; return c }, 401, "webhook_signing_keys"},
		{"another key", func(h *host) call { c := good(h); h.config.SigningKeys = []string{"other"}; return c }, 401, "bad_signature"},
		{"another body", func(h *host) call { c := good(h); c.body += " "; return c }, 401, "bad_signature"},
		{"no signature", func(h *host) call { c := good(h); c.headers = c.headers[:1]; return c }, 401, "bad_signature"},
		{"half a signature", func(h *host) call { c := good(h); c.headers[1] = c.headers[1][:len(c.headers[1])-2]; return c }, 401, "bad_signature"},
		{"no timestamp", func(h *host) call { c := good(h); c.headers = c.headers[1:]; return c }, 401, "bad_timestamp"},
		{"a timestamp beyond time", func(h *host) call {
			c := good(h)
			c.headers[0] = "X-CIO-Timestamp: 9223372036854775807"
			return c
		}, 401, "bad_timestamp"},
		{"unknown source", func(h *host) call { c := good(h); c.path = "/webhooks/nobody"; return c }, 404, "no_such_source"},
		{"resting source", func(h *host) call { c := good(h); c.path = "/webhooks/resting"; return c }, 503, "not_running"},
		{"another method", func(h *host) call { c := good(h); c.method = "GET"; return c }, 405, "method"},
		{"no JSON, but signed", func(h *host) call { return signed(h, `<html>`) }, 200, ""},
		{"too large", func(h *host) call { return signed(h, strings.Repeat(" ", 2<<20+1)) }, 413, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			got := c.call(h).do(newForwarder(h))
			if got.StatusCode != c.status || (c.status == 200) != (len(h.events()) == 1) {
				t.Errorf("answer %d %s, %d events, want %d", got.StatusCode, text(t, got), len(h.events()), c.status)
			}
			if log := h.logged.String(); !strings.Contains(log, c.logs) || (c.logs == "") != (log == "") || strings.Contains(log, "secret") || strings.Contains(log, "delivery") {
				t.Errorf("log %q", log)
			}
		})
	}
}

func TestWebhookIsDecidedInThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.verdict = func(ctx context.Context, _ sdk.Batch) (sdk.Verdict, error) {
			<-ctx.Done()
			return sdk.Verdict{}, ctx.Err()
		}
		start := time.Now()
		got := signed(h, webhookBody).do(newForwarder(h))
		if got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" || time.Since(start) != 3*time.Second {
			t.Fatalf("answer %d after %s", got.StatusCode, time.Since(start))
		}
	})
}

// After a 429 Customer.io waits for an hour.
func TestWebhookIsNeverAnswered429(t *testing.T) {
	h := newHost()
	h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) {
		return sdk.Verdict{}, &sdk.NotStored{Reason: sdk.RateLimited, RetryAfter: 2 * time.Second}
	}
	got := signed(h, webhookBody).do(newForwarder(h))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") != "2" {
		t.Fatalf("answer %d", got.StatusCode)
	}
}
