package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// socketName is the admin API's socket in data_dir.
const socketName = "admin.sock"

// maxSocketPath is the longest path that every system takes for a socket.
const maxSocketPath = 103

// SocketPath is where the host of a data_dir answers.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// listenAdmin makes the socket, in place of one that an earlier host left. The
// caller has dir to itself.
func listenAdmin(ctx context.Context, dir string) (net.Listener, error) {
	path := SocketPath(dir)
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	var l *net.UnixListener
	err := withShortPath(fresh, func(short string) error {
		var config net.ListenConfig
		bound, err := config.Listen(ctx, "unix", short)
		if err == nil {
			l = bound.(*net.UnixListener)
			l.SetUnlinkOnClose(false) // it has another name by then
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	// It gets its name when it has its mode, so nobody else ever connects.
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

// dialAdmin connects to the socket.
func dialAdmin(ctx context.Context, dir string) (net.Conn, error) {
	var c net.Conn
	err := withShortPath(SocketPath(dir), func(short string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", short)
		return err
	})
	return c, err
}

// withShortPath calls use with a path to the same file that is short enough for
// a socket: by a link to its folder, for as long as use takes.
func withShortPath(path string, use func(short string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "wh")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	link := filepath.Join(tmp, "d")
	if err := os.Symlink(folder, link); err != nil {
		return err
	}
	short := filepath.Join(link, filepath.Base(path))
	if len(short) > maxSocketPath {
		return fmt.Errorf("%s is too long for a socket: set TMPDIR to a shorter path, or move data_dir", short)
	}
	return use(short)
}
