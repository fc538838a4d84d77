package replication_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

var (
	seed  = flag.Uint64("seed", 0, "of the property test; 0: a new one")
	steps = flag.Int("steps", 200, "changes of each writer of the property test")
)

// Whatever is written while the follower, its connections and the server are
// killed, the events fold to the table.
func TestWhatWasToldIsTheTable(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d -steps %d", *seed, *steps)
	server := servers.NewPostgreSQL(t, "logical_decoding_work_mem=64kB", "wal_sender_timeout=5s")
	h := newHost(t, server)
	h.exec("CREATE TABLE people (id int PRIMARY KEY, name text, score numeric, big text)")
	h.exec("ALTER TABLE people ALTER big SET STORAGE EXTERNAL")
	h.exec("INSERT INTO people SELECT i, 'n' || i, i / 7.0, repeat(md5(i::text), 100) FROM generate_series(1, 2000) i")

	// A host that is killed between events and checkpoint, and now and then is
	// not there.
	var chance sync.Mutex
	luck := rand.New(rand.NewPCG(*seed, 0))
	draw := func(n int) bool {
		chance.Lock()
		defer chance.Unlock()
		return luck.IntN(n) == 0
	}
	h.fail = func(context.Context, int) error {
		if draw(20) {
			return errHalf
		}
		return nil
	}
	stop := h.start()

	var writing sync.WaitGroup
	for n := range 3 {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(n)+1))
			for i := 0; i < *steps; {
				if write(h, r, n) {
					i++
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // the pace of the changes
				} else {
					time.Sleep(20 * time.Millisecond) // the server is being restarted
				}
			}
		})
	}
	pauses := rand.New(rand.NewPCG(*seed, 99))
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	for alive := true; alive; {
		select {
		case <-written:
			alive = false
		case <-time.After(time.Duration(500+pauses.IntN(500)) * time.Millisecond):
		}
		switch {
		case draw(3):
			_, _ = h.db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'wellhead%'")
		case draw(3):
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			stop = h.start()
		case draw(12):
			server.Kill(t)
			server.Start(t)
		}
	}
	h.mu.Lock()
	h.fail = nil
	h.mu.Unlock()
	h.follows("people")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until no connection of before is handed out
		if _, err := h.db.ExecContext(t.Context(), "INSERT INTO people (id, name) VALUES (-1, 'end')"); err == nil {
			break
		} else if time.Now().After(end) || strings.Contains(err.Error(), "duplicate") {
			t.Fatal(err)
		}
	}
	h.until("the last change is told", func() bool { return len(h.events) > 0 && h.events[len(h.events)-1].UserID == "-1" })
	h.same()
	t.Logf("%d events, %d of them again", len(h.events)+h.again, h.again)
}

// write changes the table at random. It reports whether the server answered.
func write(h *host, r *rand.Rand, writer int) bool {
	id, other := r.IntN(2500)+1, r.IntN(2500)+1
	var q string
	switch n := r.IntN(100); {
	case n < 30:
		q = fmt.Sprintf("INSERT INTO people (id, name, score, big) VALUES (%d, 'w%d', %d.50, repeat('%d', %d)) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || 'x'", id, writer, r.IntN(1e6), r.IntN(10), r.IntN(20000))
	case n < 60:
		q = fmt.Sprintf("UPDATE people SET name = 'u%d', score = score + 0.1 WHERE id = %d", r.IntN(1e6), id)
	case n < 70:
		q = fmt.Sprintf("DELETE FROM people WHERE id = %d", id)
	case n < 80:
		q = fmt.Sprintf("UPDATE people SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM people WHERE id = %d)", other, id, other)
	case n < 85:
		q = fmt.Sprintf("BEGIN; UPDATE people SET name = 'lost'; DELETE FROM people WHERE id %% 2 = %d; ROLLBACK", r.IntN(2))
	case n < 92:
		q = fmt.Sprintf("UPDATE people SET name = 'many%d' WHERE id %% 5 = %d", r.IntN(1e6), r.IntN(5))
	case n < 94:
		q = fmt.Sprintf("BEGIN; UPDATE people SET big = repeat('%d', 5000) WHERE id %% 3 = 0; SAVEPOINT a; DELETE FROM people; ROLLBACK TO a; DELETE FROM people WHERE id = %d; COMMIT", r.IntN(10), id)
	case n < 95 && id < 500:
		q = "TRUNCATE people"
	case n < 95:
		q = "INSERT INTO people SELECT i, 'filled', i, 'b' FROM generate_series(1, 2000) i ON CONFLICT DO NOTHING"
	case n < 97:
		q = fmt.Sprintf("ALTER TABLE people ADD COLUMN IF NOT EXISTS extra%d text DEFAULT 'd'", r.IntN(2))
	case n < 98:
		q = "DO $$ BEGIN ALTER TABLE people RENAME extra0 TO extra1; EXCEPTION WHEN undefined_column OR duplicate_column THEN NULL; END $$"
	case n < 99:
		q = fmt.Sprintf("ALTER TABLE people ALTER score TYPE %s USING score::numeric", []string{"numeric", "numeric(20,4)"}[r.IntN(2)])
	default:
		q = fmt.Sprintf("ALTER TABLE people DROP COLUMN IF EXISTS extra%d", r.IntN(2))
	}
	_, err := h.db.ExecContext(h.t.Context(), q)
	if err == nil {
		return true
	}
	text := err.Error()
	for _, expected := range []string{"23505", "40P01", "40001"} { // the server refused it
		if strings.Contains(text, expected) {
			return true
		}
	}
	return false
}
