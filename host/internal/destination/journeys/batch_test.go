package journeys_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

func operation(n int) string {
	return attachment("POST", "/api/v2/entity", fmt.Sprintf(`{"n":%d}`, n))
}

func TestOperationsThatFollowEachOtherGoInOneBatch(t *testing.T) {
	a := &api{}
	d := serve(t, a)
	err := d.Send(t.Context(), batch(
		operation(0), operation(1), operation(2),
		identify("5"),
		operation(4),
		attachment("POST", "/api/v2/entity", `[{"n":5}]`), // no operation: it is not put into a batch
		operation(6), operation(7),
		attachment("POST", "/api/v2/entity?x=y", `{"n":8}`),
		attachment("POST", "/api/v2/entity", `{"n":9}]},{"batch":[{}`),
		operation(10),
	))
	if err != nil {
		t.Fatal(err)
	}
	a.wants(t,
		`POST /api/v2/batch {"batch":[{"n":0},{"n":1},{"n":2}]}`,
		`PUT /api/v1/customers/5 {"n":1}`,
		`POST /api/v2/entity {"n":4}`,
		`POST /api/v2/entity [{"n":5}]`,
		`POST /api/v2/batch {"batch":[{"n":6},{"n":7}]}`,
		`POST /api/v2/entity?x=y {"n":8}`,
		`POST /api/v2/entity {"n":9}]},{"batch":[{}`,
		`POST /api/v2/entity {"n":10}`,
	)
}

func TestBatchIsAtMost500KB(t *testing.T) {
	a := &api{}
	d := serve(t, a)
	var attachments []string
	for n := range 32 {
		attachments = append(attachments, attachment("POST", "/api/v2/entity", fmt.Sprintf(`{"n":%d,"text":"%s"}`, n, strings.Repeat("x", 32_000))))
	}
	if err := d.Send(t.Context(), batch(attachments...)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, request := range a.asked() {
		body := strings.TrimPrefix(request, "POST /api/v2/batch ")
		var b struct{ Batch []struct{ N int } }
		if err := json.Unmarshal([]byte(body), &b); err != nil || len(body) > 500_000 {
			t.Fatalf("a body of %d bytes: %v", len(body), err)
		}
		for _, op := range b.Batch {
			if op.N != sent {
				t.Errorf("operation %d at the place of %d", op.N, sent)
			}
			sent++
		}
	}
	if n := len(a.asked()); n != 3 || sent != 32 {
		t.Errorf("%d operations in %d requests", sent, n)
	}
	if events, bytes := d.Batch(); events > 1000 || bytes > 4<<20 {
		t.Errorf("a batch of %d events and %d bytes", events, bytes)
	}
}

func TestAnswerToABatch(t *testing.T) {
	const (
		whole = `POST /api/v2/batch {"batch":[{"n":0},{"n":1},{"n":2}]}`
		one   = `POST /api/v2/entity {"n":`
	)
	oneByOne := []string{whole, one + "0}", one + "1}", one + "2}"}
	for name, c := range map[string]struct {
		code     int
		body     string
		requests []string
		refused  map[int]string // and what the error ends with
	}{
		"all are good":    {200, `{}`, []string{whole}, nil},
		"an empty answer": {200, ``, []string{whole}, nil},
		"some are refused": {
			207, `{"errors":[{"batch_index":2,"reason":"invalid","field":"id","message":"is odd"},{"batch_index":0}]}`,
			[]string{whole}, map[int]string{0: "refused it", 2: "refused it: invalid: id: is odd"},
		},
		"some are refused with 200": {
			200, `{"errors":[{"batch_index":1,"message":"is odd"}]}`, []string{whole}, map[int]string{1: ": is odd"},
		},
		"all are refused": {
			207, `{"errors":[{"batch_index":0},{"batch_index":1},{"batch_index":2}]}`, []string{whole}, map[int]string{0: "", 1: "", 2: ""},
		},
		"the batch is refused":       {400, `{"errors":[{"reason":"malformed"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"the batch is too large":     {413, ``, oneByOne, map[int]string{1: ": no odd ones"}},
		"there is no batch":          {404, ``, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 names none":             {207, `{}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 is no JSON":             {207, `{"errors":[{"batch_index":1`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has no index":           {207, `{"errors":[{"batch_index":0},{"message":"no"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has an index beyond":    {207, `{"errors":[{"batch_index":3}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has a negative index":   {207, `{"errors":[{"batch_index":-1}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
		"207 has an index of a text": {207, `{"errors":[{"batch_index":"1"}]}`, oneByOne, map[int]string{1: ": no odd ones"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{answer: func(w http.ResponseWriter, request string) bool {
				switch request {
				case whole:
					w.WriteHeader(c.code)
					_, _ = io.WriteString(w, c.body)
				case one + "1}":
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, `{"errors":[{"message":"no odd ones"}]}`)
				default:
					return false
				}
				return true
			}}
			err := serve(t, a).Send(t.Context(), batch(operation(0), operation(1), operation(2)))
			a.wants(t, c.requests...)
			if c.refused == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			p := partial(t, err)
			if len(p) != len(c.refused) {
				t.Errorf("failures %v", kinds(p))
			}
			for i, text := range c.refused {
				if e := p[i]; e == nil || e.Kind != destination.Refused || !strings.HasSuffix(e.Err.Error(), text) {
					t.Errorf("operation %d: %v, want it refused %q", i, e, text)
				}
			}
		})
	}
}

func TestBatchThatIsNotDecidedWaitsAsAWhole(t *testing.T) {
	for code, kind := range map[int]destination.Kind{500: destination.Failed, 503: destination.Unavailable, 401: destination.Unavailable} {
		a := &api{answer: status(code, "")}
		if e := destination.AsError(serve(t, a).Send(t.Context(), batch(operation(0), operation(1)))); e.Kind != kind {
			t.Errorf("%d: %#v", code, e)
		}
		if n := len(a.asked()); n != 1 {
			t.Errorf("%d: %d requests", code, n)
		}
	}
	// The batch is refused, and then an operation meets an outage.
	a := &api{answer: func(w http.ResponseWriter, request string) bool {
		switch {
		case strings.Contains(request, "/batch"):
			w.WriteHeader(http.StatusBadRequest)
		case strings.Contains(request, `"n":1`):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}}
	p := partial(t, serve(t, a).Send(t.Context(), batch(operation(0), operation(1), operation(2))))
	if len(p) != 2 || p[1].Kind != destination.Unavailable || p[2].Kind != destination.Unavailable {
		t.Errorf("failures %v", kinds(p))
	}
}
