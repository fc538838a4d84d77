package customerio

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// Destination sends events to one key of one endpoint. It implements
// destination.Batcher and Closer.
type Destination struct {
	config Config
	url    string
	host   string // of the URL, to be shown
	client *http.Client
	hide   *strings.Replacer // of the key, in what a receiver says
	body   []byte            // memory of the last request's, before compression
	zip    *gzip.Writer      // nil: bodies are not compressed
}

const (
	batchPath = "/v1/batch"
	// maxAnswer is how much of an answer's body is read; beyond it the connection is
	// closed instead of used again. A Wellhead says up to 4 KiB of a refused event; if
	// that is more in the end, the batch is halved.
	maxAnswer = 1 << 20
)

// New returns a destination for a config that Validate found good.
func New(c Config) (*Destination, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.base() + batchPath)
	if err != nil {
		return nil, err
	}
	key := c.Key.Reveal()
	d := &Destination{
		config: c, url: u.String(), host: u.Host, client: destination.NewHTTPClient(c.Timeout.Std()),
		hide: strings.NewReplacer(key, c.Key.String(), base64.StdEncoding.EncodeToString([]byte(key+":")), c.Key.String()),
	}
	if c.Gzip {
		// The fastest level: events are many and alike, and what more would save is little.
		d.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	}
	return d, nil
}

// Batch returns the configured bounds.
func (d *Destination) Batch() (events, bytes int) {
	return d.config.Batch.Events, int(d.config.Batch.Bytes)
}

// Send sends the batch in one request, but for events that no receiver takes.
func (d *Destination) Send(ctx context.Context, batch []destination.Event) error {
	failed := destination.Partial{}
	if sent := d.write(batch, failed); len(sent) > 0 {
		if err := d.post(ctx, sent, failed); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// post sends the body, which has the events of the batch that sent gives by their
// index. It notes in failed what the receiver refused of them; its error is about
// all of them.
func (d *Destination) post(ctx context.Context, sent []int, failed destination.Partial) error {
	a, err := d.do(ctx, d.body)
	if err != nil {
		return destination.NoAnswer(d.host, err)
	}
	e := d.verdict(a, sent, failed)
	switch {
	case e == nil:
		return nil
	case e.Kind == destination.Failed && !d.up(ctx):
		e.Kind = destination.Unavailable
	}
	return e
}

// up tells whether the receiver answers a batch of nothing. It parts events that
// cannot be answered from an outage, in which the events keep their order.
func (d *Destination) up(ctx context.Context) bool {
	a, err := d.do(ctx, []byte(`{"batch":[]}`))
	return err == nil && a.status < 500
}

// answer is an answer, read up to maxAnswer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; the error is that there was no answer.
func (d *Destination) do(ctx context.Context, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout.Std())
	defer cancel()
	r, err := d.request(ctx, body)
	if err != nil {
		return answer{}, err
	}
	resp, err := d.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	// The status is the verdict, even if the body breaks off.
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	return answer{resp.StatusCode, resp.Header, text}, nil
}

func (d *Destination) request(ctx context.Context, body []byte) (*http.Request, error) {
	// The transport may still read a body after an answer has come: each has memory of
	// its own.
	var b bytes.Buffer
	if d.zip == nil {
		b.Write(body)
	} else {
		d.zip.Reset(&b)
		_, _ = d.zip.Write(body) // into memory
		_ = d.zip.Close()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, &b)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(d.config.Key.Reveal(), "")
	r.Header.Set("Content-Type", "application/json")
	if d.zip != nil {
		r.Header.Set("Content-Encoding", "gzip")
	}
	r.Header.Set("User-Agent", "Wellhead")
	r.Header.Set("X-Strict-Mode", "1")
	return r, nil
}

// Close closes idle connections.
func (d *Destination) Close() error {
	d.client.CloseIdleConnections()
	return nil
}
