package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
	"github.com/wellhead-io/wellhead/sdk"
)

// engine is a database on which the property is tried.
type engine struct {
	name string
	open func(t *testing.T) (url string, db *sql.DB)
	now  string // the time, as those who write set it
}

var engines = []engine{
	{"postgres", func(t *testing.T) (string, *sql.DB) {
		s := servers.PostgreSQL(t)
		url := s.Database(t)
		return url, s.Open(t, url)
	}, "clock_timestamp()"},
	{"mariadb", func(t *testing.T) (string, *sql.DB) {
		s := servers.MariaDB(t)
		url := s.Database(t)
		return url, s.Open(t, url)
	}, "sysdate(6)"},
	{"sqlite", func(t *testing.T) (string, *sql.DB) {
		path := filepath.Join(t.TempDir(), "shop.db")
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)&_txlock=immediate")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return "sqlite:" + path, db
	}, "strftime('%Y-%m-%d %H:%M:%f', 'now')"},
}

// world is a table and those who write to it.
type world struct {
	t       *testing.T
	e       engine
	db      *sql.DB
	r       *rand.Rand
	next    int
	version int
	late    *sql.Tx // has written and not yet committed
}

func (w *world) exec(db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, text string,
) {
	w.t.Helper()
	if _, err := db.ExecContext(w.t.Context(), text); err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
}

// change changes the table a little. Rows of the first half are for a late
// transaction, so that it keeps nobody waiting.
func (w *world) change(deletes bool) {
	id := func() int { return w.r.IntN(w.next/2+1)*2 + 1 }
	for range 1 + w.r.IntN(20) {
		w.version++
		set := fmt.Sprintf("update people set email = 'v%d', n = %d, updated_at = %s where id = %d", w.version%7, w.version, w.e.now, id())
		switch w.r.IntN(4) {
		case 0:
			w.next += 2
			w.exec(w.db, fmt.Sprintf("insert into people values (%d, 'new', %d, %s)", w.next-1, w.version, w.e.now))
		case 1:
			if deletes {
				w.exec(w.db, fmt.Sprintf("delete from people where id = %d", id()))
			}
		default:
			w.exec(w.db, set)
		}
	}
	if w.late != nil && w.r.IntN(2) == 0 {
		if err := w.late.Commit(); err != nil {
			w.t.Fatal(err)
		}
		w.late = nil
	}
	if w.late == nil && w.e.name != "sqlite" && w.r.IntN(2) == 0 { // SQLite has one who writes at a time
		tx, err := w.db.BeginTx(w.t.Context(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.version++
		w.exec(tx, fmt.Sprintf("update people set email = 'late', n = %d, updated_at = %s where id = %d", w.version, w.e.now, 2*w.r.IntN(1500)+2))
		w.late = tx
	}
}

func (w *world) rows() map[string]string {
	rows, err := w.db.QueryContext(w.t.Context(), "select id, email, n from people")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var id, n int
		var email string
		if err := rows.Scan(&id, &email, &n); err != nil {
			w.t.Fatal(err)
		}
		out[fmt.Sprint(id)] = fmt.Sprintf(`"%s" %d`, email, n)
	}
	if rows.Err() != nil {
		w.t.Fatal(rows.Err())
	}
	return out
}

// fold is what the events say that the table is.
func fold(events []event) map[string]string {
	out := map[string]string{}
	for _, e := range events {
		if e.Event == "User Deleted" {
			delete(out, e.UserID)
			continue
		}
		out[e.UserID] = string(e.Traits["email"]) + " " + string(e.Traits["n"])
	}
	return out
}

func TestFoldedEventsEqualTheTable(t *testing.T) {
	for _, e := range engines {
		for _, mode := range []string{modeIncremental, "growing number", modeMirror, modeFull} {
			t.Run(e.name+" "+mode, func(t *testing.T) {
				seed := uint64(time.Now().UnixNano())
				t.Logf("seed %d", seed)
				tryTable(t, e, mode, rand.New(rand.NewPCG(seed, 0)))
			})
		}
	}
}

func tryTable(t *testing.T, e engine, mode string, r *rand.Rand) {
	url, db := e.open(t)
	w := &world{t: t, e: e, db: db, r: r, next: 3001}
	kind := map[string]string{"postgres": "timestamptz", "mariadb": "datetime(6)", "sqlite": "text"}[e.name]
	w.exec(db, "create table people (id bigint primary key, email varchar(20), n bigint, updated_at "+kind+")")
	var values []string
	for i := 1; i <= 3000; i++ {
		values = append(values, fmt.Sprintf("(%d, 'first', 0, %s)", i, e.now))
	}
	w.exec(db, "insert into people values "+strings.Join(values, ","))
	query, options := "select id, id as user_id, email, n, updated_at from people", ""
	switch mode {
	case modeIncremental:
		query += " where updated_at > {{last_sync_time}}"
		options = `, "cursor": "updated_at"`
	case "growing number":
		options = `, "cursor": "n"`
	default:
		options = fmt.Sprintf(`, "mode": %q`, mode)
	}
	c := configOf(t, fmt.Sprintf(`{"url": %q, "syncs": {"people": {"call": "identify", "key": ["id"], "query": %q%s}}}`, url, query, options))
	c.stateDir = t.TempDir()
	f := newStream()
	killed := 0
	kills := rand.New(rand.NewPCG(r.Uint64(), 0)) // of the goroutine that stores
	f.fail = func(sdk.Batch) (bool, error) {
		if kills.IntN(4) == 0 {
			killed++
			return kills.IntN(2) == 0, sdk.ErrEnded
		}
		return false, nil
	}
	for range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		f.mu.Lock()
		f.due()
		f.mu.Unlock()
		done := make(chan error, 1)
		go func() { done <- run(ctx, f, func() (config, error) { return c, nil }) }()
		w.change(mode == modeMirror) // while it reads
		select {
		case err := <-done:
			if !errors.Is(err, sdk.ErrEnded) {
				t.Fatal(err)
			}
		case <-time.After(time.Duration(r.IntN(200)) * time.Millisecond): // a kill at any time
			cancel()
			<-done //nolint:errcheck // it was killed
		}
		cancel()
		w.change(mode == modeMirror)
	}
	if w.late != nil {
		if err := w.late.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	f.fail = nil
	f.oneRun(t, c)
	f.oneRun(t, c) // what the first went on with was begun earlier
	if got, want := fold(f.events), w.rows(); !maps.Equal(got, want) {
		wrong := 0
		for id, row := range want {
			if got[id] != row {
				if wrong++; wrong < 5 {
					t.Errorf("row %s is %s, told as %s", id, row, got[id])
				}
			}
		}
		t.Errorf("%d rows, %d told, %d wrong", len(want), len(got), wrong)
	}
	t.Logf("%d kills by the stream, %d events, %d repeated", killed, len(f.events), f.repeated)
}
