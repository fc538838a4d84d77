package customerio_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// journal is a journal in memory, of a frame for each event.
type journal struct {
	mu     sync.Mutex
	frames []*frame
	grown  chan struct{}
}

type frame struct {
	seq   uint64
	time  time.Time
	event destination.Event
}

func (f *frame) Seq() uint64                 { return f.seq }
func (f *frame) Offset() uint64              { return f.seq - 1 }
func (f *frame) Size() int                   { return 1 }
func (f *frame) Time() time.Time             { return f.time }
func (f *frame) Len() int                    { return 1 }
func (f *frame) Source(int) event.SourceID   { return f.event.Source }
func (f *frame) Event(int) destination.Event { return f.event }

// add appends the next event; its message id is m and its number.
func (j *journal) add() {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.frames)
	f := &frame{seq: uint64(n) + 1, time: time.Now(), event: eventOf(n, fmt.Sprintf(`{"messageId":"m%d"}`, n))}
	f.event.Position = event.At(f.seq, 0)
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

// receiver is an endpoint that drops what it has already, by message id.
type receiver struct {
	t testing.TB
	// answer gives the status for the message ids of a request, and which of these
	// are taken; status 0: no answer, ever.
	answer func(ids []string) (status int, taken []string)
	header http.Header // of the answers that are no 200
	stored []string    // in the order in which they first came
	twice  []string
}

// all takes everything, with a status.
func all(status int) func([]string) (int, []string) {
	return func(ids []string) (int, []string) { return status, ids }
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond)
	got, _ := read(r.t, req)
	var ids []string
	for _, e := range got.Batch {
		ids = append(ids, strings.Split(string(e), `"`)[3])
	}
	status, taken := r.answer(ids)
	for _, id := range taken {
		if slices.Contains(r.stored, id) {
			r.twice = append(r.twice, id)
		} else {
			r.stored = append(r.stored, id)
		}
	}
	if status == 0 {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if status == http.StatusOK {
		return reply(status, nil, "{}"), nil
	}
	return reply(status, r.header, "{}"), nil
}

// quarantine keeps message ids.
type quarantine struct{ ids []string }

func (q *quarantine) Refuse(_ context.Context, refusals []event.Refusal) error {
	for _, r := range refusals {
		q.ids = append(q.ids, r.MessageID)
	}
	return nil
}

// rig delivers from a journal to a receiver.
type rig struct {
	t   *testing.T
	dir string
	log strings.Builder
	*journal
	*receiver
	*quarantine
}

func newRig(t *testing.T, answer func(ids []string) (int, []string)) *rig {
	return &rig{
		t: t, dir: t.TempDir(), journal: &journal{grown: make(chan struct{})},
		receiver: &receiver{t: t, answer: answer}, quarantine: &quarantine{},
	}
}

// run delivers until test returns.
func (r *rig) run(test func(*deliver.Loop)) {
	r.t.Helper()
	d := open(r.t, settings("http://localhost"))
	d.SetTransport(r.receiver)
	loop, err := deliver.Open(r.t.Context(), deliver.Options{
		Name: "cio", Target: d, Journal: r.journal, Quarantine: r.quarantine, Wants: func(event.SourceID) bool { return true },
		Dir: r.dir, From: config.From{Oldest: true}, Log: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	test(loop)
	cancel()
	if err := errors.Join(<-ended, loop.Close()); err != nil {
		r.t.Error(err)
	}
	if strings.Contains(r.log.String(), key) {
		r.t.Errorf("the key is in the log: %s", r.log.String())
	}
}

// ids are the message ids of events up to n, but for some.
func ids(n int, without ...string) (all []string) {
	for i := range n {
		if id := fmt.Sprintf("m%d", i); !slices.Contains(without, id) {
			all = append(all, id)
		}
	}
	return all
}

func TestOutageOfAnHourIsCaughtUpInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(t, func(ids []string) (int, []string) {
			switch minute := int(time.Since(began) / time.Minute); {
			case minute < 10:
				return http.StatusOK, ids
			case minute < 20:
				return 0, nil
			case minute < 30:
				return http.StatusServiceUnavailable, nil
			case minute < 40:
				return http.StatusBadGateway, nil
			case minute < 50:
				return http.StatusUnauthorized, nil
			case minute < 70:
				return http.StatusTooManyRequests, nil
			}
			return http.StatusOK, ids
		})
		r.header = http.Header{"Retry-After": {"120"}}
		r.run(func(loop *deliver.Loop) {
			const minutes, perMinute = 75, 30
			for minute := range minutes {
				for range perMinute {
					r.add()
				}
				time.Sleep(time.Minute)
				if s := loop.Status(); minute == 45 && (s.State != deliver.Attention || s.Failure == nil || s.Failure.Code != "http_401" || s.Failure.Hint == "") {
					t.Errorf("with a wrong key: %+v, %+v", s, s.Failure)
				}
			}
			synctest.Wait()
			if !slices.Equal(r.stored, ids(minutes*perMinute)) || len(r.twice) != 0 {
				t.Errorf("%d events are stored, want %d in order; twice came %v", len(r.stored), minutes*perMinute, r.twice)
			}
			if s := loop.Status(); s.LagFrames != 0 || len(r.ids) != 0 || s.State != deliver.Running {
				t.Errorf("after the outage: %+v, quarantine %v", s, r.ids)
			}
		})
	})
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests []time.Time
		r := newRig(t, func(ids []string) (int, []string) {
			if requests = append(requests, time.Now()); len(requests) == 1 {
				return http.StatusTooManyRequests, nil
			}
			return http.StatusOK, ids
		})
		r.header = http.Header{"Retry-After": {"120"}}
		r.add()
		r.run(func(*deliver.Loop) {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
		})
		if len(requests) != 2 || requests[1].Sub(requests[0]) < 2*time.Minute {
			t.Errorf("requests at %v", requests)
		}
	})
}

func TestTimeoutAfterTheReceiverTookItSendsTheSameIDsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := 3
		r := newRig(t, func(ids []string) (int, []string) {
			if lost--; lost >= 0 {
				return 0, ids
			}
			return http.StatusOK, ids
		})
		for range 5 {
			r.add()
		}
		r.run(func(*deliver.Loop) {
			time.Sleep(time.Hour)
			synctest.Wait()
		})
		if !slices.Equal(r.stored, ids(5)) || len(r.twice) == 0 || len(r.ids) != 0 {
			t.Errorf("stored %v, twice came %v, quarantine %v", r.stored, r.twice, r.ids)
		}
	})
}

func TestEventThatCannotPassStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(ids []string) (int, []string) {
			switch {
			case slices.Contains(ids, "m77"), slices.Contains(ids, "m0"):
				return http.StatusBadRequest, nil
			case slices.Contains(ids, "m80"):
				return http.StatusUnprocessableEntity, nil
			case slices.Contains(ids, "m50"):
				return http.StatusInternalServerError, nil
			case len(ids) > 150:
				return http.StatusRequestEntityTooLarge, nil
			}
			return http.StatusOK, ids
		})
		for range 300 {
			r.add()
		}
		r.run(func(loop *deliver.Loop) {
			time.Sleep(time.Hour)
			synctest.Wait()
			slices.Sort(r.ids)
			if want := []string{"m0", "m50", "m77", "m80"}; !slices.Equal(r.ids, want) {
				t.Errorf("quarantine %v, want %v", r.ids, want)
			}
			want := ids(300, r.ids...)
			slices.Sort(want)
			if slices.Sort(r.stored); !slices.Equal(r.stored, want) || len(r.twice) != 0 {
				t.Errorf("stored %d, twice came %v", len(r.stored), r.twice)
			}
			if s := loop.Status(); s.LagFrames != 0 || s.State != deliver.Running {
				t.Errorf("status: %+v", s)
			}
		})
	})
}

// A host that ends within a request gives it a few seconds and sends the batch
// again when it is back, with what has come since.
func TestRestartWithinARequestLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, all(0))
		for range 3 {
			r.add()
		}
		r.run(func(*deliver.Loop) {
			time.Sleep(5 * time.Second)
			synctest.Wait() // in the request
		})
		if len(r.stored) != 3 {
			t.Fatalf("stored %v", r.stored)
		}
		r.add()
		r.answer = all(http.StatusOK)
		r.run(func(*deliver.Loop) {
			time.Sleep(time.Minute)
			synctest.Wait()
		})
		if !slices.Equal(r.stored, ids(4)) || !slices.Equal(r.twice, ids(3)) {
			t.Errorf("stored %v, twice came %v", r.stored, r.twice)
		}
	})
}
