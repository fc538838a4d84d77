package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wellhead-io/wellhead/sdk"
)

// leastVersion has wal_status and pg_current_snapshot.
const leastVersion = 130000

// config is that of every connection: values are written as package row reads
// them.
func (f *Follower) config() (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(f.URL)
	if err != nil {
		// Its error may hold the URL, with the password.
		return nil, sdk.Problem{Code: "url", Path: "/url", Message: "is no URL of a PostgreSQL server", Fix: "write postgres://user:password@host:5432/database"} //nolint:gosec // a form, and no password
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name": "wellhead " + f.Source,
		"DateStyle":        "ISO", "TimeZone": "UTC", "IntervalStyle": "iso_8601", "bytea_output": "hex", "extra_float_digits": "1",
		"client_encoding": "UTF8", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
	})
	return c, nil
}

// connect opens a connection for queries.
func (f *Follower) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, c)
}

// connectReplication opens a connection for replication commands.
func (f *Follower) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["replication"] = "database"
	return pgconn.ConnectConfig(ctx, &c.Config)
}

// facts are what a server is.
type facts struct {
	walLevel, keep, system string
	version                int
	standby                bool
	end                    LSN // of the WAL that is on the server's disk
}

func look(ctx context.Context, q *pgx.Conn) (v facts, err error) {
	err = q.QueryRow(ctx, `SELECT current_setting('wal_level'), current_setting('server_version_num')::int, pg_is_in_recovery(),
		COALESCE(current_setting('max_slot_wal_keep_size', true), ''), (SELECT system_identifier::text FROM pg_control_system()),
		CASE WHEN pg_is_in_recovery() THEN '0/0' ELSE pg_current_wal_flush_lsn() END::text`).
		Scan(&v.walLevel, &v.version, &v.standby, &v.keep, &v.system, &v.end)
	return v, err
}

// problem is why a server cannot be followed.
func (v facts) problem() error {
	switch {
	case v.version < leastVersion:
		return bad("server_version", "the server's version is %d, which is not followed", "use PostgreSQL 13 or newer", v.version/10000)
	case v.standby:
		return bad("standby", "the server is a standby: it takes no publication", "connect to the primary, such as by url: postgres://…@host1,host2/db?target_session_attrs=read-write")
	case v.walLevel != "logical":
		return bad("wal_level", "wal_level is %s", "on the server: ALTER SYSTEM SET wal_level = logical; then restart it (Amazon RDS: rds.logical_replication = 1)", v.walLevel)
	}
	return nil
}

// table is a table of the server as it is now.
type table struct {
	oid          uint32
	schema, name string
	kind         string // r, or p: partitioned
	identity     string // pg_class.relreplident
	persistence  string
	rows         int64    // an estimate
	key          []string // columns of the primary key or the replica identity
	columns      []string
	types        []uint32
}

func (t *table) full() string   { return t.schema + "." + t.name }
func (t *table) quoted() string { return pgx.Identifier{t.schema, t.name}.Sanitize() }

// readTable looks a table up.
func readTable(ctx context.Context, q *pgx.Conn, name string) (*table, error) {
	t := &table{}
	err := q.QueryRow(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relreplident::text, c.relpersistence::text, c.reltuples::bigint,
		COALESCE((SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, place), pg_attribute a
			WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND a.attnum = k.number AND k.place <= i.indnkeyatts
			AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END), '{}'),
		COALESCE((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}'),
		COALESCE((SELECT array_agg(a.atttypid ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`, name).
		Scan(&t.oid, &t.schema, &t.name, &t.kind, &t.identity, &t.persistence, &t.rows, &t.key, &t.columns, &t.types)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, sdk.Problem{Code: "no_table", Path: "/table", Message: fmt.Sprintf("there is no table %s, or the user may not see it", name), Fix: "wellhead discover lists the tables; write its schema too, as in public.people"}
	case err != nil:
		return nil, err
	case t.kind != "r" && t.kind != "p":
		return nil, sdk.Problem{Code: "no_table", Path: "/table", Message: t.full() + " is no table, and has no changes to follow", Fix: "name the tables that it is made from, or read it with a query"}
	case t.persistence != "p":
		return nil, sdk.Problem{Code: "no_table", Path: "/table", Message: t.full() + " is unlogged or temporary: its changes are in no WAL", Fix: "ALTER TABLE " + t.quoted() + " SET LOGGED"}
	case t.identity == "n" || len(t.key) == 0 && t.identity != "f":
		return nil, sdk.Problem{Code: "no_key", Path: "/table", Message: t.full() + " has neither a primary key nor a replica identity: once it is published, the server refuses its updates and deletes",
			Fix: "ALTER TABLE " + t.quoted() + " ADD PRIMARY KEY (…), or REPLICA IDENTITY FULL and key: in the config"}
	}
	return t, nil
}

// publish sees that the publication has the tables.
func (f *Follower) publish(ctx context.Context, q *pgx.Conn, v facts, tables map[string]*table) error {
	statement, err := f.unpublished(ctx, q, v, tables)
	if err != nil || statement == "" {
		return err
	}
	_, err = q.Exec(ctx, statement)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == insufficientPrivilege {
		return f.mayNotPublish(statement, e.Message)
	}
	return err
}

func (f *Follower) mayNotPublish(statement, why string) sdk.Problem {
	return bad("publication", "publication %s lacks tables, and the user may not change it: %s", "as the tables' owner: "+statement, f.Publication, why)
}

// unpublished is the statement that adds the tables which the publication lacks;
// "": it has them.
func (f *Follower) unpublished(ctx context.Context, q *pgx.Conn, v facts, tables map[string]*table) (string, error) {
	var rows, truncates, filtered bool
	name := pgx.Identifier{f.Publication}.Sanitize()
	filter := "false"
	if v.version >= 150000 {
		filter = "EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))"
	}
	err := q.QueryRow(ctx, `SELECT pubinsert AND pubupdate AND pubdelete, pubtruncate, `+filter+` FROM pg_publication p WHERE pubname = $1`, f.Publication).Scan(&rows, &truncates, &filtered)
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return "", err
	case exists && (!rows || !truncates):
		return "", bad("publication", "publication %s leaves out some kinds of changes", "ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')", f.Publication)
	case filtered:
		return "", bad("publication", "publication %s has a row filter or a list of columns", "publish whole tables; leave columns out by columns: {NAME: null} in the config", f.Publication)
	}
	var has []string
	if err := q.QueryRow(ctx, `SELECT COALESCE(array_agg(schemaname || '.' || tablename), '{}') FROM pg_publication_tables WHERE pubname = $1`, f.Publication).Scan(&has); err != nil {
		return "", err
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		t := tables[name]
		if !slices.Contains(has, t.full()) && !slices.Contains(missing, t.quoted()) {
			missing = append(missing, t.quoted())
		}
	}
	if len(missing) == 0 {
		return "", nil
	}
	if exists {
		return "ALTER PUBLICATION " + name + " ADD TABLE " + strings.Join(missing, ", "), nil
	}
	return "CREATE PUBLICATION " + name + " FOR TABLE " + strings.Join(missing, ", ") + " WITH (publish_via_partition_root = true)", nil
}

// slot is a replication slot.
type slot struct {
	active           bool
	plugin, database string
	status           string // pg_replication_slots.wal_status: lost when it is of no use
	confirmed        LSN
	kept             uint64 // bytes of WAL
	holder           string
	rightPlace       bool // it is one that this package could have made
}

// slot looks the slot up; nil: there is none.
func (f *Follower) slot(ctx context.Context, q *pgx.Conn) (*slot, error) {
	var s slot
	err := q.QueryRow(ctx, `SELECT s.active, COALESCE(s.plugin, ''), COALESCE(s.database, ''), COALESCE(s.wal_status, 'lost'), COALESCE(s.confirmed_flush_lsn, '0/0')::text,
		GREATEST(COALESCE(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0), 0)::bigint,
		COALESCE('process ' || s.active_pid || COALESCE(', ' || a.application_name, '') || COALESCE(', from ' || a.client_addr, ''), ''),
		s.slot_type = 'logical' AND s.plugin = 'pgoutput' AND s.database = current_database()
		FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1`, f.Slot).
		Scan(&s.active, &s.plugin, &s.database, &s.status, &s.confirmed, &s.kept, &s.holder, &s.rightPlace)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	return &s, err
}

// drop drops the slot, which nobody may use.
func (f *Follower) drop(ctx context.Context, q *pgx.Conn) error {
	for {
		_, err := q.Exec(ctx, `SELECT pg_drop_replication_slot($1)`, f.Slot)
		e, ok := errors.AsType[*pgconn.PgError](err)
		switch {
		case ok && e.Code == undefinedObject:
			return nil
		case ok && e.Code == objectInUse: // the server has not seen yet that the connection is closed
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return err
	}
}

// begin sees that there is a slot and that reading can go on from the state. It
// returns the snapshot that belongs to a slot which it made, and what keeps it.
func (f *Follower) begin(ctx context.Context, q *pgx.Conn, v facts) (snapshot string, keeper *pgconn.PgConn, err error) {
	s, err := f.slot(ctx, q)
	if err != nil {
		return "", nil, err
	}
	if f.state.LSN != 0 {
		if why := f.missing(s, v); why != "" {
			if err := f.lost(ctx, why); err != nil {
				return "", nil, err
			}
		}
	}
	switch {
	case f.state.LSN != 0:
		return "", nil, nil
	case s != nil && !s.rightPlace:
		return "", nil, bad("slot_in_use", "replication slot %s is of another kind (plugin %q, database %q)", "choose another name: replication: {slot: NAME}", f.Slot, s.plugin, s.database)
	case s != nil && s.active:
		return "", nil, bad("slot_in_use", "replication slot %s is in use by %s", "give each source a slot of its own: replication: {slot: NAME}", f.Slot, s.holder)
	case s != nil && s.status == "lost":
		if err := f.drop(ctx, q); err != nil {
			return "", nil, err
		}
		s = nil
	}
	next := f.state.clone()
	next.System = v.system
	if s != nil { // what is in both the snapshot and the slot is told by both
		next.LSN, next.Epoch = s.confirmed, s.confirmed
		f.state = next
		return "", nil, nil
	}
	if keeper, err = f.connectReplication(ctx); err != nil {
		return "", nil, err
	}
	done := f.patient()
	made, err := pglogrepl.CreateReplicationSlot(ctx, keeper, `"`+f.Slot+`"`, "pgoutput", pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT"})
	done()
	if err == nil {
		next.LSN, err = pglogrepl.ParseLSN(made.ConsistentPoint)
	}
	if err != nil {
		_ = keeper.Close(context.WithoutCancel(ctx))
		return "", nil, err
	}
	next.Epoch = next.LSN
	f.state = next
	return made.SnapshotName, keeper, nil
}

// missing says why changes after the state are not to be had; "": they are.
func (f *Follower) missing(s *slot, v facts) string {
	switch {
	case f.state.System != v.system:
		return "url leads to another server now"
	case s == nil:
		return "replication slot " + f.Slot + " is gone"
	case !s.rightPlace:
		return "replication slot " + f.Slot + " is of another kind now"
	case s.status == "lost":
		return "the server has removed WAL that replication slot " + f.Slot + " needed (max_slot_wal_keep_size)"
	case s.confirmed > f.state.LSN:
		return fmt.Sprintf("somebody else has read replication slot %s up to %s", f.Slot, s.confirmed)
	case v.end < f.state.LSN:
		return fmt.Sprintf("the server has gone back to %s, as a restored backup or a promoted standby does", v.end)
	}
	return ""
}

// settle returns when every transaction that is under way has ended: one that
// began before a table was published may not be told, and no snapshot taken
// before its end has it either.
func (f *Follower) settle(ctx context.Context, q *pgx.Conn) error {
	var until uint64
	if err := q.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric::bigint`).Scan(&until); err != nil {
		return err
	}
	defer f.patient()()
	for {
		var oldest uint64
		if err := q.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric::bigint`).Scan(&oldest); err != nil {
			return err
		}
		if oldest >= until {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// patient says that the follower turns, and tells after a while what it waits
// for, until the function that it returns is called.
func (f *Follower) patient() (done func()) {
	end := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		tick := time.NewTicker(f.LookEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.Alive()
				p := bad("long_transaction", "a snapshot waits for transactions that began earlier", "it begins when they end; pg_stat_activity shows them")
				f.Note("replication wait", &p)
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		waiting.Wait()
		f.Note("replication wait", nil)
	}
}

// watchLag looks at what the slot makes the server keep, until it is too much.
func (f *Follower) watchLag(ctx context.Context) error {
	q, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(f.LookEvery)
	defer tick.Stop()
	for {
		s, err := f.slot(ctx, q)
		if err != nil {
			return err
		}
		if s != nil && f.lag(s) && f.Drop {
			return errDropped
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// lag tells how much the slot keeps, where it is much, and whether it is too much.
func (f *Follower) lag(s *slot) bool {
	var p *sdk.Problem
	most := f.MaxLag
	if most > 0 && s.kept >= most/2 || s.status == "unreserved" || s.status == "lost" {
		fix := "let the source go on: what holds it is told beside this; the server's own bound is max_slot_wal_keep_size"
		if f.Drop {
			fix += fmt.Sprintf("; at %s the slot is dropped, and the tables are read anew", size(most))
		}
		n := bad("slot_lag", "the server keeps %s of WAL for replication slot %s (%s)", fix, size(s.kept), f.Slot, s.status)
		if most > 0 && s.kept >= most {
			n.Code = "slot_limit"
		}
		p = &n
	}
	f.Note("replication lag", p)
	return most > 0 && s.kept >= most
}

func size(n uint64) string {
	for _, u := range []struct {
		of   uint64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.of {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.of), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
