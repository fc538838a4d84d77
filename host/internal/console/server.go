package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Options are what a Server works with.
type Options struct {
	Host Host
	// Dir is data_dir, which belongs to this process.
	Dir string
	// Address is the listener's, host:port.
	Address string
	Log     *slog.Logger
}

// Server answers for a host.
type Server struct {
	dir    string
	log    *slog.Logger
	admin  endpoint
	public endpoint
}

// endpoint is a socket and what answers on it.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// CodeListen is the code of an address that cannot be had.
const CodeListen = "console_listen"

const (
	// headerTimeout is for a request's header, idleTimeout for the next request
	// on a connection.
	headerTimeout = 5 * time.Second
	idleTimeout   = time.Minute
	// publicTimeout is for a whole request to the listener, and for its answer.
	publicTimeout = 15 * time.Second
	maxHeader     = 16 << 10 // bytes
	// stopWithin is how long requests may take that are under way when the server
	// stops; tails end at once.
	stopWithin = 3 * time.Second
)

// Listen binds both sockets, so that a client waits from here on. The error is
// a config.Problem where the address cannot be had. It is followed by Run or
// Close.
func Listen(ctx context.Context, o Options) (*Server, error) {
	var c net.ListenConfig
	public, err := c.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, explainBind(o.Address, err)
	}
	admin, err := listenAdmin(ctx, o.Dir)
	if err != nil {
		public.Close()
		return nil, err
	}
	complaints := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	return &Server{
		dir: o.Dir, log: o.Log,
		admin: endpoint{admin, &http.Server{
			Handler:           adminHandler(o.Host, o.Log),
			ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: complaints,
		}},
		public: endpoint{public, &http.Server{
			Handler:           publicHandler(o.Host, o.Log),
			ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
			ReadTimeout: publicTimeout, WriteTimeout: publicTimeout,
			MaxHeaderBytes: maxHeader, ErrorLog: complaints,
		}},
	}, nil
}

func explainBind(address string, err error) error {
	p := config.Problem{Path: "console.listen", Code: CodeListen}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		p.What = address + " is taken by another program"
		p.Hint = "stop that program, or give another port"
	case errors.Is(err, syscall.EACCES):
		p.What = "this user may not listen on " + address
		p.Hint = "take a port from 1024 on"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		p.What = "this machine has no address " + address
		p.Hint = "listen on 127.0.0.1"
	default:
		p.What = fmt.Sprintf("cannot listen on %s: %v", address, err)
	}
	return p
}

// Address is where the listener is.
func (s *Server) Address() string { return s.public.listener.Addr().String() }

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	s.log.Info("console listens", "address", s.Address(), "admin", SocketPath(s.dir))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.admin.run(ctx) })
	g.Go(func() error { return s.public.run(ctx) })
	err := g.Wait()
	// The next host replaces a socket that is still there.
	_ = os.Remove(SocketPath(s.dir))
	return err
}

// Close gives the sockets back where Listen is not followed by Run.
func (s *Server) Close() error {
	return errors.Join(s.admin.listener.Close(), s.public.listener.Close(), os.Remove(SocketPath(s.dir)))
}

func (e endpoint) run(ctx context.Context) error {
	e.server.BaseContext = func(net.Listener) context.Context { return ctx }
	g, ended := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", e.listener.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ended.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if e.server.Shutdown(bounded) != nil {
			return e.server.Close()
		}
		return nil
	})
	return g.Wait()
}
