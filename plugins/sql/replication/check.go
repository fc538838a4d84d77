package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// Check looks whether the tables can be followed, and changes nothing. It shows
// what their first rows would become, at most so many of each.
func Check(ctx context.Context, o Options, rows int, show func(sync string, events ...sdk.Event)) []sdk.Problem {
	o.Note = func(string, *sdk.Problem) {}
	f := New(o)
	problems, err := f.check(ctx, rows, show)
	if err != nil {
		problems = append(problems, f.problem(err))
	}
	return problems
}

func (f *Follower) check(ctx context.Context, rows int, show func(string, ...sdk.Event)) (problems []sdk.Problem, err error) {
	q, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close(context.WithoutCancel(ctx)) }()
	v, err := look(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := v.problem(); err != nil {
		problems = append(problems, f.problem(err))
	}
	if v.keep == "-1" {
		p := bad("wal_unbounded", "max_slot_wal_keep_size is -1: while the source does not run at all, only the server can bound the WAL that the slot keeps, and does not", "on the server: ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; then SELECT pg_reload_conf()")
		p.Warning = true
		problems = append(problems, p)
	}
	if len(problems) == 0 || problems[0].Warning {
		if err := f.mayReplicate(ctx); err != nil {
			problems = append(problems, f.problem(err))
		}
	}
	tables := map[string]*table{}
	for _, name := range f.names {
		found, t, err := f.checkTable(ctx, q, name, rows, show)
		if err != nil {
			return problems, err
		}
		if problems = append(problems, found...); t != nil {
			tables[name] = t
		}
	}
	statement, err := f.unpublished(ctx, q, v, tables)
	if err != nil || statement == "" {
		return problems, err
	}
	for _, t := range tables {
		var owns bool
		if err := q.QueryRow(ctx, `SELECT pg_has_role(relowner, 'USAGE') AND has_database_privilege(current_database(), 'CREATE') FROM pg_class WHERE oid = $1`, t.oid).Scan(&owns); err != nil {
			return problems, err
		}
		if !owns {
			return append(problems, f.mayNotPublish(statement, "it is not the owner of "+t.full()+", or may not create in the database")), nil
		}
	}
	return problems, nil
}

// mayReplicate tries what needs the right to replicate.
func (f *Follower) mayReplicate(ctx context.Context) error {
	conn, err := f.connectReplication(ctx)
	if err != nil {
		return err
	}
	_, err = pglogrepl.IdentifySystem(ctx, conn)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// checkTable looks at one sync.
func (f *Follower) checkTable(ctx context.Context, q *pgx.Conn, name string, rows int, show func(string, ...sdk.Event)) (problems []sdk.Problem, t *table, err error) {
	t, err = f.usable(ctx, q, name)
	if p, ok := errors.AsType[sdk.Problem](err); ok {
		return []sdk.Problem{f.problemAt(name, p)}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	s, found := f.newShape(name, t.columns, t.key)
	if len(found) > 0 {
		return []sdk.Problem{f.problemAt(name, found[0])}, nil, nil
	}
	if unknown := s.unknownWhenDeleted(t); len(unknown) > 0 && t.identity != "f" {
		problems = append(problems, f.problemAt(name, sdk.Problem{Code: "replica_identity", Path: "/table", Warning: true,
			Message: fmt.Sprintf("a deleted row of %s is told by its key alone, without %s", t.full(), strings.Join(unknown, ", ")), Fix: "ALTER TABLE " + t.quoted() + " REPLICA IDENTITY FULL"}))
	}
	types := &types{q: q}
	var columns []row.Postgres
	for _, oid := range t.types {
		c, err := types.of(ctx, oid)
		if err != nil {
			return problems, t, err
		}
		columns = append(columns, c)
	}
	query, _ := t.query(nil)
	result := q.PgConn().ExecParams(ctx, fmt.Sprintf("%s LIMIT %d", query, rows), nil, nil, nil, nil).Read()
	if result.Err != nil {
		p := f.problem(result.Err)
		p.Path = "/table"
		return append(problems, f.problemAt(name, p)), t, nil //nolint:nilerr // it is a problem now
	}
	var events []sdk.Event
	for _, raw := range result.Rows {
		values := make([][]byte, len(raw))
		for i, v := range raw {
			if v != nil {
				values[i] = columns[i].Append(nil, v)
			}
		}
		var rowErr error
		if events, rowErr = s.upsert(events, values, ""); rowErr != nil {
			problems = append(problems, f.problemAt(name, sdk.Problem{Code: "rows_refused", Path: "/table", Message: "a row becomes no call: " + rowErr.Error(), Fix: "mend the row, or columns", Warning: true}))
		}
	}
	if len(events) > 0 {
		show(name, events...)
	}
	return problems, t, nil
}

// unknownWhenDeleted are the columns that say whom a row is about and that are
// not in the table's key.
func (s *shape) unknownWhenDeleted(t *table) (names []string) {
	for _, i := range s.mapper.Identity() {
		if c := t.columns[s.used[i]]; !slices.Contains(t.key, c) {
			names = append(names, c)
		}
	}
	return names
}
