package journeys

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Destination repeats requests at one workspace's Track API. It implements
// destination.Batcher, Selector and Closer.
type Destination struct {
	config Config
	base   string // URL before a request's path
	host   string // of the URL, to be shown
	client *http.Client
	// heard are the sources of which a request has come, or of which an operator was
	// told that none does.
	heard map[event.SourceID]bool
}

const (
	// A batch of the loop is what may come again after a kill, and bounds the
	// operations of a request.
	batchEvents = 100
	batchBytes  = int(1 * config.MiB)
	// maxAnswer is how much of an answer's body is read; beyond it the
	// connection is closed instead of used again.
	maxAnswer = 256 << 10
)

// New returns a destination for a config that Validate found good.
func New(c Config) (*Destination, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	base := c.URL
	if base == "" {
		base = c.Region.url()
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &Destination{
		config: c, base: strings.TrimRight(base, "/"), host: u.Host,
		client: destination.NewHTTPClient(c.Timeout.Std()), heard: map[event.SourceID]bool{},
	}, nil
}

// Batch bounds a batch to 100 requests and 1 MiB.
func (*Destination) Batch() (events, bytes int) { return batchEvents, batchBytes }

// Takes tells whether an event has a request. An operator hears once of a source
// from which none has come.
func (d *Destination) Takes(e destination.Event, notify func(destination.Notice)) bool {
	takes := len(e.Attachment) > 0
	if !d.heard[e.Source] {
		d.heard[e.Source] = true
		if !takes {
			notify(destination.Notice{Code: "no_request", Text: fmt.Sprintf(
				"events of the source %s that are no request to the Track API are passed over: this destination sends only what a journeys source took in there", e.Source)})
		}
	}
	return takes
}

// Send repeats the requests of a batch up to the first that nobody has decided.
func (d *Destination) Send(ctx context.Context, batch []destination.Event) error {
	failed := destination.Partial{}
	requests := make([]request, 0, len(batch))
	for i := range batch {
		r, err := read(batch[i].Attachment)
		if err != nil {
			failed[i] = &destination.Error{Kind: destination.Refused, Code: "attachment", Err: err}
			continue
		}
		r.event = i
		requests = append(requests, r)
	}
	for len(requests) > 0 {
		n, e := d.sendSome(ctx, requests, failed)
		if e != nil {
			return undecided(e, requests[n].event, len(batch), failed)
		}
		requests = requests[n:]
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// undecided is a batch that e ended at the event first: those before it are sent
// or have failed, the others are to come again.
func undecided(e *destination.Error, first, end int, failed destination.Partial) error {
	if first == 0 {
		return e
	}
	// Whether the request itself is at fault is for the next batch to find out,
	// which begins with it. By itself it would be set aside at once.
	waits := *e
	waits.Kind = destination.Unavailable
	for i := first; i < end; i++ {
		if failed[i] == nil {
			failed[i] = &waits
		}
	}
	return failed
}

// sendSome sends the first request, with those that can go along. It notes what is
// refused in failed and returns how many are decided, with the error that ended it.
func (d *Destination) sendSome(ctx context.Context, requests []request, failed destination.Partial) (int, *destination.Error) {
	n := together(requests)
	if n > 1 {
		refused, e := d.sendBatch(ctx, requests[:n])
		switch {
		case e == nil:
			for i, why := range refused {
				failed[requests[i].event] = why
			}
			return n, nil
		case e.Kind != destination.Refused:
			return 0, e
		}
	}
	for i, r := range requests[:n] {
		a, e := d.do(ctx, r)
		if e == nil {
			e = d.verdict(ctx, a)
		}
		switch {
		case e == nil:
		case e.Kind == destination.Refused:
			failed[r.event] = e
		default:
			return i, e
		}
	}
	return n, nil
}

// sendBatch sends operations in one request. It returns what is refused of them by
// index; an error that is Refused is not about any one of them.
func (d *Destination) sendBatch(ctx context.Context, operations []request) (map[int]*destination.Error, *destination.Error) {
	a, e := d.do(ctx, request{method: http.MethodPost, path: "/api/v2/batch", body: joined(operations)})
	if e == nil {
		e = d.verdict(ctx, a)
	}
	if e != nil {
		return nil, e
	}
	return d.refusals(a, len(operations))
}

// answer is an answer, read up to maxAnswer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; the error is that there was no answer.
func (d *Destination) do(ctx context.Context, r request) (answer, *destination.Error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout.Std())
	defer cancel()
	h, err := http.NewRequestWithContext(ctx, r.method, d.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, destination.NoAnswer(d.host, err)
	}
	h.SetBasicAuth(d.config.SiteID, d.config.APIKey.Reveal())
	h.Header.Set("Content-Type", "application/json")
	h.Header.Set("User-Agent", "Wellhead")
	resp, err := d.client.Do(h)
	if err != nil {
		return answer{}, destination.NoAnswer(d.host, err)
	}
	// The status is the verdict, even if the body breaks off.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// Close closes idle connections.
func (d *Destination) Close() error {
	d.client.CloseIdleConnections()
	return nil
}
