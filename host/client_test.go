package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loadClient sends batches as a well-behaved client does: what is not
// acknowledged is sent again under the same ids. It keeps the ledger of what
// was.
type loadClient struct {
	http  *http.Client
	batch int
	// request makes a request of a batch; it is called again for each attempt.
	request func(ctx context.Context, ids []string) (*http.Request, error)

	mu    sync.Mutex
	acked map[string]bool

	statuses [600]atomic.Int64
	refused  atomic.Int64 // connections
	resets   atomic.Int64
}

func newLoadClient(addr, key string, batch int) *loadClient {
	return &loadClient{
		batch: batch, acked: map[string]bool{},
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		request: func(ctx context.Context, ids []string) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/batch", bytes.NewReader(batchBody(ids)))
			if err == nil {
				req.SetBasicAuth(key, "")
				req.Header.Set("Content-Type", "application/json")
			}
			return req, err
		},
	}
}

// run sends until ctx ends; then every batch under way is still seen through.
func (c *loadClient) run(ctx context.Context, name string) error {
	for n := 0; ctx.Err() == nil; n++ {
		ids := make([]string, c.batch)
		for i := range ids {
			ids[i] = fmt.Sprintf("%s-%d-%d", name, n, i)
		}
		if err := c.sendUntilAcked(context.WithoutCancel(ctx), ids); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long a client goes on with one batch.
const patience = 2 * time.Minute

func (c *loadClient) sendUntilAcked(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		status, retry, err := c.send(ctx, ids)
		switch {
		case err == nil && status == http.StatusOK:
			c.mu.Lock()
			for _, id := range ids {
				c.acked[id] = true
			}
			c.mu.Unlock()
			return nil
		case err == nil && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
			return fmt.Errorf("batch %s was answered %d", ids[0], status)
		case ctx.Err() != nil:
			return fmt.Errorf("batch %s was not acknowledged within %s: status %d, %w", ids[0], patience, status, errors.Join(err, ctx.Err()))
		}
		wait := time.NewTimer(min(retry, time.Second) + rand.N(50*time.Millisecond))
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// send makes one request. A batch must be answered as a whole: its body says
// that nothing was refused.
func (c *loadClient) send(ctx context.Context, ids []string) (status int, retry time.Duration, err error) {
	req, err := c.request(ctx, ids)
	if err != nil {
		return 0, 0, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			c.refused.Add(1)
		} else {
			c.resets.Add(1)
		}
		return 0, 20 * time.Millisecond, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		c.resets.Add(1)
		return 0, 20 * time.Millisecond, err
	}
	c.statuses[res.StatusCode].Add(1)
	if res.StatusCode == http.StatusOK && string(bytes.TrimSpace(answer)) != "{}" {
		return 0, 0, fmt.Errorf("good events were refused: %s", answer)
	}
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return res.StatusCode, time.Duration(seconds) * time.Second, nil
}

func (c *loadClient) ids() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]bool, len(c.acked))
	for id := range c.acked {
		out[id] = true
	}
	return out
}

// otherStatuses lists the statuses, with their number, that are none of allowed.
func (c *loadClient) otherStatuses(allowed ...int) map[int]int64 {
	out := map[int]int64{}
	for status := range c.statuses {
		if n := c.statuses[status].Load(); n > 0 {
			out[status] = n
		}
	}
	for _, status := range allowed {
		delete(out, status)
	}
	return out
}

func batchBody(ids []string) []byte {
	type item struct {
		Type       string         `json:"type"`
		MessageID  string         `json:"messageId"`
		UserID     string         `json:"userId"`
		Event      string         `json:"event"`
		Properties map[string]any `json:"properties"`
	}
	items := make([]item, len(ids))
	for i, id := range ids {
		items[i] = item{"track", id, "user", "Ledger Entry", map[string]any{"id": id, "filler": "0123456789012345678901234567890123456789"}}
	}
	b, err := json.Marshal(map[string]any{"batch": items})
	if err != nil {
		panic(err) // plain strings are always JSON
	}
	return b
}

// ledger compares what was acknowledged with the message ids that arrived.
func checkLedger(t *testing.T, where string, acked map[string]bool, arrived map[string]int) {
	t.Helper()
	missing, shown := 0, ""
	for id := range acked {
		if arrived[id] == 0 {
			missing++
			shown = id
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d acknowledged events are missing, such as %s", where, missing, len(acked), shown)
	}
}
