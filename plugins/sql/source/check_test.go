package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

// checked is what check says: its problems by path and code, and the samples.
func checked(t *testing.T, c config) (problems map[string]sdk.Problem, samples map[string][]sdk.Event) {
	t.Helper()
	problems, samples = map[string]sdk.Problem{}, map[string][]sdk.Event{}
	for _, p := range check(t.Context(), c, func(sync string, e ...sdk.Event) { samples[sync] = e }) {
		problems[p.Path+" "+p.Code] = p
	}
	return problems, samples
}

func TestCheckShowsRowsAndWarnsOfWhatIsMissing(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			url, db := e.open(t)
			w := &world{t: t, db: db}
			w.exec(db, "create table people (id bigint primary key, email varchar(20), updated_at varchar(40))")
			for i := range 20 {
				w.exec(db, fmt.Sprintf("insert into people values (%d, 'e%d', '2026')", i, i))
			}
			const sync = `{"call": "identify", "key": ["id"], "cursor": %q, "query": %q}`
			const query = "select id, id as user_id, email, updated_at from people"
			c := configOf(t, fmt.Sprintf(`{"url": %q, "syncs": {"good": `+sync+`, "slow": `+sync+`, "writes": `+sync+`, "hidden": `+sync+`, "wrong": `+sync+`, "columns": `+sync+`}}`, url,
				"id", query, "updated_at", query, "id", "delete from people", "id", "with x as (delete from people returning id) select id, id as user_id from x",
				"id", "select nothing from people", "gone", query))
			problems, samples := checked(t, c)
			if got := samples["good"]; len(got) != 10 || !strings.HasPrefix(string(got[0]), `{"type":"identify","userId":"`) {
				t.Errorf("samples %s", got)
			}
			if p, ok := problems["/syncs/slow/cursor no_index"]; !ok || !p.Warning {
				t.Errorf("no warning of the missing index: %v", problems)
			}
			for _, want := range []string{"/syncs/writes/query wrong_value", "/syncs/hidden/query query_refused", "/syncs/wrong/query query_refused", "/syncs/columns/cursor columns"} {
				if p, ok := problems[want]; !ok || p.Warning {
					t.Errorf("no problem %s: %v", want, problems)
				}
			}
			if _, ok := problems["/syncs/good/cursor no_index"]; ok {
				t.Errorf("an index is missed that is there: %v", problems)
			}
			if _, ok := problems["/url more_than_read"]; ok != (e.name != "sqlite") {
				t.Errorf("rights of the user: %v", problems)
			}
			if got := len(w.rows0()); got != 20 {
				t.Errorf("%d rows after the check, want 20", got)
			}
			streams, err := discover(t.Context(), c, "people")
			if err != nil || len(streams) != 1 || !strings.Contains(string(streams[0].Schema), `"email":{"type":["string"`) {
				t.Errorf("discover: %+v, %v", streams, err)
			}
			if _, err := discover(t.Context(), c, "nobody"); err == nil {
				t.Errorf("a table that is not there is found")
			}
		})
	}
}

func (w *world) rows0() []int {
	rows, err := w.db.QueryContext(w.t.Context(), "select id from people")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []int
	for rows.Next() {
		out = append(out, 0)
	}
	if rows.Err() != nil {
		w.t.Fatal(rows.Err())
	}
	return out
}

func TestAUserWhoMayOnlyReadIsNotWarnedOf(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	w := &world{t: t, db: db}
	w.exec(db, "create table people (id bigint primary key, email text, updated_at timestamptz)")
	w.exec(db, "create index on people (updated_at)")
	w.exec(db, "drop role if exists reader")
	w.exec(db, "create role reader login password 'reads'")
	w.exec(db, "grant select on people to reader")
	at := strings.Index(url, "@")
	c := configOf(t, people("postgres://reader:reads"+url[at:]))
	if problems, _ := checked(t, c); len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
	w.exec(db, "grant update on people to reader")
	if problems, _ := checked(t, c); problems["/url more_than_read"].Message == "" {
		t.Errorf("a user who may write: %v", problems)
	}
}
func TestSecretsOfTheURLAreNotTold(t *testing.T) {
	const canary = "c4n@ry/:?x"
	server := servers.PostgreSQL(t)
	for _, url := range []string{
		"postgres://nobody:c4n%40ry%2F%3A%3Fx@" + server.Addr() + "/test",
		"postgres://nobody:c4n%40ry%2F%3A%3Fx@127.0.0.1:1/test",
		"postgres://nobody:c4n@ry/:?x@" + server.Addr() + "/test",
		"postgres://nobody@" + server.Addr() + "/test?password=c4n%40ry%2F%3A%3Fx&sslmode=wrong",
		"postgre://nobody:c4n@ry/:?x@h/test", "c4n@ry/:?x",
	} {
		problems, _ := checked(t, configOf(t, people(url)))
		if len(problems) == 0 {
			t.Errorf("%s is good", url)
		}
		for _, p := range problems {
			if strings.Contains(p.Error(), canary) || strings.Contains(p.Error(), "c4n") {
				t.Errorf("%s: check tells %v", url, p)
			}
		}
	}
}
