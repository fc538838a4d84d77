package sdk_test

import (
	"context"
	"net"
	"testing"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// fakeHost is the host's end of the protocol, spoken by hand.
type fakeHost struct {
	t *testing.T
	wire.SourceClient
}

// startPlugin runs a plugin in this process. l is the socket that the host
// bound; nil: none.
func startPlugin(t *testing.T, p sdk.Plugin, l net.Listener) *fakeHost {
	t.Helper()
	server, listen, err := sdk.NewServer(p, l)
	if err != nil {
		t.Fatal(err)
	}
	pipe := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	wire.RegisterSourceServer(g, server)
	ctx, cancel := context.WithCancel(context.Background())
	served, listened := make(chan struct{}), make(chan struct{})
	go func() { defer close(served); _ = g.Serve(pipe) }()
	go func() { defer close(listened); listen(ctx) }()
	conn, err := grpc.NewClient("passthrough:pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-listened
		_ = conn.Close()
		g.Stop()
		<-served
	})
	return &fakeHost{t: t, SourceClient: wire.NewSourceClient(conn)}
}

// stream is one Run as the host sees it.
type stream struct {
	t *testing.T
	wire.Source_RunClient
	cancel context.CancelFunc
}

func (h *fakeHost) run(start *wire.Start) *stream {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	run, err := h.Run(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	s := &stream{t: h.t, Source_RunClient: run, cancel: cancel}
	s.say(&wire.ToSource{Message: &wire.ToSource_Start{Start: start}})
	s.started()
	return s
}

func (s *stream) say(m *wire.ToSource) {
	s.t.Helper()
	if err := s.Send(m); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) started() {
	s.t.Helper()
	m, err := s.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	if m.GetStarted() == nil {
		s.t.Fatalf("first message of the source: %v, want Started", m)
	}
}

// batch returns the next batch, passing over signs of life.
func (s *stream) batch() *wire.Batch {
	s.t.Helper()
	for {
		m, err := s.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		if b := m.GetBatch(); b != nil {
			return b
		}
		if m.GetHealth() == nil && m.GetProgress() == nil {
			s.t.Fatalf("got %v, want a batch", m)
		}
	}
}

func (s *stream) stored(b *wire.Batch, violations ...*wire.Violation) {
	s.t.Helper()
	s.say(&wire.ToSource{Message: &wire.ToSource_Verdict{Verdict: &wire.Verdict{
		Batch: b.Seq, Outcome: &wire.Verdict_Stored{Stored: &wire.Stored{Violations: violations}},
	}}})
}

func (s *stream) notStored(b *wire.Batch, reason string) {
	s.t.Helper()
	s.say(&wire.ToSource{Message: &wire.ToSource_Verdict{Verdict: &wire.Verdict{
		Batch: b.Seq, Outcome: &wire.Verdict_NotStored{NotStored: &wire.NotStored{Reason: reason, RetryAfterSeconds: 1}},
	}}})
}

func (s *stream) drain() {
	s.t.Helper()
	s.say(&wire.ToSource{Message: &wire.ToSource_Drain{Drain: &wire.Drain{DeadlineMs: 1000}}})
}

func startOf(source string, keys ...string) *wire.Start {
	return &wire.Start{Source: &wire.SourceConfig{Source: source, Keys: keys}, Generation: 1,
		Limits: &wire.Limits{BatchEvents: 3, BatchBytes: 1 << 20, Window: 2, Syncs: wire.MaxSyncs}}
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
