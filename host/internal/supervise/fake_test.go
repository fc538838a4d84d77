package supervise_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// The test binary is also the plugin under test: with this variable set it
// behaves, or misbehaves, as its value says.
const envFake = "FAKE_PLUGIN"

func TestMain(m *testing.M) {
	if mode := os.Getenv(envFake); mode != "" {
		runFake(mode)
		return
	}
	if dir := os.Getenv(envFakeHost); dir != "" {
		runFakeHost(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// runFake is the main function of the fake plugin.
func runFake(mode string) {
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "the database file is gone")
		os.Exit(3)
	case "hang":
		waitForEver()
	case "noise":
		fmt.Println("Welcome to my plugin!")
		waitForEver()
	case "closes stdout":
		os.Stdout.Close()
		waitForEver()
	case "core version":
		fmt.Println("7|1|unix|/nowhere|grpc|")
		waitForEver()
	case "no server":
		// A handshake line, and nobody who accepts on the socket.
		l, err := net.Listen("unix", os.Getenv("PLUGIN_UNIX_SOCKET_DIR")+"/s")
		if err != nil {
			panic(err)
		}
		fmt.Printf("1|1|unix|%s|grpc|\n", l.Addr())
		waitForEver()
	case "old":
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig:  wire.Handshake,
			VersionedPlugins: map[int]plugin.PluginSet{99: wire.Plugins()[wire.ProtocolVersion]},
			GRPCServer:       plugin.DefaultGRPCServer,
		})
	case "deaf":
		// It is not impressed by the lifeline.
		serveFake(mode)
	default:
		go exitWithHost()
		serveFake(mode)
	}
}

func waitForEver() {
	exitWithHost()
}

// exitWithHost exits at the end of the lifeline.
func exitWithHost() {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvLifeline))
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
	os.Exit(0)
}

// inheritedNonblock tells whether the listener was non-blocking when the process
// began. It is set before anything else.
var inheritedNonblock bool

func serveFake(mode string) {
	if fd, err := strconv.Atoi(os.Getenv(wire.EnvListeners)); err == nil {
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		inheritedNonblock = flags&unix.O_NONBLOCK != 0
		syscall.CloseOnExec(fd)
	}
	f := &fake{mode: mode, streams: map[string]*fakeStream{}, serving: make(chan struct{})}
	if mode == "exits after a while" {
		time.AfterFunc(100*time.Millisecond, func() { os.Exit(4) })
	}
	wire.Serve(f)
}

// fake is a source plugin. With a listener it is an HTTP server too.
type fake struct {
	wire.UnimplementedSourceServer
	mode string

	mu         sync.Mutex
	served     *wire.ServeRequest
	serves     int
	streams    map[string]*fakeStream
	serving    chan struct{} // closed by the first Serve
	generation atomic.Uint64
	blocked    atomic.Bool
}

// fakeConfig is the config of a fake's source.
type fakeConfig struct {
	Batches    int    `json:"batches"`     // sent at once, without waiting for verdicts
	EventBytes int    `json:"event_bytes"` // of each event; 0: a short one
	Checkpoint int    `json:"checkpoint"`  // bytes of each; 0: the number of batches
	FirstSeq   uint64 `json:"first_seq"`   // 0: 1
	Fail       string `json:"fail"`        // the error of Run
	FailTimes  int    `json:"fail_times"`  // how often; 0: always
	NoStarted  bool   `json:"no_started"`  // sends a batch first
	Group      uint32 `json:"group"`       // events in the group of each batch of one event; 0: no group
	Token      bool   `json:"token"`       // asks for a token
	Resend     bool   `json:"resend"`      // sends what was not stored again
	Silent     bool   `json:"silent"`      // says nothing after Started
	Deaf       bool   `json:"deaf"`        // sends its batches and hears nothing
	Syncs      string `json:"syncs"`       // how it behaves with syncs; empty: it has none
	SilentOnce bool   `json:"silent_once"` // says nothing after Started in its first stream
}

func (f *fake) Describe(ctx context.Context, _ *wire.DescribeRequest) (*wire.Description, error) {
	switch f.mode {
	case "describe fails":
		return nil, status.Error(codes.Internal, "no idea what I am")
	case "describe hangs":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d := &wire.Description{Name: "fake", Version: "1.2.3", Listens: os.Getenv(wire.EnvListeners) != ""}
	switch f.mode {
	case "needs listener":
		d.Listens = true
	case "no listener":
		d.Listens = false
	case "consent":
		d.Consent = "salesforce"
	}
	if ms, err := strconv.Atoi(os.Getenv("FAKE_SILENCE_MS")); err == nil {
		d.MaxSilenceMs = uint32(ms)
	}
	return d, nil
}

func (f *fake) Check(_ context.Context, r *wire.CheckRequest) (*wire.CheckResponse, error) {
	if r.GetAccessToken() == "" {
		return &wire.CheckResponse{Problems: []*wire.Problem{{Code: "no_token", Message: "no token for " + r.GetSource().GetSource()}}}, nil
	}
	return &wire.CheckResponse{}, nil
}

func (f *fake) Serve(_ context.Context, r *wire.ServeRequest) (*wire.ServeResponse, error) {
	f.mu.Lock()
	first := f.served == nil
	f.served = r
	f.serves++
	f.mu.Unlock()
	f.generation.Store(r.GetGeneration())
	if f.mode == "another generation" {
		f.generation.Store(1)
	}
	if first {
		close(f.serving)
		if fd, err := strconv.Atoi(os.Getenv(wire.EnvListeners)); err == nil {
			go f.serveHTTP(fd)
		}
	}
	return &wire.ServeResponse{}, nil
}

// fakeStream is one Run stream in the fake.
type fakeStream struct {
	rpc   wire.Source_RunServer
	syncs string

	mu       sync.Mutex
	seq      uint64
	verdicts map[uint64]chan *wire.Verdict
	order    []uint64 // batches without a verdict, as sent
}

func (s *fakeStream) emit(ctx context.Context, b *wire.Batch) (*wire.Verdict, error) {
	s.mu.Lock()
	if b.Seq == 0 {
		s.seq++
		b.Seq = s.seq
	}
	answer := make(chan *wire.Verdict, 1)
	s.verdicts[b.Seq] = answer
	s.order = append(s.order, b.Seq)
	err := s.rpc.Send(&wire.FromSource{Message: &wire.FromSource_Batch{Batch: b}})
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.rpc.Context().Done():
		return nil, s.rpc.Context().Err()
	}
}

func (s *fakeStream) say(m *wire.FromSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.rpc.Send(m)
}

func (f *fake) Run(rpc wire.Source_RunServer) error {
	m, err := rpc.Recv()
	if err != nil {
		return err
	}
	start := m.GetStart()
	var config fakeConfig
	if raw := start.GetSource().GetConfig(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &config); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	s := &fakeStream{rpc: rpc, verdicts: map[uint64]chan *wire.Verdict{}, syncs: config.Syncs}
	name := start.GetSource().GetSource()
	f.mu.Lock()
	before := f.streams[name+" streams"]
	if before == nil {
		before = &fakeStream{}
		f.streams[name+" streams"] = before
	}
	before.seq++
	nth := int(before.seq)
	f.mu.Unlock()
	if config.Fail != "" && (config.FailTimes == 0 || nth <= config.FailTimes) {
		return errors.New(config.Fail)
	}
	if f.mode == "never starts" {
		<-rpc.Context().Done()
		return rpc.Context().Err()
	}
	f.mu.Lock()
	f.streams[name] = s
	f.mu.Unlock()
	if !config.NoStarted {
		s.say(&wire.FromSource{Message: &wire.FromSource_Started{Started: &wire.Started{}}})
	}
	if config.Silent || config.SilentOnce && nth == 1 {
		<-rpc.Context().Done()
		return rpc.Context().Err()
	}
	if config.Deaf {
		for range config.Batches {
			s.seq++
			s.say(&wire.FromSource{Message: &wire.FromSource_Batch{Batch: &wire.Batch{Seq: s.seq, Events: [][]byte{[]byte("{}")}}}})
		}
		<-rpc.Context().Done()
		return rpc.Context().Err()
	}
	ctx, cancel := context.WithCancel(rpc.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.work(ctx, config, start.GetCheckpoint()) })
	return f.listen(s)
}

// listen takes what the host says until the stream ends.
func (f *fake) listen(s *fakeStream) error {
	draining, drained := false, false
	for {
		m, err := s.rpc.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := m.Message.(type) {
		case *wire.ToSource_Verdict:
			s.mu.Lock()
			if s.order[0] != m.Verdict.GetBatch() {
				panic(fmt.Sprintf("verdict on %d, but %v were sent", m.Verdict.GetBatch(), s.order))
			}
			s.order = s.order[1:]
			answer := s.verdicts[m.Verdict.GetBatch()]
			delete(s.verdicts, m.Verdict.GetBatch())
			s.mu.Unlock()
			answer <- m.Verdict
		case *wire.ToSource_Token:
			s.say(&wire.FromSource{Message: &wire.FromSource_Health{Health: &wire.Health{
				Problems: []*wire.Problem{{Code: "token", Message: m.Token.GetAccessToken() + m.Token.GetError()}},
			}}})
		case *wire.ToSource_SyncCommand:
			s.command(m.SyncCommand)
		case *wire.ToSource_Drain:
			draining = true
		}
		switch {
		case !draining || drained || f.mode == "ignores drain":
		case s.waits() && f.mode != "drains early":
		default:
			drained = true
			s.say(&wire.FromSource{Message: &wire.FromSource_Drained{Drained: &wire.Drained{}}})
		}
	}
}

// beat is how often an idle fake stream says something.
const beat = 20 * time.Millisecond

// work emits what the config asks for and then shows that it lives.
func (s *fakeStream) work(ctx context.Context, c fakeConfig, checkpoint []byte) {
	if c.Token {
		s.say(&wire.FromSource{Message: &wire.FromSource_TokenRequest{TokenRequest: &wire.TokenRequest{}}})
	}
	s.tellOfSyncs()
	done, _ := strconv.Atoi(string(checkpoint))
	var wg sync.WaitGroup
	for i := done; i < c.Batches; i++ {
		event := []byte(fmt.Sprintf(`{"n":%d}`, i+1))
		if c.EventBytes > 0 {
			event = make([]byte, c.EventBytes)
		}
		b := &wire.Batch{Events: [][]byte{event}, Checkpoint: []byte(strconv.Itoa(i + 1)), Seq: c.FirstSeq}
		if c.Checkpoint > 0 {
			b.Checkpoint = make([]byte, c.Checkpoint)
		}
		if c.Group > 0 {
			b.Groups = []*wire.Group{{Count: c.Group}}
		}
		wg.Go(func() {
			for {
				v, err := s.emit(ctx, b)
				if err != nil || v.GetNotStored() == nil || !c.Resend {
					return
				}
			}
		})
		// In order: the next is emitted when this one was sent.
		for s.sent() < uint64(i-done+1) && ctx.Err() == nil && c.FirstSeq == 0 {
			time.Sleep(50 * time.Microsecond)
		}
	}
	wg.Wait()
	for n := uint64(1); ; n++ { // silent as long as a verdict is missing
		s.say(&wire.FromSource{Message: &wire.FromSource_Progress{Progress: &wire.Progress{Stream: "beat", Done: n}}})
		select {
		case <-ctx.Done():
			return
		case <-time.After(beat):
		}
	}
}

// waits tells whether a verdict is missing.
func (s *fakeStream) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order) > 0
}

func (s *fakeStream) sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}
