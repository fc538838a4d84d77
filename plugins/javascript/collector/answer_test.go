package collector_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

const threeEvents = `{"batch":[{"type":"page"},{"type":"x"},{"type":"track"}]}`

func refusing(h *host) {
	h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) {
		return sdk.Verdict{Violations: []sdk.Violation{
			{Index: 1, MessageID: "m1", Code: "unknown_type", Path: "/type", Keyword: "enum", Message: "x is no type", Schema: "common"},
			{Index: 1, MessageID: "m1", Code: "no_id", Message: "no id"},
			{Index: 2, MessageID: "m2", Code: "plan", Path: "/properties/a", Message: "must be a number", Dropped: true},
		}}, nil
	}
}

func TestRefusedEventsAreNamedOnceEach(t *testing.T) {
	h := newHost()
	refusing(h)
	got := call{path: "/v1/batch", headers: []string{basic}, body: threeEvents}.do(newCollector(t, h))
	want := `{"refused":[` +
		`{"index":1,"messageId":"m1","code":"unknown_type","path":"/type","message":"x is no type","action":"quarantine"},` +
		`{"index":2,"messageId":"m2","code":"plan","path":"/properties/a","message":"must be a number","action":"drop"}]}`
	if answer := text(t, got); got.StatusCode != 200 || answer != want {
		t.Fatalf("answer %d\n%s\nwant\n%s", got.StatusCode, answer, want)
	}
	if n := got.Header.Get("Wellhead-Refused"); n != "2" {
		t.Fatalf("Wellhead-Refused: %q", n)
	}
}

func TestStrictClientHearsOfRefusalsByStatus(t *testing.T) {
	for _, c := range []struct {
		header string
		status int
	}{{"X-Strict-Mode: 1", 400}, {"X-Strict-Mode: 0", 200}, {"X-Other: 1", 200}} {
		h := newHost()
		refusing(h)
		got := call{path: "/v1/batch", headers: []string{basic, c.header}, body: threeEvents}.do(newCollector(t, h))
		var answer struct {
			Refused []struct{ Index int }
			Meta    struct{ Errors []string }
			Code    string
			Message string
		}
		if err := json.Unmarshal([]byte(text(t, got)), &answer); err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != c.status || len(answer.Refused) != 2 || got.Header.Get("Wellhead-Refused") != "2" {
			t.Errorf("%s: answer %d, %d refused", c.header, got.StatusCode, len(answer.Refused))
		}
		if c.status == 400 && (answer.Code != "refused" || len(answer.Meta.Errors) != 2 || answer.Meta.Errors[0] != "event 1/type: unknown_type: x is no type") {
			t.Errorf("%s: %+v", c.header, answer)
		}
		if len(h.events()) != 3 {
			t.Errorf("%s: %d events emitted", c.header, len(h.events()))
		}
	}
	h := newHost()
	got := call{path: "/v1/batch", headers: []string{basic, "X-Strict-Mode: 1"}, body: threeEvents}.do(newCollector(t, h))
	if got.StatusCode != 200 || text(t, got) != "{}" || got.Header.Get("Wellhead-Refused") != "" {
		t.Errorf("nothing refused: answer %d", got.StatusCode)
	}
}

func TestWhatIsNotStoredIsToBeSentAgain(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		retry  string
		code   string
	}{
		{&sdk.NotStored{Reason: sdk.RateLimited, RetryAfter: 7 * time.Second}, 429, "7", "rate_limited"},
		{&sdk.NotStored{Reason: sdk.JournalBehind, RetryAfter: 1500 * time.Millisecond}, 429, "2", "journal_behind"},
		{&sdk.NotStored{Reason: sdk.DiskFull, RetryAfter: time.Second}, 503, "1", "disk_full"},
		{&sdk.NotStored{Reason: sdk.DestinationFull}, 503, "1", "destination_full"},
		{&sdk.NotStored{Reason: sdk.QuarantineFull, RetryAfter: time.Minute}, 503, "60", "quarantine_full"},
		{&sdk.NotStored{Reason: sdk.Closed, RetryAfter: time.Second}, 503, "1", "closed"},
		{fmt.Errorf("%w: gone", sdk.ErrEnded), 503, "1", "not_running"},
		{errors.New("anything else"), 503, "1", "not_running"},
		{&sdk.TooLarge{What: "bytes", Have: 9, Allowed: 8}, 413, "", "too_large"},
	} {
		h := newHost()
		h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) { return sdk.Verdict{}, c.err }
		got := call{path: "/v1/batch", headers: []string{basic}, body: threeEvents}.do(newCollector(t, h))
		if answer := text(t, got); got.StatusCode != c.status || got.Header.Get("Retry-After") != c.retry || !strings.Contains(answer, `"code":"`+c.code+`"`) {
			t.Errorf("%v: answer %d, Retry-After %q, %s", c.err, got.StatusCode, got.Header.Get("Retry-After"), answer)
		}
	}
}

func TestPartThatIsNotStoredFailsTheRequest(t *testing.T) {
	h := newHost()
	h.limits.BatchEvents = 1
	h.verdict = func(_ context.Context, b sdk.Batch) (sdk.Verdict, error) {
		if strings.Contains(string(b.Events[0]), "track") {
			return sdk.Verdict{}, &sdk.NotStored{Reason: sdk.DiskFull, RetryAfter: time.Second}
		}
		return sdk.Verdict{}, nil
	}
	got := call{path: "/v1/batch", headers: []string{basic}, body: threeEvents}.do(newCollector(t, h))
	if got.StatusCode != 503 || len(h.batches) != 3 {
		t.Fatalf("answer %d after %d parts", got.StatusCode, len(h.batches))
	}
}

func TestSlowVerdictIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.verdict = func(ctx context.Context, _ sdk.Batch) (sdk.Verdict, error) {
			<-ctx.Done()
			return sdk.Verdict{}, ctx.Err()
		}
		start := time.Now()
		got := call{path: "/v1/batch", headers: []string{basic}, body: threeEvents}.do(newCollector(t, h))
		if got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" || time.Since(start) != 10*time.Second {
			t.Fatalf("answer %d after %s", got.StatusCode, time.Since(start))
		}
	})
}

func TestClientThatLeavesIsNeverToldOfSuccess(t *testing.T) {
	h := newHost()
	c := newCollector(t, h)
	r := call{path: "/v1/batch", headers: []string{basic}, body: threeEvents}.request()
	ctx, leave := context.WithCancel(r.Context())
	h.verdict = func(ctx context.Context, _ sdk.Batch) (sdk.Verdict, error) {
		leave()
		return sdk.Verdict{}, ctx.Err()
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r.WithContext(ctx))
	if w.Code != 503 {
		t.Fatalf("answer %d", w.Code)
	}
}

func TestAnswerDoesNotGrowWithTheEvent(t *testing.T) {
	h := newHost()
	h.verdict = func(context.Context, sdk.Batch) (sdk.Verdict, error) {
		long := strings.Repeat("é", 5000)
		return sdk.Verdict{Violations: []sdk.Violation{{Code: "schema", Path: long, Message: long, MessageID: long}}}, nil
	}
	got := call{path: "/v1/track", headers: []string{basic}, body: `{}`}.do(newCollector(t, h))
	if answer := text(t, got); len(answer) > 2000 || !json.Valid([]byte(answer)) || strings.Contains(answer, "\ufffd") {
		t.Fatalf("%d bytes: %s", len(answer), answer)
	}
}

func TestFailureIsReadByEveryClient(t *testing.T) {
	got := call{path: "/v1/track", headers: []string{basic}, body: `{"a`}.do(newCollector(t, newHost()))
	var answer struct {
		Code    string
		Message string
		Meta    struct{ Errors []string }
	}
	if err := json.Unmarshal([]byte(text(t, got)), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Code != "not_json" || answer.Message == "" || len(answer.Meta.Errors) != 1 || answer.Meta.Errors[0] != answer.Message {
		t.Fatalf("%+v", answer)
	}
	if ct := got.Header.Get("Content-Type"); ct != "application/json" {
		t.Fatal(ct)
	}
}

func TestRequestsNotTakenAreCountedAndLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		c := newCollector(t, h)
		for range 5 {
			call{path: "/v1/track", headers: []string{basic}, body: `{`}.do(c)
			call{path: "/v1/track", body: `{}`}.do(c)
		}
		time.Sleep(time.Minute)
		call{path: "/v1/track", headers: []string{basic}, body: `{`}.do(c)
		log := h.logged.String()
		for _, want := range []string{"code=not_json", "code=no_key", "source=website code=not_json", "count=5 total=6"} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q", want)
			}
		}
		if lines := strings.Count(log, "\n"); lines != 3 {
			t.Errorf("%d lines", lines)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
}
