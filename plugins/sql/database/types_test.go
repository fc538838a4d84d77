package database_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

// The servers keep connections of their own open until the test binary ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"), goleak.IgnoreTopFunction("github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher.func1"))
}

type typed struct{ expression, want string }

// checkTypes reads every expression as one column of one row.
func checkTypes(t *testing.T, url string, types []typed) {
	t.Helper()
	var list []string
	for i, c := range types {
		list = append(list, c.expression+" as c"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, done := read(t, db, "select "+strings.Join(list, ", "), database.Read{})
	defer done()
	if !rows.Next(t.Context()) {
		t.Fatal(rows.Err())
	}
	for i, v := range rows.JSON() {
		got := "NULL"
		if v != nil {
			got = string(v)
			if !json.Valid(v) {
				t.Errorf("%s is %s, which is no JSON", types[i].expression, v)
			}
		}
		if got != types[i].want {
			t.Errorf("%s is %s, want %s", types[i].expression, got, types[i].want)
		}
	}
	if rows.Next(t.Context()) || rows.Err() != nil {
		t.Errorf("after the row: %v", rows.Err())
	}
}

func read(t *testing.T, db database.Database, query string, r database.Read) (database.Rows, func()) {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Query, err = db.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	if r.Columns, err = tx.Columns(t.Context(), r.Query); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Rows(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return rows, func() { rows.Close(); tx.Close() }
}

func TestTypesOfPostgreSQL(t *testing.T) {
	checkTypes(t, servers.PostgreSQL(t).Database(t), []typed{
		{"9223372036854775807::bigint", "9223372036854775807"},
		{"(-9223372036854775808)::bigint", "-9223372036854775808"},
		{"9999999999999999999999999999.9999999999::numeric(38,10)", "9999999999999999999999999999.9999999999"},
		{"(-0.0000000001)::numeric(38,10)", "-0.0000000001"},
		{"1.10::numeric", "1.10"}, {"'NaN'::numeric", `"NaN"`}, {"'Infinity'::numeric", `"Infinity"`},
		{"0.1::float8", "0.1"}, {"1e308::float8", "1e+308"}, {"3.4028235e38::float4", "3.4028235e+38"}, {"'-Infinity'::float8", `"-Infinity"`},
		{"'2026-11-24 18:02:03.123456+05:30'::timestamptz", `"2026-11-24T12:32:03.123456Z"`},
		{"'infinity'::timestamptz", `"infinity"`}, {"'-infinity'::timestamptz", `"-infinity"`},
		{"'2026-11-24 18:02:03'::timestamp", `"2026-11-24T18:02:03"`}, {"'infinity'::timestamp", `"infinity"`},
		{"'2026-11-24'::date", `"2026-11-24"`}, {"'infinity'::date", `"infinity"`}, {"'18:02:03.5'::time", `"18:02:03.5"`},
		{"'1 day 2 hours'::interval", `"P1DT2H"`},
		{"null::text", "NULL"}, {"''::text", `""`}, {"U&'\\+01F600'", "\"\U0001F600\""}, {"E'a\\nb\\t\"\\\\'", `"a\nb\t\"\\"`},
		{"'\\x00ff10'::bytea", `"AP8Q"`}, {"''::bytea", `""`},
		{`'{"a": 1.10, "b": [null, "😀"]}'::json`, `{"a":1.10,"b":[null,"😀"]}`}, {`'{"a": 12345678901234567890.5}'::jsonb`, `{"a":12345678901234567890.5}`}, {"'null'::jsonb", "null"},
		{"array[1, null, 3]", "[1,null,3]"}, {"array[[1.10, 2], [3, 4]]::numeric[]", "[[1.10,2],[3,4]]"}, {`array['a,b', null, 'NULL', '{', '"', '']`, `["a,b",null,"NULL","{","\"",""]`},
		{"'{}'::int[]", "[]"}, {"array[true, false]", "[true,false]"}, {"array['2026-11-24 18:02:03+00'::timestamptz]", `["2026-11-24T18:02:03Z"]`},
		{`array['{"a": 1}'::jsonb]`, `[{"a":1}]`}, {"true", "true"}, {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{"'192.168.0.1/24'::inet", `"192.168.0.1/24"`}, {"int4range(1, 5)", `"[1,5)"`},
	})
}

func TestTypesOfMariaDB(t *testing.T) {
	server := servers.MariaDB(t)
	url := server.Database(t)
	db := server.Open(t, url)
	do(t, db, `create table v (a bigint unsigned, b bigint, c decimal(38,10), d float, e double, f datetime(6), g timestamp(6) null, h date, i time(3), j varbinary(8), k json,
		l varchar(20) character set utf8mb4, m bit(12), n year, o enum('x','y'), p decimal(38,10), q text, r tinyint(1), s mediumblob)`)
	do(t, db, `set time_zone = '+05:30'`)
	do(t, db, `insert into v values (18446744073709551615, -9223372036854775808, 9999999999999999999999999999.9999999999, 3.40282e38, 0.1, '2026-11-24 18:02:03.123456',
		'2026-11-24 18:02:03.5', '2026-11-24', '-18:02:03.5', x'00ff10', '{"a": 1.10}', '😀\n"', b'100000000001', 2026, 'y', -0.0000000001, null, 1, '')`)
	want := []typed{
		{"a", "18446744073709551615"}, {"b", "-9223372036854775808"}, {"c", "9999999999999999999999999999.9999999999"}, {"d", "3.40282e+38"}, {"e", "0.1"},
		{"f", `"2026-11-24T18:02:03.123456"`}, {"h", `"2026-11-24"`}, {"i", `"-18:02:03.500"`}, {"j", `"AP8Q"`},
		{"k", `"{\"a\": 1.10}"`}, // MariaDB's JSON is a text
		{"l", `"😀\n\""`}, {"m", "2049"}, {"n", "2026"}, {"o", `"y"`}, {"p", "-0.0000000001"}, {"q", "NULL"}, {"r", "1"}, {"s", `""`},
		{"cast(g as char)", `"2026-11-24 12:32:03.500000"`}, {"g", `"2026-11-24T12:32:03.500000Z"`},
	}
	for i := range want {
		want[i].expression = "(select " + want[i].expression + " from v)"
	}
	checkTypes(t, url, want)
}

func TestTypesOfSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do(t, db, `create table v (a integer, b real, c text, d blob, e datetime, f numeric, g boolean, h, i timestamp, j date)`)
	do(t, db, `insert into v values (-9223372036854775808, 0.1, '😀'||char(10), x'00ff10', '2026-11-24 18:02:03', '12345678901234567890.5', 1, null, 1764007323, '2026-11-24'),
		('text', 9e999, x'ff', '', '2026-11-24T18:02:03.5+05:30', 1e300, 'x', 1.5, '', null)`)
	first := []typed{
		{"a", "-9223372036854775808"}, {"b", "0.1"}, {"c", `"😀\n"`}, {"d", `"AP8Q"`}, {"e", `"2026-11-24 18:02:03"`}, {"f", "1.2345678901234567e+19"},
		{"g", "1"}, {"h", "NULL"}, {"i", "1764007323"}, {"j", `"2026-11-24"`},
	}
	second := []typed{
		{"a", `"text"`}, {"b", `"Infinity"`}, {"c", `"/w=="`}, {"d", `""`}, {"e", `"2026-11-24T18:02:03.5+05:30"`}, {"f", "1e+300"}, {"g", `"x"`}, {"h", "1.5"}, {"i", `""`}, {"j", "NULL"},
	}
	for i, rowid := range []string{"1", "2"} {
		types := [][]typed{first, second}[i]
		for j := range types {
			types[j].expression = "(select " + types[j].expression + " from v where rowid = " + rowid + ")"
		}
		checkTypes(t, "sqlite:"+path, types)
	}
	// As columns of a table, whose declared types the driver would read as times.
	d, err := database.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	rows, done := read(t, d, "select e, i, j from v", database.Read{})
	defer done()
	if !rows.Next(t.Context()) || string(rows.JSON()[0]) != `"2026-11-24 18:02:03"` || string(rows.JSON()[1]) != "1764007323" {
		t.Errorf("times are %s, %v", rows.JSON(), rows.Err())
	}
}

func do(t *testing.T, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestARowBeyondTheBoundEndsTheRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do(t, db, "create table v (a blob)")
	do(t, db, "insert into v values (zeroblob(70000000))")
	for url, query := range map[string]string{
		"sqlite:" + path:                  "select a from v",
		servers.PostgreSQL(t).Database(t): "select repeat('x', 70000000) as a",
	} {
		d, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if err := firstRow(t, d, query); err == nil {
			t.Errorf("%s: a row of 70 MB is read", query)
		} else if f := database.Explain(err); f.Message != "a row is larger than 64 MiB" || f.Fix == "" {
			t.Errorf("%s: %+v", query, f)
		}
	}
}

func firstRow(t *testing.T, db database.Database, query string) error {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	q, err := db.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := tx.Columns(t.Context(), q)
	if err != nil {
		return err
	}
	rows, err := tx.Rows(t.Context(), database.Read{Query: q, Columns: columns})
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next(t.Context())
	return rows.Err()
}

// A query that is given up ends at the server too, where it would else go on for
// as long as it takes.
func TestAQueryThatIsGivenUpEnds(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// Of a process that is killed nobody cancels the query.
	rows, done := read(t, db, "select current_setting('client_connection_check_interval') as v", database.Read{})
	if !rows.Next(t.Context()) || string(rows.JSON()[0]) != `"5s"` {
		t.Errorf("the server looks for its client every %s, %v", rows.JSON(), rows.Err())
	}
	done()
	rows, done = read(t, db, "select count(*) as n from generate_series(1, 10000000000000)", database.Read{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if rows.Next(ctx) || rows.Err() == nil {
		t.Fatal("the query has an answer")
	}
	done()
	watch := server.Open(t, url)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var n int
		if err := watch.QueryRowContext(t.Context(), "select count(*) from pg_stat_activity where state = 'active' and query like 'fetch % from wellhead' and datname = current_database()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server still works on it")
		}
	}
}

func TestAnInfiniteCursorIsTakenForNow(t *testing.T) {
	now := database.Value{Kind: database.Text, Text: "2026-11-24 18:02:03+00"}
	got, ok := database.Value{Kind: database.Text, Text: "infinity"}.Before(now, time.Minute)
	if want := "2026-11-24 18:01:03+00"; !ok || got.Text != want {
		t.Errorf("a minute before infinity is %v, want %s", got, want)
	}
}
