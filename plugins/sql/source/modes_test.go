package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
)

// shop is a file of SQLite with some customers, and a config that reads it.
func shop(t *testing.T, options string) (*world, config) {
	t.Helper()
	url, db := engines[2].open(t)
	w := &world{t: t, db: db}
	w.exec(db, "create table customers (id integer primary key, email text, at integer)")
	for i := range 3 {
		w.exec(db, fmt.Sprintf("insert into customers values (%d, 'e%d', %d)", i, i, i))
	}
	c := configOf(t, fmt.Sprintf(`{"url": %q, "interval": "1h", "syncs": {"s": {"call": "identify", "key": ["id"], "query": "select id, id as user_id, email, at from customers"%s}}}`, url, options))
	c.stateDir = t.TempDir()
	return w, c
}

func TestARowThatIsTooLargeIsRefusedByNameAndTheRunGoesOn(t *testing.T) {
	for _, options := range []string{`, "cursor": "at"`, `, "mode": "mirror"`, `, "mode": "full"`} {
		w, c := shop(t, options)
		w.exec(w.db, "update customers set email = hex(zeroblob(600000)) where id = 1") // 1.2 MB
		f := newStream()
		if got := f.oneRun(t, c); len(got) != 2 {
			t.Errorf("%s: %d events of three rows, one too large", options, len(got))
		}
		if r := f.runs["s"]; r.Read != 3 || r.Emitted != 2 || r.Refused != 1 {
			t.Errorf("%s: the run counts %d read, %d emitted, %d refused", options, r.Read, r.Emitted, r.Refused)
		}
		if len(f.problems) != 1 || !strings.HasPrefix(f.problems[0].Message, "row [1]: its event has 12") {
			t.Errorf("%s: problems %v", options, f.problems)
		}
		w.exec(w.db, "update customers set email = 'short', at = 9 where id = 1")
		if got := f.oneRun(t, c); len(got) == 0 || len(f.problems) != 0 {
			t.Errorf("%s: after it was mended: %s, problems %v", options, raws(got), f.problems)
		}
	}
}

func TestAMirrorThatWasLostTellsAllRowsAgainAndSaysSo(t *testing.T) {
	w, c := shop(t, `, "mode": "mirror"`)
	f := newStream()
	f.oneRun(t, c)
	if got := f.oneRun(t, c); len(got) != 0 {
		t.Fatalf("nothing has changed, told %s", raws(got))
	}
	w.exec(w.db, "delete from customers where id = 2")
	files, err := filepath.Glob(filepath.Join(c.stateDir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, name := range files { // damaged, and not only gone
		if err := os.WriteFile(name, []byte("no database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := f.oneRun(t, c)
	if len(got) != 2 {
		t.Errorf("two rows are told as %s", raws(got))
	}
	if len(f.problems) != 1 || f.problems[0].Code != "mirror_lost" {
		t.Errorf("problems %v", f.problems)
	}
	w.exec(w.db, "delete from customers where id = 1")
	if got := f.oneRun(t, c); len(got) != 1 || got[0].Event != "User Deleted" || got[0].UserID != "1" {
		t.Errorf("a deletion after it: %s", raws(got))
	}
}

func TestFullTellsEveryRowEachTime(t *testing.T) {
	_, c := shop(t, `, "mode": "full"`)
	f := newStream()
	if a, b := len(f.oneRun(t, c)), len(f.oneRun(t, c)); a != 3 || b != 3 || f.repeated != 0 {
		t.Errorf("runs tell %d and %d of three rows", a, b)
	}
}

func TestAConfigThatContradictsItselfIsToldSo(t *testing.T) {
	db, err := database.Open(t.Context(), "sqlite:"+os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const sync = `{"url": "sqlite:x", "syncs": {"s": {"call": "identify", "key": ["id"], %s}}}`
	for _, c := range []struct{ text, want string }{
		{`"query": "select 1 where a > {{cursor}}"`, "/cursor: is missing, and the query has {{cursor}}"},
		{`"query": "select 1", "mode": "incremental"`, "/cursor: is missing"},
		{`"query": "select 1 where a > {{last_sync_time}}", "mode": "mirror"`, "/query: mode: mirror reads all rows"},
		{`"query": "select 1", "mode": "full", "cursor": "a"`, "/cursor: is for mode: incremental"},
		{`"query": "select 1", "event": "E"`, "/event: event is for call: track"},
		{`"query": "select 1", "interval": "1ms"`, "/interval: 1ms is too short"},
		{`"query": "drop table x"`, "/query: the query begins with DROP"},
	} {
		conf := configOf(t, fmt.Sprintf(sync, c.text))
		_, problems := conf.spec("s", db.Parse)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, problems, c.want)
		}
	}
}

func TestARowOfTheEndOfTimeHoldsNobodyUp(t *testing.T) {
	url, db := engines[0].open(t)
	w := &world{t: t, db: db}
	w.exec(db, "create table people (id integer primary key, at timestamptz)")
	w.exec(db, "insert into people values (1, 'infinity')")
	c := configOf(t, fmt.Sprintf(`{"url": %q, "interval": "1h", "overlap": "0s", "syncs": {"s": {"call": "identify", "key": ["id"], "cursor": "at", "query": "select id, id as user_id, at from people"}}}`, url))
	f := newStream()
	f.oneRun(t, c)
	w.exec(db, "insert into people values (2, now())")
	if got := f.oneRun(t, c); len(got) != 1 || got[0].UserID != "2" {
		t.Errorf("after a row at infinity, of a new row is told %q", raws(got))
	}
}
