package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// Destination posts events to one URL. It implements destination.Batcher and
// Closer.
type Destination struct {
	config Config
	host   string // of the URL, to be shown
	client *http.Client
	body   *body // of the last request
}

// maxAnswer is how much of an answer's body is read; beyond it the connection is
// closed instead of used again.
const maxAnswer = 64 << 10

// New returns a destination for a config that Validate found good.
func New(c Config) (*Destination, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL.Reveal())
	if err != nil {
		return nil, err
	}
	return &Destination{config: c, host: u.Host, client: destination.NewHTTPClient(c.Timeout.Std())}, nil
}

// Batch returns the configured bounds.
func (d *Destination) Batch() (events, bytes int) {
	return d.config.Batch.Events, int(d.config.Batch.Bytes)
}

// Send posts the batch.
func (d *Destination) Send(ctx context.Context, batch []destination.Event) error {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout.Std())
	defer cancel()
	r, err := d.request(ctx, batch)
	if err != nil {
		return destination.NoAnswer(d.host, err)
	}
	resp, err := d.client.Do(r)
	if err != nil {
		return destination.NoAnswer(d.host, err)
	}
	// The status is the verdict, even if the body breaks off.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	return d.verdict(resp, answer)
}

// Close closes idle connections.
func (d *Destination) Close() error {
	d.client.CloseIdleConnections()
	return nil
}

func (d *Destination) request(ctx context.Context, batch []destination.Event) (*http.Request, error) {
	d.body = newBody(d.body, batch)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.config.URL.Reveal(), nil)
	if err != nil {
		return nil, err
	}
	r.ContentLength, r.GetBody = int64(len(d.body.data)), d.body.open
	if r.Body, err = d.body.open(); err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Wellhead")
	r.Header.Set("Wellhead-Batch", fmt.Sprintf("%s-%s", batch[0].Position, batch[len(batch)-1].Position))
	if !d.config.Secret.IsZero() {
		r.Header.Set("Wellhead-Signature", sign(d.config.Secret.Reveal(), time.Now(), d.body.data))
	}
	return r, nil
}

// sign returns the value of Wellhead-Signature.
func sign(secret string, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
