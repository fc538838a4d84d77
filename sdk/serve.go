package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	defaultMaxSilence = time.Minute
	defaultWindow     = 64
)

// Serve runs the plugin until its host ends it. It is all that main does. The
// plugin prints nothing on standard output: the host reads it.
func Serve(p Plugin) {
	s, err := newServer(p)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { followHost(ctx) })
	running.Go(func() { s.listen(ctx) })
	wire.Serve(s)
	cancel()
	running.Wait()
}

// server is the plugin's end of the protocol.
type server struct {
	wire.UnimplementedSourceServer
	plugin  Plugin
	log     *slog.Logger
	sources *Sources
	gate    *gatedListener // nil: the host bound no socket
}

func newServer(p Plugin) (*server, error) {
	if p.MaxSilence <= 0 {
		p.MaxSilence = defaultMaxSilence
	}
	l, err := inheritedListener()
	if err != nil {
		return nil, err
	}
	log := newLog(os.Stderr)
	s := &server{plugin: p, log: log, sources: newSources(p, log)}
	if l != nil {
		s.gate = newGatedListener(l)
	}
	s.sources.changed = s.sourcesChanged
	return s, nil
}

// sourcesChanged opens the socket while there is something to serve, and leaves
// it to the next process once every stream finishes.
func (s *server) sourcesChanged() {
	if s.gate == nil {
		return
	}
	select {
	case <-s.sources.serving:
		s.gate.set(!s.sources.isLeaving())
	default:
	}
}

func (s *server) listen(ctx context.Context) {
	listener, ok := s.plugin.Source.(Listener)
	if !ok || s.gate == nil {
		return
	}
	defer func() { _ = s.gate.Close() }()
	select {
	case <-s.sources.serving:
	case <-ctx.Done():
		return
	}
	if err := listener.Listen(ctx, s.gate, s.sources); ctx.Err() == nil {
		// Without its listener the process does no work. The host starts
		// another and shows the line below.
		s.log.Error("listener ended", "err", err)
		os.Exit(1) //nolint:gocritic // the process's end closes the gate
	}
}

func (s *server) Describe(context.Context, *wire.DescribeRequest) (*wire.Description, error) {
	_, listens := s.plugin.Source.(Listener)
	d := &wire.Description{
		Name: s.plugin.Name, Version: s.plugin.Version,
		ConfigSchema: s.plugin.ConfigSchema, PluginSchema: s.plugin.PluginSchema,
		Listens: listens, Consent: s.plugin.Consent,
		MaxSilenceMs: uint32(s.plugin.MaxSilence.Milliseconds()),
	}
	for _, e := range s.plugin.Events {
		d.Events = append(d.Events, &wire.EventSchema{Type: e.Type, Event: e.Event, Schema: e.Schema})
	}
	return d, nil
}

func (s *server) Check(ctx context.Context, m *wire.CheckRequest) (*wire.CheckResponse, error) {
	checker, ok := s.plugin.Source.(Checker)
	if !ok {
		return &wire.CheckResponse{}, nil
	}
	settings := settingsOf(m.Source)
	settings.Token = Token{AccessToken: m.AccessToken, InstanceURL: m.InstanceUrl}
	problems := problemsToWire(checker.Check(ctx, settings))
	return &wire.CheckResponse{Problems: problems, Samples: settings.samples}, nil
}

func (s *server) Discover(ctx context.Context, m *wire.DiscoverRequest) (*wire.DiscoverResponse, error) {
	discoverer, ok := s.plugin.Source.(Discoverer)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this plugin has nothing to discover")
	}
	settings := settingsOf(m.Source)
	settings.Token = Token{AccessToken: m.AccessToken, InstanceURL: m.InstanceUrl}
	settings.Stream = m.Stream
	streams, err := discoverer.Discover(ctx, settings)
	if err != nil {
		return nil, err
	}
	out := &wire.DiscoverResponse{}
	for _, st := range streams {
		out.Streams = append(out.Streams, &wire.StreamInfo{Name: st.Name, Title: st.Title, Schema: st.Schema})
	}
	return out, nil
}

func (s *server) Serve(_ context.Context, m *wire.ServeRequest) (*wire.ServeResponse, error) {
	if s.gate != nil {
		if err := s.gate.use(m.Certificate); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	s.sources.serve(m)
	return &wire.ServeResponse{}, nil
}

func (s *server) Run(conn wire.Source_RunServer) error {
	first, err := conn.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return status.Error(codes.InvalidArgument, "the first message of a stream must be Start")
	}
	stream := s.newStream(start, conn)
	defer close(stream.ended)
	if err := stream.say(&wire.FromSource{Message: &wire.FromSource_Started{Started: &wire.Started{}}}); err != nil {
		return err
	}
	name := start.GetSource().GetSource()
	s.sources.add(name, stream)
	defer s.sources.remove(name, stream)

	// The call that hears the host returns when this one does: gRPC ends
	// conn's context then.
	go func() {
		for {
			m, err := conn.Recv()
			if err != nil {
				return
			}
			stream.hear(m)
			if m.GetDrain() != nil {
				s.sources.drain()
			}
		}
	}()
	err = stream.run(conn.Context(), s.plugin.Source)
	switch {
	case err != nil:
		return status.Error(codes.Unknown, err.Error())
	case stream.isDraining():
		return stream.drained(conn.Context())
	}
	return nil
}

func (s *server) newStream(start *wire.Start, conn wire.Source_RunServer) *Stream {
	l := start.GetLimits()
	window := int(l.GetWindow())
	if window == 0 {
		window = defaultWindow
	}
	stream := &Stream{
		checkpoint: start.GetCheckpoint(),
		limits: Limits{
			EventBytes: int(l.GetEventBytes()), BatchBytes: int(l.GetBatchBytes()),
			BatchEvents: int(l.GetBatchEvents()), Window: window,
		},
		log:        s.log.With("source", start.GetSource().GetSource()),
		maxSilence: s.plugin.MaxSilence,
		draining:   make(chan struct{}),
		ended:      make(chan struct{}),
		window:     make(chan struct{}, window),
		commands:   make(chan *SyncCommand, wire.MaxSyncCommands),
		send:       conn.Send,
		verdicts:   map[uint64]chan *wire.Verdict{},
		updated:    make(chan struct{}),
	}
	stream.reports = newReports(l, stream.say)
	stream.settings.Store(settingsOf(start.GetSource()))
	return stream
}

// run calls Run, and sends what it tells of its syncs meanwhile.
func (s *Stream) run(ctx context.Context, source Source) error {
	returned := make(chan struct{})
	var reporting sync.WaitGroup
	reporting.Go(func() { s.reports.work(returned) })
	defer reporting.Wait()
	defer close(returned)
	return source.Run(ctx, s)
}

// drained waits until no batch is without its verdict and says so.
func (s *Stream) drained(ctx context.Context) error {
	for range cap(s.window) {
		select {
		case s.window <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.say(&wire.FromSource{Message: &wire.FromSource_Drained{Drained: &wire.Drained{}}})
}
