package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// inheritedListener returns the socket that the host bound, or nil where it
// bound none.
func inheritedListener() (net.Listener, error) {
	fds := os.Getenv(wire.EnvListeners)
	if fds == "" {
		return nil, nil
	}
	first, _, _ := strings.Cut(fds, ",")
	fd, err := strconv.Atoi(first)
	if err != nil || fd < wire.FirstFD {
		return nil, fmt.Errorf("%s=%q: want descriptor numbers from %d", wire.EnvListeners, fds, wire.FirstFD)
	}
	// A child of the plugin must not hold the socket after the plugin's end.
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close() // FileListener has a copy of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listener on descriptor %d: %w", fd, err)
	}
	return l, nil
}

// gatedListener accepts only while it is open. Closed, it leaves connections in
// the socket's backlog, where the next process finds them.
type gatedListener struct {
	net.Listener
	certificates

	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
	done   chan struct{}
	once   sync.Once
}

func newGatedListener(l net.Listener) *gatedListener {
	return &gatedListener{Listener: l, opened: make(chan struct{}), done: make(chan struct{})}
}

func (g *gatedListener) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		select {
		case <-opened:
		case <-g.done:
			return nil, net.ErrClosed
		}
		c, err := g.Listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if g.has() {
			return tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.get}), nil
		}
		return c, nil
	}
}

func (g *gatedListener) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		if !open {
			g.opened = make(chan struct{})
			g.deadline(time.Unix(1, 0)) // ends the Accept that waits
		}
	default:
		if open {
			g.deadline(time.Time{})
			close(g.opened)
		}
	}
}

func (g *gatedListener) deadline(t time.Time) {
	if l, ok := g.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(t)
	}
}

// Close closes this process's copy of the socket and leaves the socket itself.
func (g *gatedListener) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Listener.Close()
}

// certificates holds the certificate that the host sends, and sends again when
// its files change.
type certificates struct {
	certMu sync.RWMutex
	cert   *tls.Certificate
}

func (c *certificates) use(m *wire.Certificate) error {
	if m == nil {
		return nil
	}
	cert, err := tls.X509KeyPair(m.CertPem, m.KeyPem)
	if err != nil {
		return fmt.Errorf("listener certificate: %w", err)
	}
	c.certMu.Lock()
	c.cert = &cert
	c.certMu.Unlock()
	return nil
}

func (c *certificates) has() bool {
	c.certMu.RLock()
	defer c.certMu.RUnlock()
	return c.cert != nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.certMu.RLock()
	defer c.certMu.RUnlock()
	return c.cert, nil
}

// followHost ends the process when the host has ended: the lifeline's other
// end is the host's. Children of the plugin go with it.
func followHost(ctx context.Context) {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvLifeline))
	if err != nil {
		return
	}
	syscall.CloseOnExec(fd)
	_ = syscall.SetNonblock(fd, true) // so that Close ends the Read below
	f := os.NewFile(uintptr(fd), "lifeline")
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer stop()
	var b [1]byte
	_, _ = f.Read(b[:])
	if ctx.Err() != nil {
		return
	}
	if pgid, err := syscall.Getpgid(0); err == nil && pgid == os.Getpid() {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	os.Exit(1) //nolint:gocritic // nothing is left to stop
}
