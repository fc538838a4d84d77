package replication

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// snapshot reads the tables that are not read yet, in one transaction: that of
// the slot's own snapshot where there is one.
func (f *Follower) snapshot(ctx context.Context, q *pgx.Conn, exported string, keeper *pgconn.PgConn, tables map[string]*table) error {
	done := func() {
		if keeper != nil {
			_ = keeper.Close(context.WithoutCancel(ctx))
			keeper = nil
		}
	}
	defer done()
	var due []string
	for _, name := range f.active() {
		if t := tables[name]; t != nil && !f.state.Syncs[name].Done {
			due = append(due, name)
		}
	}
	if len(due) == 0 {
		return nil
	}
	if exported == "" {
		if err := f.settle(ctx, q); err != nil {
			return err
		}
	}
	tx, err := q.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if exported != "" {
		if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT '"+strings.ReplaceAll(exported, "'", "''")+"'"); err != nil {
			return err
		}
	}
	for _, name := range due { // so that a crash finds each of them begun at this slot
		if s := f.state.Syncs[name]; s.Run == "" {
			s.Started = time.Now().UTC()
			s.Run = fmt.Sprintf("%s-%d", f.state.Epoch, s.Started.UnixMilli())
		}
	}
	if _, err := f.Store(ctx, f.state, nil); err != nil {
		return err
	}
	types := &types{q: q}
	for _, name := range due {
		if err := f.readTable(ctx, q, types, name, tables[name]); err != nil {
			return fmt.Errorf("snapshot of %s: %w", tables[name].full(), err)
		}
		if name == due[0] {
			done() // the transaction has its own hold of the snapshot
		}
	}
	return nil
}

// readTable reads a table's rows from behind the last one that is stored.
func (f *Follower) readTable(ctx context.Context, q *pgx.Conn, types *types, name string, t *table) error {
	shape, problems := f.newShape(name, t.columns, t.key)
	if len(problems) > 0 {
		return f.problemAt(name, problems[0])
	}
	columns := make([]row.Postgres, len(t.columns))
	for i, oid := range t.types {
		var err error
		if columns[i], err = types.of(ctx, oid); err != nil {
			return err
		}
	}
	state := f.state.Syncs[name]
	query, args := t.query(state.After)
	order := make([]int, len(t.key))
	for i, k := range t.key {
		order[i] = indexOf(t.columns, k)
	}
	rows := q.PgConn().ExecParams(ctx, query, args, nil, nil, nil)
	b := batch{limits: f.Limits}
	values, buffers := make([][]byte, len(columns)), make([][]byte, len(columns))
	salt := "snapshot " + state.Run
	store := func(end bool) error {
		next := f.state.clone()
		s := next.Syncs[name]
		s.After, s.Done = b.after, end
		s.Read, s.Emitted, s.Refused = s.Read+b.read, s.Emitted+uint64(len(b.events)), s.Refused+b.bad
		if end {
			s.After = nil
		}
		refused, err := f.Store(ctx, next, b.events)
		if err != nil {
			return err
		}
		s.Emitted, s.Refused = s.Emitted-uint64(refused), s.Refused+uint64(refused)
		f.state = next
		f.stored++
		b = batch{limits: f.Limits}
		r := f.run(name)
		if end {
			r.Ended = time.Now()
		}
		f.Report(r)
		f.Progress(name, s.Read, uint64(max(t.rows, 0)), "snapshot")
		return nil
	}
	f.Report(f.run(name))
	for rows.NextRow() {
		f.Alive()
		raw := rows.Values()
		for i, v := range raw {
			values[i] = nil
			if v != nil {
				buffers[i] = columns[i].Append(buffers[i][:0], v)
				values[i] = buffers[i]
			}
		}
		b.read++
		events, err := shape.upsert(b.events, values, salt)
		if err != nil {
			b.bad++
			f.Log.Warn("a row becomes no call", "sync", name, "err", err)
		} else {
			b.add(events)
		}
		b.after = b.after[:0]
		for _, c := range order {
			b.after = append(b.after, string(raw[c]))
		}
		if b.full() {
			if err := store(false); err != nil {
				return errors.Join(err, abandon(ctx, q))
			}
		}
	}
	if _, err := rows.Close(); err != nil {
		return err
	}
	return store(true)
}

// abandon closes a connection whose query is not read to its end.
func abandon(ctx context.Context, q *pgx.Conn) error {
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return q.Close(done)
}

// query reads a table behind a key, in the order of the key. The server sends
// the rows as they are taken: none of the two holds them.
func (t *table) query(after []string) (query string, args [][]byte) {
	quoted := func(names []string) string {
		var out []string
		for _, n := range names {
			out = append(out, pgx.Identifier{n}.Sanitize())
		}
		return strings.Join(out, ", ")
	}
	from := " FROM ONLY "
	if t.kind == "p" {
		from = " FROM "
	}
	query = "SELECT " + quoted(t.columns) + from + t.quoted()
	if len(t.key) == 0 {
		return query, nil // it is read from its beginning again
	}
	if len(after) == len(t.key) {
		var places []string
		for i, v := range after {
			places, args = append(places, "$"+strconv.Itoa(i+1)), append(args, []byte(v))
		}
		query += " WHERE (" + quoted(t.key) + ") > (" + strings.Join(places, ", ") + ")"
	}
	return query + " ORDER BY " + quoted(t.key), args
}

// batch is what is stored together.
type batch struct {
	limits sdk.Limits
	events []sdk.Event
	size   int
	read   uint64
	bad    uint64
	after  []string
	lsn    LSN // of the last commit in it; 0: there is none
}

func (b *batch) add(events []sdk.Event) {
	for _, e := range events[len(b.events):] {
		b.size += len(e)
	}
	b.events = events
}

// mostBytes bounds a batch where the host's bound is larger.
const mostBytes = 1 << 20

func (b *batch) full() bool {
	bytes, events := mostBytes, 1000
	if b.limits.BatchBytes > 0 {
		bytes = min(bytes, b.limits.BatchBytes/2)
	}
	if b.limits.BatchEvents > 0 {
		events = min(events, b.limits.BatchEvents)
	}
	return b.size >= bytes || len(b.events) >= events || b.read >= 10_000
}

// problemAt puts a problem into a sync's place of the config.
func (f *Follower) problemAt(name string, p sdk.Problem) sdk.Problem {
	p.Path = "/syncs/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name) + p.Path
	return p
}

func indexOf(all []string, name string) int {
	for i, s := range all {
		if s == name {
			return i
		}
	}
	return -1
}
