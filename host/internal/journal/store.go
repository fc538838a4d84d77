package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second

	// never keeps JetStream from syncing, and from rewriting block files, by
	// itself: a block that it compacts is renamed into place before it is synced.
	never = 10 * 365 * 24 * time.Hour

	// maxFetches is how many frames may be on their way to readers at a time.
	maxFetches = 4
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

// broken reports whether the server has reported an error or is stopped.
func (s *store) broken() bool {
	select {
	case <-s.failed:
		return true
	default:
		return s.get.IsClosed() || s.pub.IsClosed()
	}
}
