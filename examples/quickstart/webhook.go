package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// sendWebhook tells the host that is up of an email that was delivered, as
// Customer.io would: signed, and with an id of its own.
func (q *quickstart) sendWebhook(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	at, _, ok := q.ask(ctx)
	if !ok {
		return errors.New("no quickstart is running: start it with make run")
	}
	key, err := q.key(signingKey)
	if err != nil {
		return err
	}
	now := time.Now().Unix()
	body := fmt.Appendf(nil, `{"event_id":"%s","object_type":"email","metric":"delivered","timestamp":%d,`+
		`"data":{"identifiers":{"id":"42","email":"jane@example.com"},"delivery_id":"quickstart","campaign_id":1,"recipient":"jane@example.com","subject":"Welcome"}}`,
		rand.Text(), now)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at.forwarder+"/webhooks/app", bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(now, 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-CIO-Timestamp", timestamp)
	req.Header.Set("X-CIO-Signature", sign(key, timestamp, body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", req.URL, res.Status)
	}
	fmt.Printf("%s\n\nis taken: see Email Delivered in the events file\n", body)
	return nil
}

// sign is the signature of a reporting webhook, as its API reference has it:
// the HMAC-SHA256 of version, timestamp and body, in hex.
func sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("v0:" + timestamp + ":"))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
