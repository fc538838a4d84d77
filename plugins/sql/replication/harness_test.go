package replication_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/plugins/sql/replication"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

func TestMain(m *testing.M) {
	// database/sql's pools to the shared server live as long as the tests.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// host keeps what a source stores, as Wellhead's journal would: an event of a
// known id is dropped, and a state becomes durable after the events before it.
type host struct {
	t        *testing.T
	url      string
	db       *sql.DB
	syncs    map[string]replication.Sync
	drop     bool
	maxLag   uint64
	every    time.Duration
	commands chan replication.Command

	mu       sync.Mutex
	events   []event
	ids      map[string]bool
	again    int    // events that were known
	state    []byte // the durable checkpoint
	fail     func(ctx context.Context, events int) error
	problems map[string]sdk.Problem
	runs     map[string]sdk.SyncRun
	states   map[string]sdk.Sync
	changed  chan struct{} // closed when something has changed
}

// event is what is read of one.
type event struct {
	Type        string         `json:"type"`
	Event       string         `json:"event"`
	MessageID   string         `json:"messageId"`
	UserID      string         `json:"userId"`
	AnonymousID string         `json:"anonymousId"`
	GroupID     string         `json:"groupId"`
	Traits      map[string]any `json:"traits"`
	Properties  map[string]any `json:"properties"`
	at          time.Time
}

func newHost(t *testing.T, s *servers.Server) *host {
	t.Helper()
	url := s.Database(t)
	h := &host{t: t, url: url, db: s.Open(t, url), ids: map[string]bool{}, changed: make(chan struct{}), problems: map[string]sdk.Problem{},
		runs: map[string]sdk.SyncRun{}, states: map[string]sdk.Sync{}, commands: make(chan replication.Command, 16),
		syncs: map[string]replication.Sync{"people": {Table: "public.people", Mapping: row.Mapping{Source: "db", Sync: "people", Call: row.Identify}}}}
	return h
}

func (h *host) slot() string {
	return "wellhead_" + h.url[strings.LastIndex(h.url, "/")+1:strings.Index(h.url, "?")]
}

func (h *host) touch() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *host) store(ctx context.Context, s replication.State, events []sdk.Event) (int, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	fail := h.fail
	h.mu.Unlock()
	if fail != nil {
		defer func() { h.mu.Lock(); h.touch(); h.mu.Unlock() }()
		if err := fail(ctx, len(events)); err != nil && !errors.Is(err, errHalf) {
			return 0, err
		} else if err != nil {
			h.keep(events)
			return 0, err
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	h.keep(events)
	h.mu.Lock()
	h.state = b
	h.touch()
	h.mu.Unlock()
	return 0, nil
}

// errHalf is of a host that stored the events but not the checkpoint.
var errHalf = errors.New("killed between events and checkpoint")

func (h *host) keep(events []sdk.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, raw := range events {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		e := event{at: time.Now()}
		if err := d.Decode(&e); err != nil {
			h.t.Errorf("%s: %v", raw, err)
		}
		if h.ids[e.MessageID] {
			h.again++
			continue
		}
		h.ids[e.MessageID] = true
		h.events = append(h.events, e)
	}
}

// start runs a follower from the durable checkpoint. The function that it
// returns ends it and waits.
func (h *host) start() (stop func() error) {
	h.t.Helper()
	var s replication.State
	h.mu.Lock()
	if h.state != nil {
		if err := json.Unmarshal(h.state, &s); err != nil {
			h.t.Fatal(err)
		}
	}
	h.mu.Unlock()
	f := replication.New(replication.Options{
		URL: h.url, Source: "db", Slot: h.slot(), Publication: h.slot(), Syncs: h.syncs, State: s, Limits: sdk.Limits{BatchBytes: 1 << 20, BatchEvents: 200},
		Drop: h.drop, MaxLag: h.maxLag, LookEvery: h.every, Store: h.store, Commands: h.commands, Alive: func() {}, Log: slog.New(slog.DiscardHandler),
		Note: func(part string, p *sdk.Problem) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if delete(h.problems, part); p != nil {
				h.problems[part] = *p
			}
			h.touch()
		},
		Tell:     func(s sdk.Sync) { h.mu.Lock(); defer h.mu.Unlock(); h.states[s.Name] = s; h.touch() },
		Report:   func(r sdk.SyncRun) { h.mu.Lock(); defer h.mu.Unlock(); h.runs[r.Sync+" "+r.ID] = r; h.touch() },
		Progress: func(string, uint64, uint64, string) {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error { once.Do(func() { cancel(); err = <-ended }); return err }
	h.t.Cleanup(func() {
		_ = stop()
		_, _ = h.db.ExecContext(context.Background(), "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active", h.slot())
	})
	return stop
}

// until waits for something that h.mu guards.
func (h *host) until(what string, done func() bool) {
	h.t.Helper()
	end := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		ok, changed := done(), h.changed
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-end:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.t.Fatalf("waited too long: %s; problems %v, %d events, state %s", what, h.problems, len(h.events), h.state)
		}
	}
}

func (h *host) saved() (s replication.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != nil {
		if err := json.Unmarshal(h.state, &s); err != nil {
			h.t.Error(err)
		}
	}
	return s
}

func (h *host) exec(query string, args ...any) {
	h.t.Helper()
	if _, err := h.db.ExecContext(h.t.Context(), query, args...); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
}

func (h *host) value(query string, args ...any) (v string) {
	h.t.Helper()
	if err := h.db.QueryRowContext(h.t.Context(), query, args...).Scan(&v); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return v
}

// follows waits until a sync's snapshot is told.
func (h *host) follows(sync string) {
	h.t.Helper()
	h.until(sync+" is followed", func() bool {
		var s replication.State
		_ = json.Unmarshal(h.state, &s)
		return s.Syncs[sync] != nil && s.Syncs[sync].Done
	})
}

// caughtUp waits until everything that is committed now is told.
func (h *host) caughtUp() {
	h.t.Helper()
	// A message of ours in the WAL is behind all of it, and is followed by a commit.
	h.exec("CREATE TABLE IF NOT EXISTS mark (id serial PRIMARY KEY)")
	h.exec("INSERT INTO mark DEFAULT VALUES")
	var end replication.LSN
	if err := end.Scan(h.value("SELECT pg_current_wal_lsn()::text")); err != nil {
		h.t.Fatal(err)
	}
	stop := make(chan struct{})
	var nudging sync.WaitGroup
	defer nudging.Wait()
	defer close(stop)
	nudging.Go(func() { // a change that is told moves the checkpoint at once
		for {
			select {
			case <-time.After(200 * time.Millisecond):
				_, _ = h.db.ExecContext(context.Background(), "UPDATE nudge SET n = n + 1")
			case <-stop:
				return
			}
		}
	})
	h.until("caught up", func() bool {
		var s replication.State
		_ = json.Unmarshal(h.state, &s)
		return s.LSN > end
	})
}

// withNudge adds a table whose changes move the checkpoint.
func (h *host) withNudge() {
	h.exec("CREATE TABLE nudge (id int PRIMARY KEY, n int)")
	h.exec("INSERT INTO nudge VALUES (1, 0)")
	h.syncs["nudge"] = replication.Sync{Table: "nudge", Mapping: row.Mapping{Source: "db", Sync: "nudge", Call: row.Track, Event: "Nudged"}}
}

// people folds the events to what the table has.
func (h *host) people() map[string]map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]map[string]any{}
	for _, e := range h.events {
		switch {
		case e.Type == "identify":
			out[e.UserID] = e.Traits
		case e.Event == "User Deleted":
			delete(out, e.Properties["objectId"].(string))
		case e.Event == replication.Truncated:
			clear(out)
		}
	}
	return out
}

// table reads what the table has, everything as text.
func (h *host) table() map[string]map[string]any {
	h.t.Helper()
	rows, err := h.db.QueryContext(h.t.Context(), "SELECT * FROM people")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, _ := rows.Columns()
	out := map[string]map[string]any{}
	for rows.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			h.t.Fatal(err)
		}
		r := map[string]any{}
		for i, n := range names {
			if n != "id" {
				r[n] = nil
				if values[i].Valid {
					r[n] = values[i].String
				}
			}
		}
		out[values[indexOf(names, "id")].String] = r
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func indexOf(all []string, name string) int {
	for i, s := range all {
		if s == name {
			return i
		}
	}
	return -1
}

// same compares what was told with the table. A column that was added or renamed
// is told of a row when the row changes next.
func (h *host) same() {
	h.t.Helper()
	got, want := h.people(), h.table()
	bad := 0
	for id, w := range want {
		g, ok := got[id]
		if !ok {
			h.t.Errorf("row %s was not told", id)
			bad++
		}
		for column, v := range w {
			told, known := g[column]
			if !equal(told, v) && (known || column == "name" || column == "big") {
				h.t.Errorf("row %s has %s %.40q, and was told as %.40q", id, column, text(v), text(told))
				bad++
			}
		}
		if bad > 10 {
			h.t.Fatal("and so on")
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			h.t.Errorf("row %s is gone, which was not told", id)
		}
	}
}

// equal compares what was told with a column's text. Numbers may have been rounded
// since, by a change of the column's type.
func equal(told, v any) bool {
	n, isNumber := told.(json.Number)
	s, isText := v.(string)
	if !isNumber || !isText {
		return text(told) == text(v)
	}
	a, aErr := n.Float64()
	b, bErr := strconv.ParseFloat(s, 64)
	return aErr == nil && bErr == nil && math.Abs(a-b) < 0.001
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case json.Number:
		return v.String()
	case string:
		return "'" + v
	default:
		return fmt.Sprint(v)
	}
}
