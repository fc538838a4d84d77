package sdk_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// runFunc makes a Source of a function.
type runFunc func(ctx context.Context, s *sdk.Stream) error

func (f runFunc) Run(ctx context.Context, s *sdk.Stream) error { return f(ctx, s) }

func TestEmitReturnsTheHostsVerdict(t *testing.T) {
	got := make(chan sdk.Verdict, 1)
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		v, err := s.Emit(ctx, sdk.Batch{Events: []sdk.Event{sdk.Event(`{"a":1}`), sdk.Event(`2`)}})
		got <- v
		return err
	})}, nil)
	s := h.run(startOf("a"))
	b := s.batch()
	if len(b.Events) != 2 || string(b.Events[0]) != `{"a":1}` || b.Seq != 1 {
		t.Fatalf("batch %v", b)
	}
	s.stored(b, &wire.Violation{Index: 1, Code: "not_object", Message: "no", MessageId: "m"})
	want := []sdk.Violation{{Index: 1, Code: "not_object", Message: "no", MessageID: "m"}}
	if v := <-got; !slices.Equal(v.Violations, want) {
		t.Errorf("violations %v, want %v", v.Violations, want)
	}
}

func TestEmitTellsThatNothingWasStored(t *testing.T) {
	got := make(chan error, 1)
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		_, err := s.Emit(ctx, sdk.Batch{Events: []sdk.Event{sdk.Event(`{}`)}})
		got <- err
		return nil
	})}, nil)
	s := h.run(startOf("a"))
	s.notStored(s.batch(), "disk_full")
	var ns *sdk.NotStored
	if err := <-got; !errors.As(err, &ns) || ns.Reason != sdk.DiskFull || ns.RetryAfter != time.Second || ns.Reason.Busy() {
		t.Errorf("error %v", err)
	}
}

func TestStoreSendsABatchAgainUnderItsNumber(t *testing.T) {
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		_, err := s.Store(ctx, sdk.Batch{Events: []sdk.Event{sdk.Event(`{}`)}, Checkpoint: []byte("c")})
		return err
	})}, nil)
	s := h.run(startOf("a"))
	first := s.batch()
	s.notStored(first, "journal_behind")
	again := s.batch()
	if again.Seq != first.Seq || string(again.Checkpoint) != "c" {
		t.Errorf("sent again as %v, first as %v", again, first)
	}
	s.stored(again)
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("stream ended with %v", err)
	}
}

func TestAnEmitBeyondTheWindowWaits(t *testing.T) {
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := s.Emit(ctx, sdk.Batch{Events: []sdk.Event{sdk.Event(`{}`)}})
				done <- err
			}()
		}
		return errors.Join(<-done, <-done, <-done)
	})}, nil)
	s := h.run(startOf("a"))
	first, second := s.batch(), s.batch()
	third := make(chan *wire.Batch, 1)
	go func() {
		m, err := s.Recv()
		if err == nil {
			third <- m.GetBatch()
		}
	}()
	select {
	case b := <-third:
		t.Fatalf("batch %d came beyond a window of 2", b.Seq)
	case <-time.After(50 * time.Millisecond):
	}
	s.stored(first)
	b := <-third
	s.stored(second)
	s.stored(b)
}

func TestABatchBeyondTheLimitsIsNotSent(t *testing.T) {
	got := make(chan error, 2)
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		_, err := s.Emit(ctx, sdk.Batch{Events: make([]sdk.Event, 4)})
		got <- err
		_, err = s.Emit(ctx, sdk.Batch{Checkpoint: make([]byte, wire.MaxCheckpoint+1)})
		got <- err
		return nil
	})}, nil)
	h.run(startOf("a"))
	var large *sdk.TooLarge
	for _, allowed := range []int{3, wire.MaxCheckpoint} {
		if err := <-got; !errors.As(err, &large) || large.Allowed != allowed {
			t.Errorf("error %v", err)
		}
	}
}

func TestDrainWaitsForTheLastVerdict(t *testing.T) {
	emitting := make(chan struct{})
	h := startPlugin(t, sdk.Plugin{Source: runFunc(func(ctx context.Context, s *sdk.Stream) error {
		go func() { // outlives Run, as the request of an HTTP source may
			close(emitting)
			_, _ = s.Emit(context.WithoutCancel(ctx), sdk.Batch{Events: []sdk.Event{sdk.Event(`{}`)}})
		}()
		<-emitting
		<-s.Draining()
		return nil
	})}, nil)
	s := h.run(startOf("a"))
	b := s.batch()
	s.drain()
	s.stored(b)
	m, err := s.Recv()
	if err != nil || m.GetDrained() == nil {
		t.Errorf("got %v, %v, want Drained", m, err)
	}
}

func TestPollGoesOnFromItsCheckpointInBatchesThatFit(t *testing.T) {
	h := startPlugin(t, sdk.Plugin{Source: sdk.Poll(time.Hour, func(ctx context.Context, p *sdk.Poller) error {
		n, err := strconv.Atoi(string(p.Checkpoint()))
		if err != nil {
			return err
		}
		var events []sdk.Event
		for i := range 7 {
			events = append(events, sdk.Event(strconv.Itoa(n+i)))
		}
		_, err = p.Emit(ctx, []byte(strconv.Itoa(n+7)), events...)
		return err
	})}, nil)
	start := startOf("a")
	start.Checkpoint = []byte("40")
	s := h.run(start)
	var got []string
	for _, want := range []struct {
		events     int
		checkpoint string
	}{{3, ""}, {3, ""}, {1, "47"}} {
		b := s.batch()
		if len(b.Events) != want.events || string(b.Checkpoint) != want.checkpoint {
			t.Errorf("batch of %d with checkpoint %q, want %v", len(b.Events), b.Checkpoint, want)
		}
		for _, e := range b.Events {
			got = append(got, string(e))
		}
		s.stored(b)
	}
	if want := []string{"40", "41", "42", "43", "44", "45", "46"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	s.drain()
	for {
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetDrained() != nil {
			return
		}
	}
}
