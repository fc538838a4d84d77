package console_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestStatusArrivesWhole(t *testing.T) {
	h := &fake{status: everything()}
	got, err := start(t, h, shortDir(t)).dial(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := everything(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestSentEventsReachTheSourceByteForByte(t *testing.T) {
	verdict := console.Verdict{Events: 2, Accepted: 1, Refused: []console.Refusal{{
		Index: 1, MessageID: "m-2", Action: "quarantine", Violations: []event.Violation{{Code: "plan", Path: "/a/b", Message: "<no>"}},
	}}}
	var source event.SourceID
	var events []string
	h := &fake{send: func(_ context.Context, s event.SourceID, list [][]byte) (console.Verdict, error) {
		source = s
		for _, e := range list {
			events = append(events, string(e))
		}
		return verdict, nil
	}}
	got, err := start(t, h, shortDir(t)).dial(t).Send(t.Context(), "website", [][]byte{[]byte(`{"n":1e400,"t":"<a>"}`), []byte("no json")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`{"n":1e400,"t":"<a>"}`, "no json"}; source != "website" || !reflect.DeepEqual(events, want) {
		t.Errorf("source %q got %q, want %q", source, events, want)
	}
	if !reflect.DeepEqual(got, verdict) {
		t.Errorf("verdict %+v, want %+v", got, verdict)
	}
}

func TestTooLargeASendIsRefusedBeforeTheHostSeesIt(t *testing.T) {
	c := start(t, &fake{}, shortDir(t)).dial(t)
	for name, events := range map[string][][]byte{
		"events": slicesRepeat([]byte("{}"), console.MaxSendEvents+1),
		"bytes":  {bytes.Repeat([]byte("x"), console.MaxSendBytes+1)},
	} {
		_, err := c.Send(t.Context(), "website", events)
		var e *console.Error
		if !errors.As(err, &e) || e.Code != console.CodeTooLarge || e.Hint == "" {
			t.Errorf("too many %s: %v", name, err)
		}
	}
}

func slicesRepeat(b []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

func TestErrorsKeepTheirCodeRemedyAndPatience(t *testing.T) {
	var fail error
	h := &fake{
		send: func(context.Context, event.SourceID, [][]byte) (console.Verdict, error) {
			return console.Verdict{}, fail
		},
		entry: func(string) (console.Entry, error) { return console.Entry{}, fail },
	}
	c := start(t, h, shortDir(t)).dial(t)
	for _, want := range []*console.Error{
		{Code: "disk_full", Message: "nothing was stored", Hint: "make room", RetryAfter: 10 * time.Second},
		{Code: console.CodeUnknownSource, Message: "no such source", Hint: `did you mean "website"?`},
		{Code: console.CodeNotFound, Message: "gone"},
	} {
		fail = want
		_, sendErr := c.Send(t.Context(), "website", [][]byte{[]byte("{}")})
		_, entryErr := c.QuarantineEntry(t.Context(), "website/1.0")
		for _, err := range []error{sendErr, entryErr} {
			var got *console.Error
			if !errors.As(err, &got) || *got != *want {
				t.Errorf("got %+v, want %+v", err, want)
			}
		}
	}
	fail = errors.New("the log is gone")
	_, err := c.QuarantineEntry(t.Context(), "website/1.0")
	if want := "the log is gone; look at the host's log [internal]"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestQuarantineIsAskedWithTheClientsFilter(t *testing.T) {
	want := console.QuarantineFilter{
		Source: "website", Destination: "hook", Code: "plan", Event: "Order & Completed", State: "any",
		Since: time.Date(2026, 1, 31, 8, 0, 0, 5, time.UTC), OldestFirst: true, After: "12/website/1.0", Limit: 7,
	}
	page := console.Page{Entries: []console.Entry{{ID: "website/1042.7", Source: "website", Violations: []event.Violation{}}}, Next: "12/website/1042.7"}
	var got console.QuarantineFilter
	h := &fake{
		quarantine: func(f console.QuarantineFilter) (console.Page, error) { got = f; return page, nil },
		groups: func(f console.QuarantineFilter) ([]console.Group, error) {
			got = f
			return []console.Group{{Source: "website", Code: "plan", Entries: 3}}, nil
		},
		entry: func(id string) (console.Entry, error) {
			return console.Entry{ID: id, Claim: console.Claim{JSON: []byte(`{"html":"<b>","n":12345678901234567890}`)}}, nil
		},
	}
	c := start(t, h, shortDir(t)).dial(t)
	listed, err := c.Quarantine(t.Context(), want)
	if err != nil || !reflect.DeepEqual(listed, page) || !reflect.DeepEqual(got, want) {
		t.Errorf("list: %+v, %v, asked with %+v", listed, err, got)
	}
	groups, err := c.QuarantineGroups(t.Context(), want)
	if err != nil || len(groups) != 1 || groups[0].Entries != 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("groups: %+v, %v, asked with %+v", groups, err, got)
	}
	entry, err := c.QuarantineEntry(t.Context(), "website/1042.7")
	if err != nil || entry.ID != "website/1042.7" || string(entry.Text()) != `{"html":"<b>","n":12345678901234567890}` {
		t.Errorf("entry: %+v, %v", entry, err)
	}
}

func TestTailBeginsBeforeItIsAnswered(t *testing.T) {
	began := make(chan struct{})
	h := &fake{tail: func(ctx context.Context, f console.TailFilter, emit func([]console.Record) error) error {
		if want := (console.TailFilter{Source: "website", Type: "track", Event: "A & B", Refused: true}); f != want {
			t.Errorf("filter %+v, want %+v", f, want)
		}
		close(began)
		if err := emit(nil); err != nil {
			return err
		}
		at := event.At(3, 1)
		if err := emit([]console.Record{
			{Source: "website", Position: &at, Claim: console.Claim{JSON: []byte(`{"a":"<1>"}`)}}, {Missed: 2},
		}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	r := start(t, h, shortDir(t))
	var records []console.Record
	err := r.dial(t).Tail(t.Context(), console.TailFilter{Source: "website", Type: "track", Event: "A & B", Refused: true}, func(rec console.Record) error {
		<-began
		records = append(records, rec)
		if len(records) == 2 {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || len(records) != 2 {
		t.Fatalf("%v, %+v", err, records)
	}
	if first := records[0]; string(first.Text()) != `{"a":"<1>"}` || *first.Position != event.At(3, 1) || records[1].Missed != 2 {
		t.Errorf("records %+v", records)
	}
}

func TestTailEndsWhenTheServerStops(t *testing.T) {
	began := make(chan struct{})
	h := &fake{tail: func(ctx context.Context, _ console.TailFilter, emit func([]console.Record) error) error {
		if err := emit(nil); err != nil {
			return err
		}
		close(began)
		<-ctx.Done()
		// It is told before its connection is cut.
		return emit([]console.Record{{Source: "last"}})
	}}
	r := start(t, h, shortDir(t))
	c := r.dial(t)
	var last event.SourceID
	ended := make(chan error, 1)
	go func() {
		ended <- c.Tail(context.Background(), console.TailFilter{}, func(rec console.Record) error { last = rec.Source; return nil })
	}()
	<-began
	r.stop()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) || last != "last" {
		t.Errorf("got %v after %q, want that the host ended it in peace", err, last)
	}
}

func TestTheSocketIsTheUsersOwnAndReplacesAStaleOne(t *testing.T) {
	dir := shortDir(t)
	// What a host that was killed leaves: a socket where nobody listens.
	killed, err := console.Listen(t.Context(), options(t, &fake{}, dir))
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "kept")
	if err := os.Link(console.SocketPath(dir), stale); err != nil {
		t.Fatal(err)
	}
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(stale, console.SocketPath(dir)); err != nil {
		t.Fatal(err)
	}
	var none *console.NoHostError
	if _, err := console.Dial(t.Context(), dir); !errors.As(err, &none) || none.Socket != console.SocketPath(dir) {
		t.Fatalf("dial a stale socket: %v", err)
	}
	r := start(t, &fake{}, dir)
	info, err := os.Stat(console.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode.Perm() != 0o600 || mode.Type() != os.ModeSocket {
		t.Errorf("mode %v, want a socket of 0600", mode)
	}
	if _, err := r.dial(t).Status(t.Context()); err != nil {
		t.Error(err)
	}
	r.stop()
	if _, err := console.Dial(t.Context(), dir); !errors.As(err, &none) {
		t.Errorf("dial after the end: %v", err)
	}
}

func TestALongDataDirHasASocketToo(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("long", 30), strings.Repeat("er", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h := &fake{status: console.Status{Version: "v1"}}
	r := start(t, h, dir)
	if s, err := r.dial(t).Status(t.Context()); err != nil || s.Version != "v1" {
		t.Errorf("%+v, %v", s, err)
	}
	if info, err := os.Stat(console.SocketPath(dir)); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v", info, err)
	}
}
