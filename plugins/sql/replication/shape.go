package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// types knows the types of a server's columns by their number.
type types struct {
	q     *pgx.Conn
	known map[uint32]row.Postgres
}

// maxTypes bounds the types of its users' that are kept.
const maxTypes = 10_000

// firstOwn is the least number of a type that is not PostgreSQL's own
// (FirstNormalObjectId).
const firstOwn = 16384

// of returns a type. A domain is written as what it is made from.
func (t *types) of(ctx context.Context, oid uint32) (row.Postgres, error) {
	if oid < firstOwn {
		return row.PostgresType(oid), nil
	}
	if have, ok := t.known[oid]; ok {
		return have, nil
	}
	var base, element uint32
	err := t.q.QueryRow(ctx, `SELECT CASE typtype WHEN 'd' THEN typbasetype ELSE 0 END::oid, CASE WHEN typcategory = 'A' AND typtype = 'b' THEN typelem ELSE 0 END::oid
		FROM pg_type WHERE oid = $1`, oid).Scan(&base, &element)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return row.Postgres{}, err
	}
	out := row.PostgresType(oid)
	switch {
	case base != 0:
		out, err = t.of(ctx, base)
	case element != 0:
		out, err = t.of(ctx, element)
		out = out.Array()
	default: // a type that was dropped meanwhile is text
		err = nil
	}
	if t.known == nil || len(t.known) >= maxTypes {
		t.known = map[uint32]row.Postgres{}
	}
	t.known[oid] = out
	return out, err
}

// shape is what a table's rows become in one sync, as long as the table has
// these columns.
type shape struct {
	sync   string
	silent bool  // deletions are not told
	used   []int // the columns that the call has, of the table's
	mapper *row.Mapper
	values [][]byte
}

// newShape returns the shape of a table with these columns.
func (f *Follower) newShape(name string, columns, key []string) (*shape, []sdk.Problem) {
	of := f.Syncs[name]
	m := of.Mapping
	s := &shape{sync: name, silent: of.Silent}
	var names []string
	called := func(column string) string {
		if other, ok := of.Columns[column]; ok {
			return other
		}
		return column
	}
	for i, c := range columns {
		if n := called(c); n != "" {
			s.used, names = append(s.used, i), append(names, n)
		}
	}
	if len(m.Key) == 0 {
		m.Key = key
	}
	m.Key = slices.Clone(m.Key)
	for i, k := range m.Key {
		m.Key[i] = called(k)
		if m.Key[i] == "" || !slices.Contains(names, m.Key[i]) {
			return nil, []sdk.Problem{{Code: "columns", Path: "/columns", Message: fmt.Sprintf("the key's column %s is left out, or is none of the table's: %s", k, strings.Join(columns, ", ")), Fix: "keep it"}}
		}
	}
	for name := range of.Columns {
		if !slices.Contains(columns, name) {
			return nil, []sdk.Problem{{Code: "columns", Path: "/columns", Message: fmt.Sprintf("the table has no column %q; it has %s", name, strings.Join(columns, ", ")), Fix: "mend its name"}}
		}
	}
	// A key of one column says whom or what the row is, where nothing else does.
	has := func(fields ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			return slices.Contains(fields, strings.ToLower(strings.ReplaceAll(n, "_", "")))
		})
	}
	field := ""
	switch {
	case m.Call == row.Identify && !has("userid", "anonymousid"):
		field = "userId"
	case m.Call == row.Group && !has("groupid"):
		field = "groupId"
	}
	if field != "" && len(m.Key) == 1 {
		names[slices.Index(names, m.Key[0])] = field
		m.Key[0] = field
	}
	var problems []sdk.Problem
	if s.mapper, problems = row.NewMapper(m, names); len(problems) > 0 {
		for i := range problems { // its remedies are those of queries
			problems[i].Path = strings.Replace(problems[i].Path, "/query", "/columns", 1)
			if problems[i].Path == "/columns" {
				problems[i].Fix = "give the table's columns the names of the call's fields: columns: {customer_no: userId}"
			}
		}
		return nil, problems
	}
	s.values = make([][]byte, len(names))
	return s, nil
}

// of picks a row's values that the call has.
func (s *shape) of(all [][]byte) [][]byte {
	for i, c := range s.used {
		s.values[i] = all[c]
	}
	return s.values
}

// told is what a deletion tells of a row, to compare two rows.
func (s *shape) told(all [][]byte) string { return string(s.mapper.AppendIdentity(nil, s.of(all))) }

// upsert appends the event of a row that is there.
func (s *shape) upsert(to []sdk.Event, all [][]byte, salt string) ([]sdk.Event, error) {
	if err := s.mapper.Read(s.of(all)); err != nil {
		return to, err
	}
	return append(to, s.mapper.AppendEvent(make([]byte, 0, s.mapper.Len()), salt)), nil
}

// deletion appends the event of a row that is gone.
func (s *shape) deletion(to []sdk.Event, all [][]byte, at, salt string) []sdk.Event {
	if s.silent {
		return to
	}
	if e := s.mapper.AppendDeletion(nil, s.of(all), at, salt); len(e) > 0 {
		to = append(to, e)
	}
	return to
}
