package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// publishTimeout bounds the wait for an acknowledgement. The server says
	// nothing at all where its storage has failed; usually its log tells first.
	publishTimeout = 10 * time.Second
	requestTimeout = 30 * time.Second
	startTimeout   = 30 * time.Second
	stopTimeout    = 10 * time.Second

	// never keeps JetStream from syncing, and from rewriting block files, by
	// itself: a block that it compacts is renamed into place before it is synced.
	never = 10 * 365 * 24 * time.Hour

	// nativeDuplicates is the least that JetStream takes. Its own deduplication
	// is not used, and at each start it reads all messages of that time.
	nativeDuplicates = 100 * time.Millisecond

	jsErrMsgNotFound = 404
)

// store is one run of the embedded NATS server. After a storage error it is of
// no more use: it is stopped and another is started on the same directory.
type store struct {
	dir    string // the server's own directory
	server *server.Server
	pub    *nats.Conn // appends
	get    *nats.Conn // reads: the server loads a block of a file on the reader's connection
	js     jetstream.JetStream

	failOnce sync.Once
	failed   chan struct{} // closed when the server has reported an error
	cause    error         // set before failed is closed
}

// startStore starts the server and recovers its streams, which takes as long as
// reading every block file where the last stop was not a clean one.
func startStore(dir string, maxPayload int, log *slog.Logger) (*store, error) {
	s := &store{dir: dir, failed: make(chan struct{})}
	srv, err := server.NewServer(&server.Options{
		ServerName:         "journal",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           dir,
		SyncInterval:       never,
		JetStreamMaxStore:  math.MaxInt64 / 2, // the journal watches the disk itself
		JetStreamMaxMemory: 1 << 20,
		MaxPayload:         int32(maxPayload),
		MaxPending:         4 * int64(maxPayload),

		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	srv.SetLoggerV2(&serverLog{store: s, log: log}, false, false, false)
	s.server = srv
	srv.Start()
	if err := s.connect(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *store) connect() error {
	if !s.server.ReadyForConnections(startTimeout) {
		return s.because(errors.New("nats is not ready"))
	}
	if !s.server.JetStreamEnabled() {
		return s.because(errors.New("nats: its storage did not start"))
	}
	var err error
	for _, conn := range []**nats.Conn{&s.pub, &s.get} {
		if *conn, err = nats.Connect("", nats.InProcessServer(s.server), nats.NoReconnect(), nats.Name("journal")); err != nil {
			return fmt.Errorf("connect to nats: %w", err)
		}
	}
	s.js, err = jetstream.New(s.pub)
	return err
}

// stop ends the server, within stopTimeout even where its disk hangs.
func (s *store) stop() {
	for _, conn := range []*nats.Conn{s.pub, s.get} {
		if conn != nil {
			conn.Close()
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}()
	select {
	case <-done:
	case <-time.After(stopTimeout):
	}
}

// fail marks the store as broken. The first cause counts.
func (s *store) fail(cause error) {
	s.failOnce.Do(func() {
		s.cause = cause
		close(s.failed)
	})
}

// because prefers what the server reported over err, which is its consequence.
func (s *store) because(err error) error {
	select {
	case <-s.failed:
		return s.cause
	default:
		return err
	}
}

// streamConfig describes a stream.
type streamConfig struct {
	name       string // as fileName writes it
	maxBytes   int64  // 0: no bound
	maxAge     time.Duration
	discardNew bool // at maxBytes refuse what is new, rather than drop what is old
}

// ensure makes a stream exist with this configuration.
func (s *store) ensure(ctx context.Context, c streamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cfg := jetstream.StreamConfig{
		Name:        c.name,
		Subjects:    []string{c.name},
		MaxBytes:    c.maxBytes,
		MaxAge:      c.maxAge,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
		Duplicates:  nativeDuplicates,
	}
	if c.maxBytes == 0 {
		cfg.MaxBytes = -1
	}
	if c.discardNew {
		cfg.Discard = jetstream.DiscardNew
	}
	if _, err := s.js.CreateOrUpdateStream(ctx, cfg); err != nil {
		return s.because(fmt.Errorf("nats stream %s: %w", c.name, err))
	}
	return nil
}

// streamState is what the server says of a stream.
type streamState struct {
	first, last uint64
	messages    uint64
	bytes       uint64
	firstTime   time.Time
}

func (s *store) state(ctx context.Context, name string) (streamState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return streamState{}, s.because(fmt.Errorf("nats stream %s: %w", name, err))
	}
	st := stream.CachedInfo().State
	return streamState{st.FirstSeq, st.LastSeq, st.Msgs, st.Bytes, st.FirstTime}, nil
}

// errFull is the error of a stream that refuses what is new.
var errFull = errors.New("the log has reached its limit")

// publisher appends to streams, one message at a time.
type publisher struct {
	store *store
	inbox string
	acks  chan *nats.Msg
}

func (s *store) publisher() (*publisher, error) {
	p := &publisher{store: s, inbox: s.pub.NewInbox(), acks: make(chan *nats.Msg, 1)}
	if _, err := s.pub.ChanSubscribe(p.inbox, p.acks); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return p, nil
}

// publish stores a message and returns its sequence number. After any error but
// errFull nobody knows whether it was stored, and the store is of no more use.
func (p *publisher) publish(name string, data []byte) (uint64, error) {
	if err := p.store.pub.PublishRequest(name, p.inbox, data); err != nil {
		return 0, p.store.because(fmt.Errorf("store a frame in %s: %w", name, err))
	}
	timeout := time.NewTimer(publishTimeout)
	defer timeout.Stop()
	select {
	case msg := <-p.acks:
		return readAck(name, msg)
	case <-p.store.failed:
		return 0, fmt.Errorf("store a frame in %s: %w", name, p.store.cause)
	case <-timeout.C:
		return 0, fmt.Errorf("store a frame in %s: no acknowledgement within %s", name, publishTimeout)
	}
}

func readAck(name string, msg *nats.Msg) (uint64, error) {
	if msg == nil {
		return 0, fmt.Errorf("store a frame in %s: the connection is closed", name)
	}
	var ack struct {
		Seq   uint64
		Error *jetstream.APIError
	}
	switch err := json.Unmarshal(msg.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("store a frame in %s: nats answers %q %v", name, msg.Data, msg.Header)
	case ack.Error == nil:
		return ack.Seq, nil
	case ack.Error.Description == server.ErrMaxBytes.Error():
		return 0, errFull
	}
	return 0, fmt.Errorf("store a frame in %s: %w", name, ack.Error)
}

// fetch returns the first message at or after seq. Where there is none, or it
// cannot be read, found is false.
func (s *store) fetch(ctx context.Context, name string, seq uint64) (data []byte, at uint64, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, seq, name)
	msg, err := s.get.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+name, request)
	if err != nil {
		return nil, 0, false, s.because(fmt.Errorf("read frame %d of %s: %w", seq, name, err))
	}
	if status := msg.Header.Get("Status"); status != "" {
		if status == strconv.Itoa(jsErrMsgNotFound) {
			return nil, 0, false, nil
		}
		return nil, 0, false, fmt.Errorf("read frame %d of %s: nats answers %s %s", seq, name, status, msg.Header.Get("Description"))
	}
	at, err = strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, 0, false, fmt.Errorf("read frame %d of %s: %w", seq, name, err)
	}
	return msg.Data, at, true, nil
}

// blocks is the directory of a stream's block files.
func (s *store) blocks(name string) string {
	return filepath.Join(s.dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", name, "msgs")
}
