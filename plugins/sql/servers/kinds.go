package servers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var postgresql = kind{
	name: "postgres", needed: []string{"postgres", "initdb"}, driver: "pgx",
	prepare: func(s *Server) error {
		password := filepath.Join(s.dir, "password")
		if err := os.WriteFile(password, []byte(Password), 0o644); err != nil { //nolint:gosec // the server reads it as another user, and it is the same in every test
			return err
		}
		return s.once("initdb", "--pgdata", s.data(), "--username", User, "--pwfile", password, "--auth", "scram-sha-256",
			"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	},
	command: func(s *Server) []string {
		path, _ := program("postgres")
		args := []string{path, "-D", s.data(), "-p", strconv.Itoa(s.port)}
		// A crash of the server loses nothing without fsync: the kernel has it.
		for _, setting := range append([]string{
			"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.dir, "wal_level=logical",
			"max_replication_slots=50", "max_wal_senders=50", "max_connections=200", "fsync=off", "shared_buffers=32MB",
		}, s.settings...) {
			args = append(args, "-c", setting)
		}
		return args
	},
	dsn: func(s *Server, database string) string {
		if database == "" {
			database = "postgres"
		}
		return s.URL(database)
	},
	create:  "CREATE DATABASE %s",
	drop:    "DROP DATABASE IF EXISTS %s WITH (FORCE)",
	options: "sslmode=disable",
}

var mariadb = kind{
	name: "mariadb", needed: []string{"mariadbd", "mariadb-install-db"}, driver: "mysql",
	prepare: func(s *Server) error {
		admin := fmt.Sprintf("CREATE USER IF NOT EXISTS '%[1]s'@'%%' IDENTIFIED BY '%[2]s'; GRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n", User, Password)
		if err := os.WriteFile(filepath.Join(s.dir, "init.sql"), []byte(strings.ReplaceAll(admin, "; ", ";\n")), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
		return s.once("mariadb-install-db", "--no-defaults", "--datadir="+s.data(), "--auth-root-authentication-method=normal", "--skip-test-db")
	},
	command: func(s *Server) []string {
		path, _ := program("mariadbd")
		return append([]string{
			path, "--no-defaults", "--datadir=" + s.data(), "--port=" + strconv.Itoa(s.port), "--bind-address=127.0.0.1",
			"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + filepath.Join(s.dir, "init.sql"),
			"--skip-name-resolve", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2",
		}, s.settings...)
	},
	dsn: func(s *Server, database string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/%s?multiStatements=true", User, Password, s.Addr(), database)
	},
	create: "CREATE DATABASE %s",
	drop:   "DROP DATABASE IF EXISTS %s",
}

// once runs a command to its end.
func (s *Server) once(name string, args ...string) error {
	if out, err := s.program(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
