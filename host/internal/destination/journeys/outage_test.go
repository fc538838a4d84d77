package journeys_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// journal is a journal in memory, of a frame for each group of events.
type journal struct {
	mu     sync.Mutex
	frames []*frame
	grown  chan struct{}
}

type frame struct {
	seq    uint64
	time   time.Time
	events []destination.Event
}

func (f *frame) Seq() uint64                   { return f.seq }
func (f *frame) Offset() uint64                { return f.seq - 1 }
func (f *frame) Size() int                     { return 1 }
func (f *frame) Time() time.Time               { return f.time }
func (f *frame) Len() int                      { return len(f.events) }
func (f *frame) Source(i int) event.SourceID   { return f.events[i].Source }
func (f *frame) Event(i int) destination.Event { return f.events[i] }

// add appends a group of two events; the first has the attachment.
func (j *journal) add(attachment string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := &frame{seq: uint64(len(j.frames)) + 1, time: time.Now(), events: batch(attachment, "")}
	for i := range f.events {
		f.events[i].Position, f.events[i].MessageID = event.At(f.seq, i), fmt.Sprintf("%d/%d", f.seq-1, i)
	}
	j.frames = append(j.frames, f)
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) Next(ctx context.Context, seq uint64) (deliver.Frame, error) {
	for {
		j.mu.Lock()
		grown, frames := j.grown, j.frames
		j.mu.Unlock()
		if seq <= uint64(len(frames)) {
			return frames[seq-1], nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (j *journal) Extent() deliver.Extent {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := uint64(len(j.frames))
	return deliver.Extent{First: 1, Last: n, End: n}
}

// quarantine keeps message ids and attachments.
type quarantine struct{ ids, attached []string }

func (q *quarantine) Refuse(_ context.Context, refusals []event.Refusal) error {
	for _, r := range refusals {
		q.ids, q.attached = append(q.ids, r.MessageID), append(q.attached, string(r.Attachment))
	}
	return nil
}

// runLoop delivers from j to an API, until test returns. The answer of the API is
// a status, or 0: none.
func runLoop(t *testing.T, answer func(request string) int, test func(*journal, *deliver.Loop, *quarantine)) {
	d := open(t, settings("http://track.example.com"))
	d.SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		time.Sleep(20 * time.Millisecond)
		if status := answer(r.Method + " " + r.URL.RequestURI() + " " + string(body)); status != 0 {
			return reply(status, "{}"), nil
		}
		return nil, errors.New("no route to host")
	}))
	j, q := &journal{grown: make(chan struct{})}, &quarantine{}
	loop, err := deliver.Open(t.Context(), deliver.Options{
		Name: "cio", Target: d, Journal: j, Quarantine: q, Wants: func(event.SourceID) bool { return true },
		Dir: t.TempDir(), From: config.From{Oldest: true}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	test(j, loop, q)
	cancel()
	if err := errors.Join(<-ended, loop.Close()); err != nil {
		t.Error(err)
	}
}

var number = regexp.MustCompile(`"n":(\d+)`)

// sent appends the numbers in a request that was taken.
func sent(to []string, request string) []string {
	for _, m := range number.FindAllStringSubmatch(request, -1) {
		to = append(to, m[1])
	}
	return to
}

// mixed is the nth request of a client that uses both versions of the API.
func mixed(n int) string {
	if n%5 < 2 {
		return attachment("PUT", fmt.Sprintf("/api/v1/customers/%d", n%7), fmt.Sprintf(`{"n":%d}`, n))
	}
	return operation(n)
}

func TestOutageOfAnHourIsCaughtUpInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var taken []string
		answer := func(request string) int {
			switch since := time.Since(began); {
			case since < 10*time.Minute+100*time.Millisecond: // it begins within a batch
			case since < 30*time.Minute:
				return 0
			case since < 50*time.Minute:
				return http.StatusServiceUnavailable
			case since < 70*time.Minute:
				return http.StatusBadGateway
			}
			taken = sent(taken, request)
			return http.StatusOK
		}
		runLoop(t, answer, func(j *journal, loop *deliver.Loop, q *quarantine) {
			const minutes, perMinute = 75, 60
			for minute := range minutes {
				for n := range perMinute {
					j.add(mixed(minute*perMinute + n))
				}
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			var want []string
			for n := range minutes * perMinute {
				want = append(want, fmt.Sprint(n))
			}
			if !slices.Equal(taken, want) {
				t.Errorf("%d requests were taken, want %d, each once and in order", len(taken), len(want))
			}
			s := loop.Status()
			if s.LagFrames != 0 || len(q.ids) != 0 || s.Counters.Delivered != minutes*perMinute || s.State != deliver.Running {
				t.Errorf("after the outage: %+v, quarantine %v", s, q.ids)
			}
		})
	})
}

func TestRequestThatCannotBeAnsweredStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken []string
		answer := func(request string) int {
			switch {
			case strings.Contains(request, `"n":50}`), strings.Contains(request, `"n":103}`):
				return http.StatusInternalServerError
			case strings.Contains(request, `"n":60}`), strings.Contains(request, `"n":77}`):
				return http.StatusBadRequest
			}
			taken = sent(taken, request)
			return http.StatusOK
		}
		runLoop(t, answer, func(j *journal, loop *deliver.Loop, q *quarantine) {
			for n := range 300 {
				j.add(mixed(n))
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			slices.Sort(q.ids)
			if want := []string{"103/0", "50/0", "60/0", "77/0"}; !slices.Equal(q.ids, want) {
				t.Errorf("quarantine %v, want %v", q.ids, want)
			}
			slices.Sort(q.attached)
			if want := []string{mixed(103), mixed(50), mixed(60), mixed(77)}; !slices.Equal(q.attached, slices.Sorted(slices.Values(want))) {
				t.Errorf("the quarantine has the requests %q, want %q", q.attached, want)
			}
			slices.Sort(taken)
			if n := len(slices.Compact(taken)); n != 296 || len(taken) != n {
				t.Errorf("%d requests were taken, %d of them different", len(taken), n)
			}
			if s := loop.Status(); s.LagFrames != 0 || s.State != deliver.Running {
				t.Errorf("status: %+v", s)
			}
		})
	})
}
