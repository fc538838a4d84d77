package host_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

const cdcConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  sql: {path: "$BIN/plugins/sql"}
sources:
  shop:
    plugin: sql
    config:
      url: "$URL"
      syncs:
        people: {call: identify, table: public.people, mode: cdc}
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// A committed change is in the file within a second, and each is told once
// however often plugin and host are killed.
func TestAChangeOfATableIsInTheFileWithinASecond(t *testing.T) {
	const rows, changes = 1000, 500
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	do := func(text string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	do("CREATE TABLE people (id int PRIMARY KEY, n int)")
	do("INSERT INTO people SELECT i, 0 FROM generate_series(1, $1) i", rows)
	s := newSite(t, strings.ReplaceAll(cdcConfig, "$URL", url))
	p := s.start()
	eventually(t, "the snapshot", func() bool { return len(s.lines("events.jsonl")) == rows })
	do("UPDATE people SET n = -1 WHERE id = 1")
	eventually(t, "the stream", func() bool { return len(s.lines("events.jsonl")) == rows+1 })

	committed := make([]time.Time, changes)
	arrived := make(chan []time.Time)
	go func() { arrived <- arrivals(s.path("events.jsonl"), rows+1, changes) }()
	for i := range changes {
		do("UPDATE people SET n = $1 WHERE id = $2", i+1, i%rows+1)
		committed[i] = time.Now()
		time.Sleep(10 * time.Millisecond) // the pace of the changes
	}
	var took []time.Duration
	for i, at := range <-arrived {
		took = append(took, at.Sub(committed[i]))
	}
	slices.Sort(took)
	p50, p99 := took[changes/2], took[changes*99/100]
	t.Logf("from commit to file: p50 %s, p99 %s, at most %s", p50, p99, took[changes-1])
	if p99 > time.Second {
		t.Errorf("1 in 100 changes takes longer than %s", p99)
	}

	for i := range 300 {
		do("UPDATE people SET n = $1 WHERE id = $2", 10_000+i, i+1)
		if i%60 == 30 {
			killPlugins(t, p)
		}
		if i%100 == 99 {
			p.kill()
			p = s.start()
		}
	}
	do("DELETE FROM people WHERE id > 500")
	eventually(t, "all changes", func() bool { return len(s.lines("events.jsonl")) >= rows+1+changes+300+500 })
	told, ids := map[string]int{}, map[string]bool{}
	for _, line := range s.lines("events.jsonl") {
		var e struct {
			Event, UserID, MessageID string
			Traits                   struct{ N int }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if ids[e.MessageID] {
			t.Errorf("%s is told twice", line)
		}
		ids[e.MessageID] = true
		if told[e.UserID] = e.Traits.N; e.Event == "User Deleted" {
			delete(told, e.UserID)
		}
	}
	if n := len(ids); n != rows+1+changes+300+500 {
		t.Errorf("%d events are told", n)
	}
	table, err := db.QueryContext(t.Context(), "SELECT id, n FROM people")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	for table.Next() {
		var id, n int
		if err := table.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		if have := told[fmt.Sprint(id)]; have != n {
			t.Errorf("row %d is %d and was told as %d", id, n, have)
		}
		delete(told, fmt.Sprint(id))
	}
	if err := table.Err(); err != nil || len(told) > 0 {
		t.Error(err, told)
	}
	p.stop()
	do("SELECT pg_drop_replication_slot('wellhead_shop')")
}

// arrivals returns when each of a file's lines after the first ones was there.
func arrivals(name string, skip, n int) (at []time.Time) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	var line []byte
	for end := time.Now().Add(time.Minute); len(at) < n && time.Now().Before(end); {
		part, err := r.ReadBytes('\n')
		if line = append(line, part...); bytes.HasSuffix(line, []byte("\n")) {
			if line = line[:0]; skip > 0 {
				skip--
			} else {
				at = append(at, time.Now())
			}
		}
		if errors.Is(err, io.EOF) {
			time.Sleep(time.Millisecond) // a file is not to be waited for
		}
	}
	return at
}
