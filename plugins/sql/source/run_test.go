package source

import (
	"errors"
	"fmt"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

func people(url string) string {
	return fmt.Sprintf(`{"url": %q, "syncs": {"people": {"call": "identify", "key": ["id"], "cursor": "updated_at",
		"query": "select id, 'u' || id as user_id, email, updated_at from people where updated_at > {{last_sync_time}}"}}}`, url)
}

func TestChangedRowsOfPostgreSQLArrive(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	do := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	do(`create table people (id bigint primary key, email text, updated_at timestamptz not null default clock_timestamp())`)
	do(`insert into people select i, 'p' || i || '@example.com' from generate_series(1, 2500) i`)
	f, c := newStream(), configOf(t, people(url))
	if n := len(f.oneRun(t, c)); n != 2500 {
		t.Fatalf("%d events of 2500 rows", n)
	}
	do(`update people set email = 'new@example.com', updated_at = clock_timestamp() where id = 7`)
	got := f.oneRun(t, c)
	if len(got) != 1 || got[0].UserID != "u7" || string(got[0].Traits["email"]) != `"new@example.com"` {
		t.Errorf("an update is told as %s", raws(got))
	}
	if f.repeated == 0 {
		t.Errorf("no row of the overlap was read again")
	}
}

func TestARunGoesOnWhereAKillEndedIt(t *testing.T) {
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	for _, text := range []string{
		`create table people (id bigint primary key, email text, updated_at timestamptz not null)`,
		`insert into people select i, 'e', '2026-11-24 12:00:00.123456+00'::timestamptz + (i / 700) * interval '1 s' from generate_series(1, 5000) i`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	f, c := newStream(), configOf(t, people(url))
	f.fail = func(sdk.Batch) (bool, error) {
		if f.batches == 2 {
			return true, sdk.ErrEnded
		}
		return false, nil
	}
	if err := run(t.Context(), f, func() (config, error) { return c, nil }); !errors.Is(err, sdk.ErrEnded) {
		t.Fatal(err)
	}
	f.fail = nil
	if n := len(f.events); n != 3000 {
		t.Fatalf("%d events at the kill, want 3000", n)
	}
	if n := len(f.oneRun(t, c)); n != 2000 || f.repeated != 0 {
		t.Errorf("after it %d events are new and %d repeated, want 2000 and none", n, f.repeated)
	}
	if r := f.runs["people"]; r.Read != 5000 || r.Emitted != 5000 {
		t.Errorf("the run counts %d rows and %d events", r.Read, r.Emitted)
	}
}
