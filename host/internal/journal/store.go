package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	requestTimeout = 30 * time.Second
	startTimeout   = 30 * time.Second
	stopTimeout    = 10 * time.Second

	// never keeps JetStream from syncing, and from rewriting block files, by
	// itself: a block that it compacts is renamed into place before it is synced.
	never = 10 * 365 * 24 * time.Hour

	// nativeDuplicates is the least that JetStream takes. Its own deduplication
	// is not used, and at each start it reads all messages of that time.
	nativeDuplicates = 100 * time.Millisecond

	// maxFetches is how many frames may be on their way to readers at a time.
	maxFetches = 4

	notFound = "404"
)

// store is one run of the embedded NATS server. After a storage error it is of
// no more use: it is stopped and another is started on the same directory.
type store struct {
	dir    string // the server's own directory
	log    *slog.Logger
	server *server.Server
	pub    *nats.Conn // appends
	get    *nats.Conn // reads: the server loads a block of a file on the reader's connection
	js     jetstream.JetStream

	fetching chan struct{} // bounds the frames that are on their way to readers

	failOnce sync.Once
	failed   chan struct{} // closed when the server has reported an error
	cause    error         // set before failed is closed
	stopped  chan struct{} // closed when nothing of the server is left
	readErrs atomic.Int64  // blocks that could not be read
}

// startStore starts the server and recovers its streams, which takes as long as
// reading every block file where the last stop was not a clean one. On an error
// the store that it returns beside it, if any, was stopped.
func startStore(dir string, maxPayload int, log *slog.Logger) (*store, error) {
	s := &store{
		dir: dir, log: log, fetching: make(chan struct{}, maxFetches),
		failed: make(chan struct{}), stopped: make(chan struct{}),
	}
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
		MaxPending:         2 * maxFetches * int64(maxPayload),

		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	srv.SetLoggerV2(&serverLog{s}, false, false, false)
	s.server = srv
	srv.Start()
	if err := s.connect(); err != nil {
		s.stop()
		return s, err
	}
	return s, nil
}

func (s *store) connect() error {
	if err := s.because(nil); err != nil {
		return err
	}
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

// stop ends the server. Where its disk hangs, that may take forever: it gives
// up waiting after stopTimeout, and closes stopped whenever the server is gone.
func (s *store) stop() {
	go func() {
		defer close(s.stopped)
		for _, conn := range []*nats.Conn{s.pub, s.get} {
			if conn != nil {
				conn.Close()
			}
		}
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}()
	select {
	case <-s.stopped:
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

func (c streamConfig) jetstream() jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:        c.name,
		Subjects:    []string{c.name},
		MaxBytes:    -1,
		MaxAge:      c.maxAge,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
		Duplicates:  nativeDuplicates,
	}
	if c.maxBytes > 0 {
		cfg.MaxBytes = c.maxBytes
	}
	if c.discardNew {
		cfg.Discard = jetstream.DiscardNew
	}
	return cfg
}

// ensure makes a stream exist with this configuration.
func (s *store) ensure(ctx context.Context, c streamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	want := c.jetstream()
	stream, err := s.js.Stream(ctx, c.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if err := s.adopt(c.name); err != nil {
			return err
		}
		_, err = s.js.CreateStream(ctx, want)
	case err == nil:
		have := stream.CachedInfo().Config
		if have.MaxBytes != want.MaxBytes || have.MaxAge != want.MaxAge || have.Discard != want.Discard {
			_, err = s.js.UpdateStream(ctx, want)
		}
	}
	if err != nil {
		return s.because(fmt.Errorf("nats stream %s: %w", c.name, err))
	}
	return nil
}

// adopt clears the way for creating a stream whose directory is there although
// the server does not know it: a crash has left its metadata unreadable. The
// blocks are whole, and the new stream takes them over.
func (s *store) adopt(name string) error {
	dir := s.streamDir(name)
	for _, file := range metaFiles {
		switch err := os.Remove(filepath.Join(dir, file)); {
		case err == nil:
			s.log.Warn("journal metadata was unreadable and is written anew", "code", "journal_meta_repaired", "path", filepath.Join(dir, file))
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// exists reports whether a stream was ever created.
func (s *store) exists(name string) (bool, error) {
	_, err := os.Stat(s.streamDir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
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

// broken reports whether the server has reported an error or is stopped.
func (s *store) broken() bool {
	select {
	case <-s.failed:
		return true
	default:
		return s.get.IsClosed() || s.pub.IsClosed()
	}
}

// publisher appends to streams, one message at a time.
type publisher struct {
	store   *store
	timeout func() time.Duration
	inbox   string
	acks    chan *nats.Msg
}

// publisher makes a publisher that waits for an acknowledgement for as long as timeout says. The
// server says nothing at all where its storage has failed; its log mostly does.
func (s *store) publisher(timeout func() time.Duration) (*publisher, error) {
	p := &publisher{store: s, timeout: timeout, inbox: s.pub.NewInbox(), acks: make(chan *nats.Msg, 1)}
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
	patience := p.timeout()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case msg := <-p.acks:
		return readAck(name, msg)
	case <-p.store.failed:
		return 0, fmt.Errorf("store a frame in %s: %w", name, p.store.cause)
	case <-timeout.C:
		return 0, fmt.Errorf("store a frame in %s: no acknowledgement within %s", name, patience)
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
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return nil, 0, false, context.Cause(ctx)
	}
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, seq, name)
	msg, err := s.get.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+name, request)
	if err != nil {
		return nil, 0, false, s.because(fmt.Errorf("read frame %d of %s: %w", seq, name, err))
	}
	if status := msg.Header.Get("Status"); status != "" {
		if status == notFound {
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

// Where the server keeps its streams.
const (
	blocksDir  = "msgs"
	streamsDir = "streams"
)

var metaFiles = []string{"meta.inf", "meta.sum"}

func streamsIn(dir string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, streamsDir)
}

func (s *store) streamDir(name string) string { return filepath.Join(streamsIn(s.dir), name) }

// blocks is the directory of a stream's block files.
func (s *store) blocks(name string) string { return filepath.Join(s.streamDir(name), blocksDir) }
