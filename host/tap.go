package host

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// tap shows refusals, once they are stored, to those who watch.
type tap struct {
	next refuser

	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

// watcher is one who watches. What it is too slow for is counted.
type watcher struct {
	records chan []console.Record
	missed  atomic.Uint64
}

// watchAhead is how many Adds a watcher may be behind.
const watchAhead = 64

func newTap(next refuser) *tap { return &tap{next: next, watchers: map[*watcher]struct{}{}} }

// Add implements refuser.
func (t *tap) Add(ctx context.Context, refusals []event.Refusal) error {
	if err := t.next.Add(ctx, refusals); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.watchers) == 0 {
		return nil
	}
	records := make([]console.Record, len(refusals))
	for i := range refusals {
		records[i] = refusedRecord(&refusals[i])
	}
	for w := range t.watchers {
		select {
		case w.records <- records:
		default:
			w.missed.Add(uint64(len(records)))
		}
	}
	return nil
}

func (t *tap) watch() *watcher {
	w := &watcher{records: make(chan []console.Record, watchAhead)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[w] = struct{}{}
	return w
}

func (t *tap) leave(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, w)
}

func refusedRecord(r *event.Refusal) console.Record {
	var named struct {
		Type  event.Type
		Event string
	}
	// What is no JSON, or names nothing, has no name.
	_ = json.Unmarshal(r.Claim, &named)
	return console.Record{
		Time: r.ReceivedAt, Source: r.Source, Type: named.Type, Event: named.Event, MessageID: r.MessageID,
		Destination: r.Destination, Violations: r.Violations, Claim: claimOf(bytes.Clone(r.Claim)),
	}
}

// claimOf shows bytes as JSON where they are.
func claimOf(b []byte) console.Claim {
	if json.Valid(b) && utf8.Valid(b) {
		return console.Claim{JSON: b}
	}
	return console.Claim{Bytes: b}
}
