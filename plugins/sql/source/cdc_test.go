package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

// A query and a table of one source share its schedule and checkpoint.
func TestATableIsFollowedBesideAQuery(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	do := func(q string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE people (id int PRIMARY KEY, email text, secret text)")
	do("INSERT INTO people VALUES (1, 'a@b', 'x')")
	c := configOf(t, fmt.Sprintf(`{"url": %q, "replication": {"slot": "beside", "max_lag": "1GB", "at_limit": "drop"}, "syncs": {
		"people": {"call": "identify", "table": "people", "mode": "cdc", "columns": {"secret": null}},
		"all": {"call": "track", "event": "Seen", "query": "select id, id as \"userId\" from people", "key": ["id"]}}}`, url))
	f := newStream()
	kill := f.start(t, c)
	defer func() { kill() }()
	f.await(t, "the row", func() bool { return len(f.events) == 2 })
	do("UPDATE people SET email = 'c@d'")
	f.await(t, "the change", func() bool { return len(f.events) == 3 })
	if got := f.events[2]; got.Type != "identify" || got.UserID != "1" || string(got.Traits["email"]) != `"c@d"` || strings.Contains(got.raw, "secret") {
		t.Fatal(got.raw)
	}
	f.await(t, "the checkpoint", func() bool { return strings.Contains(string(f.checkpoint), `"done":true`) })
	kill()
	do("DELETE FROM people")
	kill = f.start(t, c)
	f.await(t, "the deletion", func() bool { return f.events[len(f.events)-1].Event == "User Deleted" })
	if s := f.syncs["people"]; s.State != sdk.SyncRunning {
		t.Errorf("%+v", s)
	}
}

func TestCheckLooksAtWhatCDCNeeds(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	for _, q := range []string{
		"CREATE TABLE people (id int PRIMARY KEY, user_id text)", "INSERT INTO people VALUES (1, 'u')", "CREATE TABLE keyless (id int)", "CREATE VIEW seen AS SELECT 1 AS id",
		"DROP ROLE IF EXISTS cdc_reader", "CREATE ROLE cdc_reader LOGIN PASSWORD 'x'", "GRANT SELECT ON people TO cdc_reader",
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	const syncs = `"syncs": {
		"people": {"call": "identify", "table": "people", "mode": "cdc"},
		"keyless": {"call": "track", "event": "x", "table": "keyless", "mode": "cdc"},
		"view": {"call": "identify", "table": "seen", "mode": "cdc"},
		"gone": {"call": "identify", "table": "gone", "mode": "cdc"},
		"mixed": {"call": "identify", "table": "people", "mode": "cdc", "query": "select 1"}}`
	problems, samples := checked(t, configOf(t, fmt.Sprintf(`{"url": %q, %s}`, url, syncs)))
	for _, want := range []string{
		"/replication wal_unbounded", "/syncs/people/table replica_identity", "/syncs/keyless/table no_key", "/syncs/view/table no_table", "/syncs/gone/table no_table", "/syncs/mixed wrong_value",
	} {
		if _, ok := problems[want]; !ok {
			t.Errorf("check does not tell of %s", want)
		}
		delete(problems, want)
	}
	delete(problems, "/url more_than_read")
	if len(problems) > 0 {
		t.Error(problems)
	}
	if len(samples["people"]) != 1 || !strings.Contains(string(samples["people"][0]), `"userId":"u"`) {
		t.Errorf("%s", samples["people"])
	}
	problems, _ = checked(t, configOf(t, fmt.Sprintf(`{"url": %q, %s}`, strings.Replace(url, servers.User+":"+servers.Password, "cdc_reader:x", 1), syncs)))
	for _, want := range []string{"/replication permission", "/replication publication"} {
		if _, ok := problems[want]; !ok {
			t.Errorf("check does not tell of %s: %v", want, problems)
		}
	}
}
