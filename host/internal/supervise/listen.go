package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Socket is a bound, listening socket that plugin processes serve, one after
// another. The host never accepts on it, and never asks for an *os.File of it:
// that would make the description blocking for the plugin that shares it.
type Socket struct {
	fd   int
	addr net.Addr
}

// Addr is the address to which the socket is bound.
func (s *Socket) Addr() net.Addr { return s.addr }

// Close gives the socket up. Connections that wait in its backlog are reset
// unless another process holds it too.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// bind listens on an address. One that is in use is tried again for a while: a
// predecessor may be about to leave it.
func bind(ctx context.Context, address string, patience time.Duration) (*Socket, error) {
	deadline := time.Now().Add(patience)
	for {
		s, err := listen(ctx, address)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func listen(ctx context.Context, address string) (*Socket, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// Closing Go's listener leaves the duplicate listening.
	defer l.Close()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	s := &Socket{addr: l.Addr()}
	var duperr error
	err = raw.Control(func(fd uintptr) {
		s.fd, duperr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, duperr); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return s, nil
}

// explainBind says why a plugin's address could not be bound.
func (s *Spec) explainBind(err error) *Error {
	hint := fmt.Sprintf("set plugins.%s.listen to host:port of an address of this machine", s.Name)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = fmt.Sprintf("another program listens on %s: end it (ss -ltnp shows it), or set plugins.%s.listen to another port", s.Listen, s.Name)
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 need privileges: use a higher port, CAP_NET_BIND_SERVICE, or a systemd socket"
	}
	e := s.fault(CodeListen, fmt.Sprintf("listen: %v", err), hint)
	e.Err = err
	return e
}

// firstSystemd is the first descriptor that systemd passes.
const firstSystemd = 3

// SystemdSockets takes over the sockets that systemd offers to this process, by
// the plugin names that FileDescriptorName= in the socket units gives them. It
// unsets the variables, so that it is done once.
func SystemdSockets() (map[event.PluginID]*Socket, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // it fails only on names that are none
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("systemd sockets: LISTEN_FDS=%q is no number", count)
	}
	list := strings.Split(names, ":")
	sockets := map[event.PluginID]*Socket{}
	for i := range n {
		fd := firstSystemd + i
		unix.CloseOnExec(fd)
		if i >= len(list) || list[i] == "" {
			return nil, fmt.Errorf("systemd sockets: descriptor %d has no name: set FileDescriptorName= to the plugin's name", fd)
		}
		if sockets[event.PluginID(list[i])] != nil {
			return nil, fmt.Errorf("systemd sockets: %s has more than one: give its unit one ListenStream=", list[i])
		}
		s, err := adopt(fd)
		if err != nil {
			return nil, fmt.Errorf("systemd sockets: %s: %w", list[i], err)
		}
		sockets[event.PluginID(list[i])] = s
	}
	return sockets, nil
}

// adopt makes a Socket of a listening descriptor.
func adopt(fd int) (*Socket, error) {
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return nil, errors.New("it is no listening socket: the unit needs ListenStream=")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("set non-blocking: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return &Socket{fd: fd, addr: &net.TCPAddr{IP: a.Addr[:], Port: a.Port}}, nil
	case *unix.SockaddrInet6:
		return &Socket{fd: fd, addr: &net.TCPAddr{IP: a.Addr[:], Port: a.Port}}, nil
	case *unix.SockaddrUnix:
		return &Socket{fd: fd, addr: &net.UnixAddr{Net: "unix", Name: a.Name}}, nil
	}
	return nil, errors.New("it is neither a TCP nor a unix socket")
}
