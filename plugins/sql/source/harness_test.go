package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/sdk"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"), goleak.IgnoreTopFunction("github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher.func1"))
}

// fakeStream is the host: it stores what is new, and the checkpoint after it.
type fakeStream struct {
	// fail is called before a batch is stored: an error is what a killed plugin
	// hears, which may be after the batch was stored.
	fail func(b sdk.Batch) (stored bool, err error)

	mu         sync.Mutex
	changed    chan struct{}
	commands   chan *sdk.SyncCommand
	checkpoint []byte
	seen       map[string]bool
	events     []event // accepted, in order
	repeated   int
	problems   []sdk.Problem
	syncs      map[string]sdk.Sync
	runs       map[string]sdk.SyncRun // the last of each sync that has ended
	batches    int
}

type event struct {
	raw                                                  string
	Type, Event, UserID, AnonymousID, GroupID, MessageID string
	Traits, Properties                                   map[string]json.RawMessage
}

func newStream() *fakeStream {
	return &fakeStream{changed: make(chan struct{}), commands: make(chan *sdk.SyncCommand, 8), seen: map[string]bool{}, syncs: map[string]sdk.Sync{}, runs: map[string]sdk.SyncRun{}}
}

func (f *fakeStream) Checkpoint() []byte { f.mu.Lock(); defer f.mu.Unlock(); return f.checkpoint }
func (f *fakeStream) Limits() sdk.Limits {
	return sdk.Limits{EventBytes: 1 << 20, BatchBytes: 4 << 20, BatchEvents: 10_000}
}
func (f *fakeStream) Updated() <-chan struct{}                { return nil }
func (f *fakeStream) Draining() <-chan struct{}               { return nil }
func (f *fakeStream) Commands() <-chan *sdk.SyncCommand       { return f.commands }
func (f *fakeStream) Progress(string, uint64, uint64, string) {}
func (f *fakeStream) Log() *slog.Logger                       { return slog.New(slog.DiscardHandler) }

// change does something under the lock and wakes those who wait for it.
func (f *fakeStream) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeStream) Store(ctx context.Context, b sdk.Batch) (sdk.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Verdict{}, err
	}
	var err error
	if f.fail != nil {
		var stored bool
		if stored, err = f.fail(b); err != nil && !stored {
			return sdk.Verdict{}, err
		}
	}
	f.change(func() {
		f.batches++
		for _, raw := range b.Events {
			e := event{raw: string(raw)}
			if err := json.Unmarshal(raw, &e); err != nil {
				panic(fmt.Sprintf("%s: %v", raw, err))
			}
			if f.seen[e.MessageID] {
				f.repeated++
				continue
			}
			f.seen[e.MessageID] = true
			f.events = append(f.events, e)
		}
		if b.Checkpoint != nil {
			f.checkpoint = b.Checkpoint
		}
	})
	return sdk.Verdict{}, err
}

func (f *fakeStream) Health(p ...sdk.Problem) { f.change(func() { f.problems = p }) }
func (f *fakeStream) Syncs(all ...sdk.Sync) {
	f.change(func() {
		for _, s := range all {
			f.syncs[s.Name] = s
		}
	})
}

func (f *fakeStream) Report(r sdk.SyncRun) {
	f.change(func() {
		if !r.Ended.IsZero() {
			f.runs[r.Sync] = r
		}
	})
}

// await returns when something holds, which is asked under the lock.
func (f *fakeStream) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		f.mu.Lock()
		ok, changed := holds(), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			f.mu.Lock()
			defer f.mu.Unlock()
			t.Fatalf("%s: not within 30 s; problems %v, %d events, runs %v", what, f.problems, len(f.events), f.runs)
		}
	}
}

// start runs the source until the returned function is called: a kill.
func (f *fakeStream) start(t *testing.T, c config) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx, f, func() (config, error) { return c, nil }); err != nil && ctx.Err() == nil {
			t.Errorf("run: %v", err)
		}
	}()
	var once sync.Once
	kill = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(kill)
	return kill
}

// configOf reads a config as the plugin does.
func configOf(t *testing.T, text string) config {
	t.Helper()
	c := defaults()
	c.source = "db"
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// due makes what is due later due now. The lock is held.
func (f *fakeStream) due() {
	if f.checkpoint == nil {
		return
	}
	var saved struct {
		V     int                                   `json:"v"`
		Syncs map[string]map[string]json.RawMessage `json:"syncs"`
	}
	if err := json.Unmarshal(f.checkpoint, &saved); err != nil {
		panic(err)
	}
	for _, s := range saved.Syncs {
		delete(s, "due")
	}
	f.checkpoint, _ = json.Marshal(saved)
}

// oneRun runs all syncs until each has ended a run, and returns the events of it.
func (f *fakeStream) oneRun(t *testing.T, c config) []event {
	t.Helper()
	f.mu.Lock()
	from := len(f.events)
	clear(f.runs)
	f.due()
	f.mu.Unlock()
	kill := f.start(t, c)
	f.await(t, "the end of a run", func() bool {
		for name := range c.Syncs {
			if s := f.syncs[name]; f.runs[name].Ended.IsZero() || s.State == sdk.SyncRunning {
				return false
			}
		}
		return true
	})
	kill()
	for name, r := range maps.All(f.runs) {
		if r.Error != nil {
			t.Fatalf("%s: %v", name, r.Error)
		}
	}
	return f.events[from:]
}

func raws(events []event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.raw + "\n")
	}
	return b.String()
}
