package servers_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	for _, server := range []func(testing.TB) *servers.Server{servers.PostgreSQL, servers.MariaDB} {
		for range 2 {
			s := server(t)
			db := s.Open(t, s.Database(t))
			exec1(t, db, "CREATE TABLE people (id INT PRIMARY KEY)")
			exec1(t, db, "INSERT INTO people VALUES (1)")
		}
	}
}

func TestACommitOutlivesAKill(t *testing.T) {
	s := servers.NewPostgreSQL(t)
	at := s.Database(t)
	db := s.Open(t, at)
	exec1(t, db, "CREATE TABLE people (id INT PRIMARY KEY)")
	exec1(t, db, "INSERT INTO people VALUES (1)")
	s.Kill(t)
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = c.Close()
		t.Fatal("a killed server listens")
	}
	s.Start(t)
	var n int
	if err := s.Open(t, at).QueryRowContext(t.Context(), "SELECT count(*) FROM people").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}

// A test binary that is killed leaves no server behind.
func TestServersDieWithTheirTests(t *testing.T) {
	if os.Getenv("WELLHEAD_CHILD") != "" {
		fmt.Println("at " + servers.PostgreSQL(t).Addr())
		fmt.Println("at " + servers.MariaDB(t).Addr())
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "WELLHEAD_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for lines := bufio.NewScanner(out); len(addrs) < 2 && lines.Scan(); {
		var addr string
		if _, err := fmt.Sscanf(lines.Text(), "at %s", &addr); err == nil {
			addrs = append(addrs, addr)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if len(addrs) < 2 {
		t.Skip("a server is missing here")
	}
	for _, addr := range addrs {
		for end := time.Now().Add(10 * time.Second); ; {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				break
			}
			_ = c.Close()
			if time.Now().After(end) {
				t.Fatalf("%s listens after its test was killed", addr)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func exec1(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
