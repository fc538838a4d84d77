// Package servers runs real database servers for tests: PostgreSQL, ready for
// logical replication, and MariaDB. Each has a temporary folder, an address on
// loopback of its own and, where the tests run as root, an unprivileged user.
//
// No server outlives the process that started it, however that one ends: a
// watchdog kills it then and removes its folder.
package servers

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// User and Password are those of the administrator that the URLs name.
const (
	User     = "wellhead"
	Password = "not-a-secret"
)

// startsWithin bounds how long a server may take to answer, recovery included.
const startsWithin = time.Minute

// Server is a database server of this test binary.
type Server struct {
	kind     kind
	settings []string
	dir      string
	as       *syscall.Credential
	port     int

	watchdog *exec.Cmd // nil: the server does not run
	lifeline *os.File  // the watchdog kills the server when it is closed
	gone     *os.File  // ends with the last of the server's processes
	admin    *sql.DB
}

// kind is what the servers differ in.
type kind struct {
	name   string
	needed []string // programs, the server's first
	driver string
	// prepare makes the data of a new server; command is what runs it.
	prepare func(s *Server) error
	command func(s *Server) []string
	// dsn names a database, "" for the administrator's, in the driver's words.
	dsn     func(s *Server, database string) string
	create  string // SQL that makes the database %s
	drop    string
	options string // of a URL
}

// PostgreSQL returns the PostgreSQL server that the tests of this binary share.
func PostgreSQL(tb testing.TB) *Server { tb.Helper(); return shared(tb, postgresql, onePostgreSQL) }

// MariaDB returns the MariaDB server that the tests of this binary share.
func MariaDB(tb testing.TB) *Server { tb.Helper(); return shared(tb, mariadb, oneMariaDB) }

// NewPostgreSQL starts a server for one test, which may kill it. Settings are
// such as max_slot_wal_keep_size=64MB.
func NewPostgreSQL(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	postgresql.has(tb)
	s, err := start(postgresql, settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.remove)
	return s
}

var (
	onePostgreSQL = sync.OnceValues(func() (*Server, error) { return start(postgresql, nil) })
	oneMariaDB    = sync.OnceValues(func() (*Server, error) { return start(mariadb, nil) })
)

func shared(tb testing.TB, k kind, get func() (*Server, error)) *Server {
	tb.Helper()
	k.has(tb)
	s, err := get()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// has skips a test on a machine that lacks a server. CI has to have them.
func (k kind) has(tb testing.TB) {
	tb.Helper()
	for _, name := range k.needed {
		if _, err := program(name); err != nil {
			if os.Getenv("CI") != "" {
				tb.Fatalf("%v: run .ci/need test", err)
			}
			tb.Skipf("%v: run .ci/need test", err)
		}
	}
}

var databases atomic.Int64

// Database makes an empty database for a test and returns its URL, which ends
// with the database's name. The database is dropped with the test.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if _, err := s.admin.ExecContext(tb.Context(), fmt.Sprintf(s.kind.create, name)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if s.watchdog == nil {
			return
		}
		// What is left of a replication slot keeps a database from being dropped,
		// which is no reason to fail: the server ends with the test binary.
		_, _ = s.admin.ExecContext(context.WithoutCancel(tb.Context()), fmt.Sprintf(s.kind.drop, name))
	})
	return s.URL(name)
}

// Open connects to a database by its URL, until the test ends.
func (s *Server) Open(tb testing.TB, rawURL string) *sql.DB {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open(s.kind.driver, s.kind.dsn(s, strings.TrimPrefix(u.Path, "/")))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// URL is that of a database as User.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: s.kind.name, User: url.UserPassword(User, Password), Host: s.Addr(), Path: database, RawQuery: s.kind.options}
	return u.String()
}

// Addr is where the server listens, the same after a restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Kill ends the server as a crash of its machine's processes would: SIGKILL.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if err := s.kill(keep); err != nil {
		tb.Fatal(err)
	}
}

// Start starts a server that was killed and waits until it answers.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.run(); err != nil {
		tb.Fatal(err)
	}
}

// start makes a server and runs it. Another process may take the port before
// the server does: then there is another.
func start(k kind, settings []string) (*Server, error) {
	s := &Server{kind: k, settings: settings}
	var err error
	if s.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "wellhead-"+k.name+"-"); err != nil {
		return nil, err
	}
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	err = k.prepare(s)
	for range 3 {
		if err != nil {
			break
		}
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.run(); err == nil {
			s.admin, err = sql.Open(k.driver, k.dsn(s, ""))
			return s, err
		}
	}
	return nil, errors.Join(fmt.Errorf("%s: %w", k.name, err), os.RemoveAll(s.dir))
}

// watch runs a command until its own input ends, kills the command then and
// removes the folder unless it has been told to keep it. What it has as
// descriptor 3 is open in the command and all its children.
const watch = `dir=$1; shift
exec 4<&0
"$@" </dev/null 4<&- & pid=$!
exec 3>&-
read -r word <&4
kill -9 "$pid" 2>/dev/null
wait "$pid"
[ "$word" = keep ] || rm -rf "$dir"`

const keep = "keep"

func (s *Server) run() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	out, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	gone, living, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = living.Close() }() // where it does not start
	cmd := s.program("sh", append([]string{"-c", watch, "watch", s.dir}, s.kind.command(s)...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = r, out, out, []*os.File{living}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.watchdog, s.lifeline, s.gone = cmd, w, gone
	_ = living.Close()
	if err := s.wait(); err != nil {
		text, _ := os.ReadFile(s.log())
		return errors.Join(fmt.Errorf("%w: %s", err, bytes.TrimSpace(text)), s.kill(keep))
	}
	return nil
}

// wait returns when the server answers.
func (s *Server) wait() error {
	db, err := sql.Open(s.kind.driver, s.kind.dsn(s, ""))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startsWithin)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer after %s: %w", startsWithin, err)
		}
	}
}

// kill has the watchdog kill the server and waits for all its processes: as long
// as one of them lives a PostgreSQL server does not start again.
func (s *Server) kill(word string) error {
	if s.watchdog == nil {
		return nil
	}
	_, _ = fmt.Fprintln(s.lifeline, word)
	_ = s.lifeline.Close()
	_ = s.watchdog.Wait() // its status is that of what it ran last
	s.watchdog = nil
	_, err := io.Copy(io.Discard, s.gone)
	return errors.Join(err, s.gone.Close())
}

func (s *Server) remove() {
	_ = s.admin.Close()
	_ = s.kill("")
	_ = os.RemoveAll(s.dir)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// program is a command that runs in the server's folder as its user.
func (s *Server) program(name string, args ...string) *exec.Cmd {
	path, err := program(name)
	if err != nil {
		path = name // Start tells
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	cmd.Env = append(os.Environ(), "HOME="+s.dir)
	return cmd
}

// program finds a server's program. Debian keeps those of PostgreSQL out of the
// PATH, in a folder for each version.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	more, _ := filepath.Glob("/usr/sbin/" + name)
	if found = append(found, more...); len(found) > 0 {
		return slices.Max(found), nil
	}
	return "", fmt.Errorf("%s is missing", name)
}

// unprivileged is whom the servers run as: nobody where the tests run as root,
// which PostgreSQL refuses; nil: this process's own user.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // there is none to change to
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
