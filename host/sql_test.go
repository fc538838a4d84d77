package host_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the shop's file

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

const sqlConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  sql: {path: "$BIN/plugins/sql"}
sources:
  warehouse:
    plugin: sql
    config:
      url: "$URL"
      interval: 1s
      syncs:
        people:
          call: identify
          query: select id, 'pg-' || id as user_id, email, updated_at from people where updated_at > {{last_sync_time}}
          key: [id]
          cursor: updated_at
    limits: {rate: 8000/s, burst: 1000} # so that the first read takes a while
    destinations: [archive]
  shop:
    plugin: sql
    config:
      url: sqlite:shop.db
      interval: 1s
      syncs:
        customers: {call: identify, query: "select id, 'lite-' || id as user_id, email from customers", key: [id], mode: mirror}
    limits: {rate: 8000/s, burst: 1000}
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// A PostgreSQL table and a SQLite file are sources: what is in the file of events
// is what is in them, also when the host is killed while it reads.
func TestTheRowsOfDatabasesReachTheFileUnderKills(t *testing.T) {
	const rows = 20_000
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	s := newSite(t, strings.ReplaceAll(sqlConfig, "$URL", url))
	pg := server.Open(t, url)
	lite, err := sql.Open("sqlite", s.path("shop.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lite.Close() }()
	do := func(db *sql.DB, text string) {
		t.Helper()
		if _, err := db.ExecContext(context.Background(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	do(pg, "create table people (id bigint primary key, email text, updated_at timestamptz not null default clock_timestamp())")
	do(pg, fmt.Sprintf("insert into people (id, email) select i, 'first' from generate_series(1, %d) i", rows))
	do(lite, "create table customers (id integer primary key, email text)")
	do(lite, fmt.Sprintf("with recursive n(i) as (select 1 union all select i + 1 from n where i < %d) insert into customers select i, 'first' from n", rows))

	out, err := exec.Command(filepath.Join(binaries, "wellhead"), "check", "-c", s.path("wellhead.yaml")).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("sources.shop, sync customers: its first rows would be\n  {\"type\":\"identify\",\"userId\":\"lite-1\"")) {
		t.Errorf("check: %v\n%s", err, out)
	}

	told := func() (rows map[string]string, times map[string]int) {
		rows, times = map[string]string{}, map[string]int{}
		for _, line := range s.lines("events.jsonl") {
			var e struct {
				Event, UserID, MessageID string
				Traits                   struct{ Email string }
			}
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			times[e.MessageID]++
			if e.Event == "User Deleted" {
				delete(rows, e.UserID)
				continue
			}
			rows[e.UserID] = e.Traits.Email
		}
		return rows, times
	}
	for at := rows / 4; at < 2*rows; at += rows / 3 {
		p := s.start()
		eventually(t, "more events", func() bool { return len(s.lines("events.jsonl")) > at })
		p.kill()
	}
	p := s.start()
	do(pg, "update people set email = 'second', updated_at = clock_timestamp() where id % 1000 = 7")
	do(lite, "update customers set email = 'second' where id % 1000 = 7")
	do(lite, "delete from customers where id % 1000 = 8")
	want := map[string]string{}
	for i := 1; i <= rows; i++ {
		email := "first"
		if i%1000 == 7 {
			email = "second"
		}
		want[fmt.Sprint("pg-", i)] = email
		if i%1000 != 8 {
			want[fmt.Sprint("lite-", i)] = email
		}
	}
	eventually(t, "the rows as they are", func() bool {
		got, _ := told()
		return maps.Equal(got, want)
	})
	_, times := told()
	for id, n := range times {
		if n > 1 {
			t.Errorf("%s stands in the file %d times", id, n)
		}
	}
	p.stop()
}

const shopConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  sql: {path: "$BIN/plugins/sql"}
sources:
  shop:
    plugin: sql
    config:
      url: sqlite:shop.db
      interval: 1h
      syncs:
        customers: {call: identify, query: "select id, id as user_id from customers", key: [id], mode: mirror}
        orders: {call: track, event: Order Completed, query: "select id, id as user_id from customers where id > {{cursor}}", key: [id], cursor: id, overlap: 0}
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

func TestPeopleRunPauseAndResetTheSyncsOfADatabase(t *testing.T) {
	s := newSite(t, shopConfig)
	lite, err := sql.Open("sqlite", s.path("shop.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lite.Close() }()
	do := func(text string) {
		t.Helper()
		if _, err := lite.ExecContext(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	do("create table customers (id integer primary key)")
	do("insert into customers values (1), (2), (3)")
	p := s.start()
	has := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " events"), func() bool { return len(s.lines("events.jsonl")) == n })
	}
	wellhead := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(filepath.Join(binaries, "wellhead"), append(args, "-c", s.path("wellhead.yaml"))...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("wellhead %v: %v, want %q in\n%s", args, err, want, out)
		}
	}
	has(6)
	do("insert into customers values (4)")
	wellhead("", "sync", "run", "shop")
	has(8)
	wellhead("", "sync", "pause", "shop", "customers")
	wellhead("paused", "sync", "list", "shop")
	wellhead("run wellhead sync resume first", "sync", "run", "shop", "customers")
	p.kill()
	p = s.start()
	eventually(t, "the pause outlives a kill", func() bool {
		out, _ := exec.Command(filepath.Join(binaries, "wellhead"), "sync", "list", "shop", "-c", s.path("wellhead.yaml")).Output()
		return strings.Contains(string(out), "paused")
	})
	do("delete from customers where id = 2")
	wellhead("", "sync", "resume", "shop", "customers")
	has(9)
	// All that is there is told again: the host knows the orders, and the mirror
	// tells its rows anew.
	wellhead("", "sync", "reset", "shop", "--yes")
	has(12)
	p.stop()
}
