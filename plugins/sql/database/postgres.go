package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
)

// postgres is PostgreSQL, read in its text form: that has every digit of a number
// and needs no type to be known.
type postgres struct {
	config *pgconn.Config
}

// pageRows is how many rows are fetched at once. The server keeps the rest.
const pageRows = 1000

const connectTimeout = 15 * time.Second

func openPostgres(_ context.Context, where string) (Database, error) {
	c, err := PostgresConfig(where)
	if err != nil {
		return nil, err
	}
	return &postgres{config: c}, nil
}

// PostgresConfig is the config of a connection in whose sessions values have the
// form that row.Postgres reads.
func PostgresConfig(where string) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig(where)
	if err != nil {
		// Its own error has the URL, the password starred out where it is found.
		return nil, errors.New("the url is not one of PostgreSQL; write postgres://USER:PASSWORD@HOST:5432/DATABASE, with %40 for an @ and so on in the password")
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.MaxProtocolMessageBodyLen = MaxRow
	for name, value := range map[string]string{
		"application_name": "wellhead", "client_encoding": "UTF8", "DateStyle": "ISO, MDY", "TimeZone": "UTC",
		"IntervalStyle": "iso_8601", "bytea_output": "hex", "extra_float_digits": "3",
	} {
		if name != "application_name" || c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
	return c, nil
}

func (d *postgres) Parse(text string) (Query, error) { return lexis{dollar: true}.parse(text) }

func (d *postgres) Least(c *Column) Value {
	if c == nil || c.Time {
		return Value{Text, "-infinity"}
	}
	switch c.Type {
	case "21":
		return Value{Text, "-32768"}
	case "23":
		return Value{Text, "-2147483648"}
	case "20":
		return Value{Text, "-9223372036854775808"}
	case "700", "701":
		return Value{Text, "-Infinity"}
	case "1700":
		return Value{Text, "-1e1000"}
	case "2950":
		return Value{Text, "00000000-0000-0000-0000-000000000000"}
	}
	return Value{Text, ""}
}

func (d *postgres) Close() error { return nil }

type postgresTx struct {
	conn *pgconn.PgConn
	now  Value
}

func (d *postgres) connect(ctx context.Context) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	return pgconn.ConnectConfig(ctx, d.config)
}

func (d *postgres) Begin(ctx context.Context) (Tx, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	t := &postgresTx{conn: conn}
	// The time is asked for first: the state that is read is that of the first
	// query which reads rows, or of this one.
	now, err := t.values(ctx, "select now()", "begin isolation level repeatable read read only", "set local cursor_tuple_fraction = 1", noticeGone)
	if err != nil {
		t.Close()
		return nil, err
	}
	t.now = Value{Time, now[0][0]}
	return t, nil
}

// noticeGone has the server look, while it works on a query, whether the process
// that asked for it is still there. Servers before 14 cannot.
const noticeGone = "select set_config(name, '5s', true) from pg_settings where name = 'client_connection_check_interval'"

func (t *postgresTx) Now() Value { return t.now }

func (t *postgresTx) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if t.conn.IsBusy() || t.conn.IsClosed() { // a query was given up, and the server would work on
		_ = t.conn.CancelRequest(ctx) // noticeGone ends what this does not
	}
	_ = t.conn.Close(ctx) // it reads, and the server ends what it held
}

// values runs statements and then a query that returns few short values.
func (t *postgresTx) values(ctx context.Context, query string, first ...string) ([][]string, error) {
	results, err := t.conn.Exec(ctx, strings.Join(append(first, query), ";")).ReadAll()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range results[len(results)-1].Rows {
		texts := make([]string, len(r))
		for i, v := range r {
			texts[i] = string(v)
		}
		out = append(out, texts)
	}
	return out, nil
}

var postgresStatement = statement{
	quote:       func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` },
	placeholder: func(n int, _ Value) string { return "$" + strconv.Itoa(n) },
	limit:       func(n int) (string, string) { return "", " limit " + strconv.Itoa(n) },
}

func (t *postgresTx) Columns(ctx context.Context, q Query) ([]Column, error) {
	text, _ := postgresStatement.text(Read{Query: q})
	d, err := t.conn.Prepare(ctx, "", text, nil)
	if err != nil {
		return nil, err
	}
	var out []Column
	for _, f := range d.Fields {
		out = append(out, postgresColumn(f.Name, f.DataTypeOID))
	}
	return out, nil
}

func (t *postgresTx) Rows(ctx context.Context, r Read) (Rows, error) {
	text, values := postgresStatement.text(r)
	args := make([][]byte, len(values))
	for i, v := range values {
		args[i] = []byte(v.Text)
	}
	if _, err := t.conn.ExecParams(ctx, "declare wellhead no scroll cursor for "+text, args, nil, nil, nil).Close(); err != nil {
		return nil, err
	}
	return &postgresRows{tx: t}, nil
}

// postgresRows fetches from a cursor, page by page.
type postgresRows struct {
	tx    *postgresTx
	page  *pgconn.ResultReader
	count int // rows of the page so far
	types []row.Postgres
	raw   [][]byte
	json  [][]byte
	text  []byte // of all values of the row
	ends  []int
	err   error
}

func (r *postgresRows) Next(ctx context.Context) bool {
	for r.err == nil {
		if r.page == nil {
			r.count = 0
			r.page = r.tx.conn.ExecParams(ctx, "fetch "+strconv.Itoa(pageRows)+" from wellhead", nil, nil, nil, nil)
		}
		if r.page.NextRow() {
			r.count++
			if r.types == nil {
				r.learn(r.page.FieldDescriptions())
			}
			r.take(r.page.Values())
			return r.err == nil
		}
		_, err := r.page.Close()
		r.page = nil
		var size *pgproto3.ExceededMaxBodyLenErr
		if errors.As(err, &size) {
			err = errRowSize
		}
		if err != nil {
			r.err = err
		} else if r.count < pageRows {
			break
		}
	}
	return false
}

func (r *postgresRows) learn(fields []pgconn.FieldDescription) {
	for _, f := range fields {
		r.types = append(r.types, row.PostgresType(f.DataTypeOID))
	}
	r.json, r.ends = make([][]byte, len(fields)), make([]int, len(fields))
}

func (r *postgresRows) take(raw [][]byte) {
	r.raw = raw
	b := r.text[:0]
	for i, v := range raw {
		if v != nil {
			b = r.types[i].Append(b, v)
		}
		r.ends[i] = len(b)
	}
	r.text = b
	from := 0
	for i, v := range raw {
		if r.json[i] = b[from:r.ends[i]:r.ends[i]]; v == nil {
			r.json[i] = nil
		}
		from = r.ends[i]
	}
}

func (r *postgresRows) JSON() [][]byte { return r.json }

func (r *postgresRows) Value(column int) Value {
	return Value{Text, string(r.raw[column])}
}

func (r *postgresRows) Err() error { return r.err }

func (r *postgresRows) Close() {
	if r.page != nil {
		_, _ = r.page.Close()
	}
	if !r.tx.conn.IsClosed() {
		// In a Tx that has failed it fails, and there is no cursor then.
		_ = r.tx.conn.Exec(context.Background(), "close wellhead").Close()
	}
}

// Indexed asks for the plan that the server makes where it may avoid reading
// whole tables: of small ones it reads the whole though there is an index.
func (t *postgresTx) Indexed(ctx context.Context, r Read) (found, known bool, err error) {
	if _, err := t.values(ctx, "select 1", "set local enable_seqscan = off"); err != nil {
		return false, false, err
	}
	text, values := postgresStatement.text(r)
	args := make([][]byte, len(values))
	for i, v := range values {
		args[i] = []byte(v.Text)
	}
	result := t.conn.ExecParams(ctx, "explain (format json) "+text, args, nil, nil, nil).Read()
	if result.Err != nil {
		return false, false, result.Err
	}
	var plan any
	if len(result.Rows) == 0 || json.Unmarshal(result.Rows[0][0], &plan) != nil {
		return false, false, nil //nolint:nilerr // a plan that is not understood says nothing
	}
	return anyIndexRange(plan), true, nil
}

// anyIndexRange reports whether a part of a plan reads a range of an index.
func anyIndexRange(plan any) bool {
	switch p := plan.(type) {
	case []any:
		for _, v := range p {
			if anyIndexRange(v) {
				return true
			}
		}
	case map[string]any:
		if condition, ok := p["Index Cond"].(string); ok && strings.Contains(condition, " >") {
			return true
		}
		for _, v := range p {
			if anyIndexRange(v) {
				return true
			}
		}
	}
	return false
}

// Rights tells whether the user is a superuser, or may write to tables.
func (d *postgres) Rights(ctx context.Context) ([]string, error) {
	tx, err := d.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Close()
	rows, err := tx.(*postgresTx).values(ctx, `select 'is a superuser' from pg_roles where rolname = current_user and rolsuper
		union all (select 'may write to ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
		and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') order by 1 limit 4)`)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range rows {
		out = append(out, r[0])
	}
	return out, nil
}

func (d *postgres) Tables(ctx context.Context, name string) ([]Table, error) {
	tx, err := d.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Close()
	result := tx.(*postgresTx).conn.ExecParams(ctx, `select case when n.nspname = current_schema() then c.relname else n.nspname || '.' || c.relname end,
		a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
		where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
		and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%' and has_schema_privilege(n.oid, 'USAGE')
		and has_column_privilege(c.oid, a.attnum, 'SELECT') and ($1 = '' or $1 in (c.relname, n.nspname || '.' || c.relname)) order by 1, a.attnum`,
		[][]byte{[]byte(name)}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	var out []Table
	for _, r := range result.Rows {
		oid, err := strconv.ParseUint(string(r[2]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("number of a type: %w", err)
		}
		c := postgresColumn(string(r[1]), uint32(oid))
		c.Type = string(r[3])
		if n := len(out); n == 0 || out[n-1].Name != string(r[0]) {
			out = append(out, Table{Name: string(r[0])})
		}
		out[len(out)-1].Columns = append(out[len(out)-1].Columns, c)
	}
	return out, nil
}

func postgresColumn(name string, oid uint32) Column {
	c := Column{Name: name, Type: strconv.FormatUint(uint64(oid), 10), JSONSchema: `{"type":["string","null"]}`}
	switch oid {
	case 16:
		c.JSONSchema = `{"type":["boolean","null"]}`
	case 20, 21, 23, 26:
		c.JSONSchema = `{"type":["integer","null"]}`
	case 700, 701, 1700:
		c.JSONSchema = `{"type":["number","string","null"]}`
	case 17:
		c.JSONSchema = `{"type":["string","null"],"contentEncoding":"base64"}`
	case 114, 3802:
		c.JSONSchema = `{}`
	case 1082, 1114, 1184:
		c.Time = true
		c.JSONSchema = `{"type":["string","null"],"format":"date-time"}`
		switch oid {
		case 1082:
			c.JSONSchema = `{"type":["string","null"],"format":"date"}`
		case 1114:
			c.JSONSchema = `{"type":["string","null"]}`
		}
	default:
		if row.PostgresType(oid).IsArray() {
			c.JSONSchema = `{"type":["array","null"]}`
		}
	}
	return c
}
