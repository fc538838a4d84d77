package replication_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/replication"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

const people = "CREATE TABLE people (id int PRIMARY KEY, name text, big text)"

func TestATableIsToldAndThenItsChanges(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.exec("INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 1000) i")
	h.start()
	h.follows("people")
	for _, change := range []string{
		"INSERT INTO people VALUES (2000, 'new')",
		"UPDATE people SET name = 'other' WHERE id = 1",
		"UPDATE people SET id = 3000 WHERE id = 2",
		"DELETE FROM people WHERE id = 3",
	} {
		h.exec(change)
	}
	h.until("all is told", func() bool { return len(h.events) == 1005 })
	h.same()
	var told []string
	for _, e := range h.events[1000:] {
		told = append(told, e.Type+" "+e.Event+e.UserID+" "+text(e.Properties["objectId"]))
	}
	if got, want := strings.Join(told, "; "), "identify 2000 NULL; identify 1 NULL; track User Deleted2 '2; identify 3000 NULL; track User Deleted3 '3"; got != want {
		t.Fatalf("got %s", got)
	}
	h.exec("TRUNCATE people")
	h.until("the table is empty", func() bool { return len(h.events) == 1006 })
	h.same()
	h.until("the run is told", func() bool {
		for _, r := range h.runs {
			if r.Sync == "people" && !r.Ended.IsZero() && r.Read == 1000 && r.Emitted == 1000 {
				return true
			}
		}
		return false
	})
}

// What is stored is acknowledged, and nothing else.
func TestNothingIsAcknowledgedBeforeItIsStored(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.start()
	h.follows("people")
	confirmed := func() (at replication.LSN) {
		if err := at.Scan(h.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", h.slot())); err != nil {
			t.Fatal(err)
		}
		return at
	}
	blocked, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	h.mu.Lock()
	h.fail = func(ctx context.Context, events int) error {
		if events > 0 && first.CompareAndSwap(false, true) {
			close(blocked)
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Unlock()
	h.exec("INSERT INTO people VALUES (1, 'a')")
	<-blocked
	before := h.saved().LSN
	for i := range 60 { // for longer than it takes that what is stored is acknowledged
		h.exec("INSERT INTO people VALUES ($1, 'b')", 10+i)
		time.Sleep(100 * time.Millisecond)
		if at := confirmed(); at > before {
			t.Fatalf("%s is acknowledged, and %s is stored", at, before)
		}
	}
	close(release)
	h.until("all is told", func() bool { return len(h.events) == 61 })
	for end := time.Now().Add(20 * time.Second); confirmed() <= before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is acknowledged after it is stored")
		}
	}
}

func TestAValueThatDidNotChangeIsToldWhereverItIsKept(t *testing.T) {
	for _, identity := range []string{"DEFAULT", "FULL"} {
		t.Run(identity, func(t *testing.T) {
			h := newHost(t, servers.PostgreSQL(t))
			h.exec(people)
			h.exec("ALTER TABLE people REPLICA IDENTITY " + identity)
			h.exec("ALTER TABLE people ALTER big SET STORAGE EXTERNAL")
			big := strings.Repeat("0123456789", 10_000)
			h.start()
			h.follows("people")
			h.exec("INSERT INTO people VALUES (1, 'a', $1)", big)
			h.exec("UPDATE people SET name = 'b' WHERE id = 1")
			h.until("it is told", func() bool { return len(h.events) == 2 })
			h.exec("UPDATE people SET id = 2 WHERE id = 1")
			h.until("it is told", func() bool { return len(h.events) == 4 })
			for _, e := range h.events {
				if e.Type == "identify" && e.Traits["big"] != big {
					t.Errorf("%s is told without its large value: %.20v", e.UserID, e.Traits["big"])
				}
			}
			h.same()
		})
	}
}

func TestATablesColumnsMayChange(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.start()
	h.follows("people")
	for i, change := range []string{
		"ALTER TABLE people ADD COLUMN score numeric DEFAULT 1.50",
		"ALTER TABLE people RENAME score TO points",
		"ALTER TABLE people ALTER points TYPE text",
		"ALTER TABLE people DROP COLUMN points",
	} {
		h.exec(change)
		h.exec("INSERT INTO people VALUES ($1, 'x')", i)
	}
	h.until("all is told", func() bool { return len(h.events) == 4 })
	var told []string
	for _, e := range h.events {
		told = append(told, fmt.Sprint(e.Traits))
	}
	want := "map[big:<nil> name:x score:1.50]; map[big:<nil> name:x points:1.50]; map[big:<nil> name:x points:1.50]; map[big:<nil> name:x]"
	if got := strings.Join(told, "; "); got != want {
		t.Fatalf("got %s", got)
	}
	if _, ok := h.events[2].Traits["points"].(string); !ok {
		t.Error("a number that became text is told as a number")
	}
}

// The stream writes values as the snapshot does, those of users' own types too.
func TestValuesAreTheSameHoweverTheyAreRead(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	for _, q := range []string{
		"CREATE TYPE mood AS ENUM ('sad', 'so \"so\"')",
		"CREATE DOMAIN price AS numeric(38,10)",
		`CREATE TABLE people (id int PRIMARY KEY, n numeric, p price, ps price[], f float8, r real, b bytea, ts timestamptz, t timestamp, d date, iv interval,
			j json, jb jsonb, a int[], aa text[][], m mood, ms mood[], u uuid, ok bool, c char(5), i8 bigint, inet inet, tz timetz)`,
		`CREATE FUNCTION fill(id int) RETURNS void LANGUAGE sql AS $$ INSERT INTO people VALUES (id, 'NaN', 12345678901234567890123456.0123456789, '{1.10,NULL}', 'infinity', 0.1,
			'\x00ff', '2026-11-24 18:00:00.123456+05:30', 'infinity', '2026-02-28', '1 year 2 days 03:04:05.6', '{"a" : 1.10}', '{"b":1e400}', '{1,NULL,3}',
			'{{"a \"q\"",NULL},{"",x}}', 'so "so"', '{sad,"so \"so\""}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, 'ab', 9223372036854775807, '::1', '10:00:00+02') $$`,
		"SELECT fill(1)",
	} {
		h.exec(q)
	}
	h.start()
	h.follows("people")
	h.exec("SELECT fill(2)")
	h.until("both are told", func() bool { return len(h.events) == 2 })
	a, b := fmt.Sprint(h.events[0].Traits), fmt.Sprint(h.events[1].Traits)
	if a != b {
		t.Fatalf("\nsnapshot %s\nstream   %s", a, b)
	}
	for name, want := range map[string]string{
		"n": "NaN", "p": "12345678901234567890123456.0123456789", "ps": "[1.1000000000 <nil>]", "b": "AP8=", "ts": "2026-11-24T12:30:00.123456Z", "t": "infinity",
		"ms": `[sad so "so"]`, "i8": "9223372036854775807", "f": "Infinity", "iv": "P1Y2DT3H4M5.6S", "aa": `[[a "q" <nil>] [ x]]`,
	} {
		if got := fmt.Sprint(h.events[1].Traits[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestASlotIsDroppedBeforeItFillsADisk(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.drop, h.maxLag, h.every = true, 48<<20, 50*time.Millisecond
	h.exec("INSERT INTO people VALUES (1, 'stays'), (2, 'goes')")
	h.start()
	h.follows("people")
	release := make(chan struct{})
	h.mu.Lock()
	h.fail = func(ctx context.Context, _ int) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Unlock()
	h.exec("UPDATE people SET name = 'told' WHERE id = 1")
	alarmed := false
	for i := 0; h.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", h.slot()) == "1"; i++ {
		if i > 400 {
			t.Fatal("the slot stays")
		}
		h.exec("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
		h.mu.Lock()
		_, lag := h.problems["replication lag"]
		h.mu.Unlock()
		alarmed = alarmed || lag
		time.Sleep(20 * time.Millisecond)
	}
	if !alarmed {
		t.Error("no alarm came before")
	}
	h.exec("DELETE FROM people WHERE id = 2")
	close(release)
	h.until("the gap is told", func() bool { return h.problems["replication gap"].Code == "replication_gap" })
	h.follows("people")
	h.exec("INSERT INTO people VALUES (3, 'new')")
	h.until("changes are told again", func() bool { return h.events[len(h.events)-1].UserID == "3" })
	if got := h.people()["1"]["name"]; got != "told" {
		t.Errorf("row 1 is %v", got)
	}
	if s := h.saved(); !strings.Contains(s.Gap, "max_lag") {
		t.Errorf("the gap is %q", s.Gap)
	}
	answered := make(chan error, 1)
	h.commands <- replication.Command{Sync: "people", Action: sdk.SyncReset, Done: func(err error) { answered <- err }}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	h.until("the gap is over", func() bool { return h.problems["replication gap"].Code == "" })
}

func TestALostSlotIsAGap(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.exec("INSERT INTO people VALUES (1, 'a')")
	stop := h.start()
	h.follows("people")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	h.exec("INSERT INTO people VALUES (2, 'missed by the slot')")
	h.exec("SELECT pg_drop_replication_slot($1)", h.slot())
	h.start()
	h.until("the gap is told", func() bool { return strings.Contains(h.problems["replication gap"].Message, "is gone") })
	h.until("the rows are told", func() bool { return len(h.events) == 3 })
	h.same()
}

func TestWhatIsInTheWayIsToldWithItsRemedy(t *testing.T) {
	shared := servers.PostgreSQL(t)
	t.Run("wal_level", func(t *testing.T) {
		h := newHost(t, servers.NewPostgreSQL(t, "wal_level=replica"))
		h.exec(people)
		h.start()
		h.until("it is told", func() bool { return h.problems["replication"].Code == "wal_level" })
	})
	t.Run("rights", func(t *testing.T) {
		h := newHost(t, shared)
		h.exec(people)
		h.exec("DROP ROLE IF EXISTS reader")
		h.exec("CREATE ROLE reader LOGIN PASSWORD 'x'")
		h.url = strings.Replace(h.url, servers.User+":"+servers.Password, "reader:x", 1)
		h.start()
		h.until("the publication is told", func() bool {
			return h.problems["replication"].Code == "publication" && strings.Contains(h.problems["replication"].Fix, "CREATE PUBLICATION")
		})
		h.exec("GRANT SELECT ON people TO reader")
		h.exec("CREATE PUBLICATION " + h.slot() + " FOR TABLE people")
		h.until("the role is told", func() bool { return h.problems["replication"].Code == "permission" })
		h.exec("ALTER ROLE reader REPLICATION")
		h.follows("people")
		h.exec("INSERT INTO people VALUES (1)")
		h.until("a change is told", func() bool { return len(h.events) == 1 })
	})
	t.Run("slot in use", func(t *testing.T) {
		h := newHost(t, shared)
		h.exec(people)
		h.start()
		h.follows("people")
		other := newHost(t, shared)
		other.url, other.state = h.url, h.state
		other.start()
		other.until("it is told", func() bool {
			p := other.problems["replication"]
			return p.Code == "slot_in_use" && strings.Contains(p.Message, "wellhead db")
		})
	})
	t.Run("no key", func(t *testing.T) {
		h := newHost(t, shared)
		h.exec("CREATE TABLE people (id int)")
		h.withNudge()
		h.start()
		h.follows("nudge")
		if h.problems["people"].Code != "no_key" || h.states["people"].State != sdk.SyncFailed {
			t.Fatal(h.problems, h.states)
		}
		h.exec("UPDATE people SET id = 2") // which the server would refuse of a published table
	})
}

func TestASyncIsPausedAndResetByItself(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.exec("INSERT INTO people VALUES (1, 'a')")
	h.withNudge()
	h.start()
	h.follows("people")
	h.follows("nudge")
	ask := func(sync string, action sdk.SyncAction) {
		t.Helper()
		answered := make(chan error, 1)
		h.commands <- replication.Command{Sync: sync, Action: action, Done: func(err error) { answered <- err }}
		select {
		case err := <-answered:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no answer")
		}
	}
	// All are paused: the slot holds everything.
	ask("people", sdk.SyncPause)
	ask("nudge", sdk.SyncPause)
	h.exec("INSERT INTO people VALUES (2, 'b')")
	ask("nudge", sdk.SyncResume)
	ask("people", sdk.SyncResume)
	h.until("the change is told", func() bool { return len(h.people2()) == 2 })
	h.same()
	// One is paused: its table is read anew.
	ask("people", sdk.SyncPause)
	h.exec("INSERT INTO people VALUES (3, 'c')")
	h.caughtUp()
	if n := len(h.people()); n != 2 {
		t.Fatalf("a paused sync tells: %d", n)
	}
	ask("people", sdk.SyncResume)
	h.until("it is read", func() bool { return len(h.people2()) == 3 })
	before := len(h.events)
	ask("people", sdk.SyncReset)
	h.until("all is told again", func() bool { return len(h.events) >= before+3 })
	h.same()
}

// A snapshot goes on where it was, and what was changed meanwhile is told.
func TestASnapshotThatWasKilledGoesOn(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec(people)
	h.exec("INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 5000) i")
	var batches atomic.Int64
	h.fail = func(context.Context, int) error {
		if n := batches.Add(1); n == 10 || n == 15 {
			return errHalf
		} else if n > 20 && n < 1000 {
			return sdk.ErrEnded
		}
		return nil
	}
	stop := h.start()
	h.until("it was interrupted", func() bool { return batches.Load() > 20 })
	if err := stop(); err == nil {
		t.Log("the follower ended by itself")
	}
	s := h.saved().Syncs["people"]
	if s.Done || len(s.After) == 0 {
		t.Fatalf("%+v", s)
	}
	h.exec("UPDATE people SET name = 'changed' WHERE id % 100 = 0")
	h.exec("DELETE FROM people WHERE id % 100 = 1")
	h.exec("INSERT INTO people VALUES (-1, 'before the place')")
	batches.Store(1000)
	h.start()
	h.follows("people")
	h.until("changes are told", func() bool { return len(h.people2()) == 4951 })
	h.caughtUpBy("INSERT INTO people VALUES (10000, 'end')", "10000")
	h.same()
	for _, r := range h.runs {
		if r.Read > 5000 || len(h.runs) != 1 {
			t.Errorf("%d runs, %d rows read", len(h.runs), r.Read)
		}
	}
}

// people2 is people for those who hold h.mu.
func (h *host) people2() map[string]map[string]any {
	h.mu.Unlock()
	defer h.mu.Lock()
	return h.people()
}

// caughtUpBy waits until a change is told, and so all before it.
func (h *host) caughtUpBy(change, user string) {
	h.t.Helper()
	h.exec(change)
	h.until("the last change is told", func() bool { return len(h.events) > 0 && h.events[len(h.events)-1].UserID == user })
}

func TestTwoSyncsOfATableShareItsChanges(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec("CREATE TABLE people (id int PRIMARY KEY, company int, secret text)")
	h.syncs["people"] = replication.Sync{Table: "people", Mapping: row.Mapping{Source: "db", Sync: "people", Call: row.Identify}, Columns: map[string]string{"secret": ""}}
	h.syncs["members"] = replication.Sync{Table: "people", Mapping: row.Mapping{Source: "db", Sync: "members", Call: row.Group}, Columns: map[string]string{"id": "userId", "company": "groupId", "secret": ""}}
	h.exec("ALTER TABLE people REPLICA IDENTITY FULL")
	h.start()
	h.follows("members")
	h.exec("INSERT INTO people VALUES (1, 10, 'x')")
	h.exec("UPDATE people SET company = 11 WHERE id = 1")
	h.exec("UPDATE people SET secret = 'y' WHERE id = 1")
	h.exec("DELETE FROM people")
	var got []string
	h.until("all is told", func() bool { return len(h.events) >= 9 })
	for _, e := range h.events {
		if strings.Contains(fmt.Sprint(e.Traits), "x") {
			t.Error("a secret is told")
		}
		got = append(got, strings.TrimSpace(e.Type+" "+e.Event+" "+e.UserID+" "+e.GroupID+" "+text(e.Properties["objectId"])))
	}
	want := "group  1 10 NULL; identify  1  NULL; " +
		"track Relationship Deleted 1  '10; group  1 11 NULL; identify  1  NULL; group  1 11 NULL; identify  1  NULL; track Relationship Deleted 1  '11; track User Deleted 1  '1"
	if s := strings.Join(got, "; "); s != want {
		t.Fatalf("got %s", s)
	}
}

// Rows that are written while the snapshot is taken are told once, and so are
// those that are read again after a kill of the connection or of the process.
func TestEachRowIsToldOnce(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec("CREATE TABLE orders (id bigserial PRIMARY KEY, total numeric)")
	h.exec("INSERT INTO orders (total) SELECT i FROM generate_series(1, 3000) i")
	h.syncs = map[string]replication.Sync{"orders": {Table: "orders", Mapping: row.Mapping{Source: "db", Sync: "orders", Call: row.Track, Event: "Ordered"}}}
	var writing sync.WaitGroup
	var enough atomic.Bool
	for range 2 {
		writing.Go(func() {
			for !enough.Load() {
				h.exec("INSERT INTO orders (total) SELECT i FROM generate_series(1, 3) i")
			}
		})
	}
	var stores atomic.Int64
	stop := h.start()
	h.follows("orders")
	h.mu.Lock()
	h.fail = func(context.Context, int) error { // kills come after the snapshot, which would be told again in part
		if stores.Add(1)%3 == 2 {
			return errHalf
		}
		return nil
	}
	h.mu.Unlock()
	for range 3 {
		before := stores.Load()
		h.until("changes are told", func() bool { return stores.Load() > before+2 })
		h.exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active", h.slot())
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stop = h.start()
	}
	h.mu.Lock()
	h.fail = nil
	h.mu.Unlock()
	enough.Store(true)
	writing.Wait()
	h.exec("INSERT INTO orders (total) VALUES (0)")
	h.until("the last is told", func() bool { return text(h.events[len(h.events)-1].Properties["total"]) == "0" })
	if n, want := fmt.Sprint(len(h.events)), h.value("SELECT count(*) FROM orders"); n != want {
		t.Errorf("%s events of %s rows", n, want)
	}
	if h.again == 0 {
		t.Error("nothing was read again: the test shows little")
	}
}

// A table may be added while somebody writes it: what was written before and is
// committed after that is told.
func TestWhatIsUnderWayWhenATableIsAddedIsTold(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.every = 50 * time.Millisecond
	h.exec(people)
	added := h.syncs["people"]
	delete(h.syncs, "people")
	h.withNudge()
	stop := h.start()
	h.follows("nudge")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	tx, err := h.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO people VALUES (1, 'under way')"); err != nil {
		t.Fatal(err)
	}
	h.syncs["people"] = added
	h.start()
	h.until("it waits, and says for what", func() bool { return h.problems["replication wait"].Code == "long_transaction" })
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	h.follows("people")
	h.caughtUpBy("INSERT INTO people VALUES (2, 'after')", "2")
	h.same()
}

func TestAPartitionedTableIsOne(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec("CREATE TABLE people (id int PRIMARY KEY, name text, big text) PARTITION BY RANGE (id)")
	h.exec("CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (100)")
	h.exec("CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (100) TO (200)")
	h.exec("INSERT INTO people SELECT i, 'n' FROM generate_series(0, 199) i")
	h.start()
	h.follows("people")
	h.exec("CREATE TABLE people_3 PARTITION OF people FOR VALUES FROM (200) TO (300)")
	h.exec("DELETE FROM people WHERE id = 150")
	h.exec("UPDATE people SET id = 250 WHERE id = 1")
	h.caughtUpBy("INSERT INTO people VALUES (299, 'end')", "299")
	h.same()
	if n := len(h.events); n != 204 {
		t.Errorf("%d events", n)
	}
}

// Rows of one COPY are at one place of the WAL.
func TestRowsThatAreAlikeAreToldEach(t *testing.T) {
	h := newHost(t, servers.PostgreSQL(t))
	h.exec("CREATE TABLE seen (page text)")
	h.exec("ALTER TABLE seen REPLICA IDENTITY FULL")
	h.syncs = map[string]replication.Sync{"seen": {Table: "seen", Mapping: row.Mapping{Source: "db", Sync: "seen", Call: row.Track, Event: "Seen", Key: []string{"page"}}}}
	h.start()
	h.follows("seen")
	h.exec("COPY seen FROM PROGRAM 'yes /home | head -n 500'")
	h.until("all are told", func() bool { return len(h.events) == 500 })
}
