package console_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unasked panics where a test does not say what is answered.
type unasked struct{ console.Host }

// fake is a host that answers as it is told.
type fake struct {
	unasked
	consents

	mu     sync.Mutex
	status console.Status

	send       func(ctx context.Context, source event.SourceID, events [][]byte) (console.Verdict, error)
	tail       func(ctx context.Context, f console.TailFilter, emit func([]console.Record) error) error
	quarantine func(f console.QuarantineFilter) (console.Page, error)
	groups     func(f console.QuarantineFilter) ([]console.Group, error)
	entry      func(id string) (console.Entry, error)
	syncs      func(event.SourceID) (console.Syncs, error)
	command    func(source event.SourceID, sync string, action console.SyncAction) ([]console.SyncAnswer, error)
}

func (f *fake) Status() console.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) set(s console.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = s
}

func (f *fake) Send(ctx context.Context, source event.SourceID, events [][]byte) (console.Verdict, error) {
	return f.send(ctx, source, events)
}

func (f *fake) Tail(ctx context.Context, filter console.TailFilter, emit func([]console.Record) error) error {
	return f.tail(ctx, filter, emit)
}

func (f *fake) Quarantine(_ context.Context, filter console.QuarantineFilter) (console.Page, error) {
	return f.quarantine(filter)
}

func (f *fake) QuarantineGroups(_ context.Context, filter console.QuarantineFilter) ([]console.Group, error) {
	return f.groups(filter)
}

func (f *fake) QuarantineEntry(_ context.Context, id string) (console.Entry, error) {
	return f.entry(id)
}

func (f *fake) Syncs(source event.SourceID) (console.Syncs, error) { return f.syncs(source) }

func (f *fake) SyncCommand(_ context.Context, source event.SourceID, sync string, action console.SyncAction) ([]console.SyncAnswer, error) {
	return f.command(source, sync, action)
}

// running is a server that runs until the test's end, or until it is stopped.
type running struct {
	*console.Server
	dir  string
	stop func()
}

func options(t *testing.T, h console.Host, dir string) console.Options {
	t.Helper()
	return console.Options{Host: h, Dir: dir, Address: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
}

// shortDir is a folder whose path a socket can have.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wh-console-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, h console.Host, dir string) *running {
	t.Helper()
	s, err := console.Listen(t.Context(), options(t, h, dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{s, dir, stop}
}

func (r *running) dial(t *testing.T) *console.Client {
	t.Helper()
	c, err := console.Dial(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is what the listener says.
type answer struct {
	status int
	body   string
	header http.Header
}

// ask asks the listener; change may change the request before it is sent.
func (r *running) ask(t *testing.T, method, path string, change func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(body), res.Header}
}
