package database

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
)

// flavour is what tells one database from another that is read by database/sql.
type flavour struct {
	lexis
	statement
	// begin are the statements with which a session begins to read one state, the
	// last of which may return the database's clock in UTC; end ends it.
	begin []string
	now   string
	end   string
	// write appends a value of a column as JSON.
	write func(dst []byte, v any, c column) []byte
	// value is a value as it goes back; nil: valueOf.
	value func(v any, c column) Value
	// arg makes a parameter of a value; nil: argOf.
	arg func(v Value) any
	// column says what a column holds.
	column func(t *sql.ColumnType) Column
	least  func(c *Column) Value
	// indexed tells by a plan, one row a step, whether a range of an index is read.
	explain string
	indexed func(columns []string, plan [][]string) bool
	tables  func(ctx context.Context, db *sql.DB, name string) ([]Table, error)
	rights  func(ctx context.Context, db *sql.DB) ([]string, error)
	// prepare: statements are prepared, so that values come in the binary form.
	prepare bool
	// setUp is called for each session.
	setUp func(c *sql.Conn) error
}

// column is a result's column to a flavour.
type column struct{ name, kind string }

// standard is a database that is read by database/sql.
type standard struct {
	*flavour
	db *sql.DB
}

func (d *standard) Parse(text string) (Query, error) { return d.parse(text) }
func (d *standard) Close() error                     { return d.db.Close() }
func (d *standard) Least(c *Column) Value            { return d.least(c) }

func (d *standard) Rights(ctx context.Context) ([]string, error) {
	if d.rights == nil {
		return nil, nil
	}
	return d.rights(ctx, d.db)
}

func (d *standard) Tables(ctx context.Context, name string) ([]Table, error) {
	return d.tables(ctx, d.db, name)
}

type standardTx struct {
	*flavour
	conn *sql.Conn
	now  Value
}

func (d *standard) Begin(ctx context.Context) (_ Tx, err error) {
	connecting, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	conn, err := d.db.Conn(connecting)
	if err != nil {
		return nil, err
	}
	t := &standardTx{flavour: d.flavour, conn: conn}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if d.setUp != nil {
		if err := d.setUp(conn); err != nil {
			return nil, err
		}
	}
	for _, s := range d.begin {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, err
		}
	}
	var now string
	if err := conn.QueryRowContext(ctx, d.flavour.now).Scan(&now); err != nil {
		return nil, err
	}
	t.now = Value{Time, now}
	return t, nil
}

func (t *standardTx) Now() Value { return t.now }

func (t *standardTx) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if t.end != "" {
		_, _ = t.conn.ExecContext(ctx, t.end) // a session that is broken is closed
	}
	_ = t.conn.Close()
}

func (t *standardTx) query(ctx context.Context, text string, values []Value) (*sql.Rows, func(), error) {
	args := make([]any, len(values))
	for i, v := range values {
		if t.arg != nil {
			args[i] = t.arg(v)
		} else {
			args[i] = argOf(v)
		}
	}
	if !t.prepare {
		rows, err := t.conn.QueryContext(ctx, text, args...) //nolint:sqlclosecheck // the caller does
		return rows, func() {}, err
	}
	s, err := t.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return rows, func() { _ = s.Close() }, nil
}

func (t *standardTx) Columns(ctx context.Context, q Query) ([]Column, error) {
	values := map[string]Value{Cursor: t.least(nil), LastSyncTime: t.least(nil)}
	text, args := t.text(Read{Query: q, Values: values, Limit: 1})
	rows, done, err := t.query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	defer done()
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var out []Column
	for _, c := range types {
		out = append(out, t.column(c))
	}
	return out, rows.Err()
}

func (t *standardTx) Rows(ctx context.Context, r Read) (Rows, error) {
	text, args := t.text(r)
	rows, done, err := t.query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		_ = rows.Close()
		done()
		return nil, err
	}
	out := &standardRows{flavour: t.flavour, rows: rows, done: done}
	for i, c := range types {
		kind := c.DatabaseTypeName()
		if kind == "" && i < len(r.Columns) {
			kind = r.Columns[i].Type
		}
		out.columns = append(out.columns, column{c.Name(), kind})
	}
	out.values, out.json = make([]any, len(types)), make([][]byte, len(types))
	for i := range out.values {
		out.into = append(out.into, &out.values[i])
	}
	return out, nil
}

type standardRows struct {
	*flavour
	rows    *sql.Rows
	done    func()
	columns []column
	values  []any
	into    []any
	json    [][]byte
	text    []byte
	err     error
}

func (r *standardRows) Next(context.Context) bool {
	if r.err != nil || !r.rows.Next() {
		return false
	}
	if r.err = r.rows.Scan(r.into...); r.err != nil {
		return false
	}
	b := r.text[:0]
	for i, v := range r.values {
		from := len(b)
		if r.json[i] = nil; v != nil {
			b = r.write(b, v, r.columns[i])
			r.json[i] = b[from:len(b):len(b)]
		}
	}
	r.text = b
	return true
}

func (r *standardRows) JSON() [][]byte { return r.json }

func (r *standardRows) Value(i int) Value {
	if r.value != nil {
		return r.value(r.values[i], r.columns[i])
	}
	return valueOf(r.values[i])
}

func (r *standardRows) Err() error { return errors.Join(r.err, r.rows.Err()) }

func (r *standardRows) Close() {
	_ = r.rows.Close()
	r.done()
}

func (t *standardTx) Indexed(ctx context.Context, r Read) (found, known bool, err error) {
	if t.explain == "" {
		return false, false, nil
	}
	text, args := t.text(r)
	rows, done, err := t.query(ctx, t.explain+text, args)
	if err != nil {
		return false, false, err
	}
	defer done()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return false, false, err
	}
	var plan [][]string
	for rows.Next() {
		texts := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := rows.Scan(into...); err != nil {
			return false, false, err
		}
		step := make([]string, len(columns))
		for i, s := range texts {
			step[i] = s.String
		}
		plan = append(plan, step)
	}
	return t.indexed(columns, plan), true, rows.Err()
}

// valueOf keeps what a driver returned.
func valueOf(v any) Value {
	switch v := v.(type) {
	case int64:
		return Value{Int, strconv.FormatInt(v, 10)}
	case uint64:
		return Value{Int, strconv.FormatUint(v, 10)}
	case float64:
		return Value{Float, strconv.FormatFloat(v, 'g', -1, 64)}
	case float32:
		return Value{Float, strconv.FormatFloat(float64(v), 'g', -1, 32)}
	case bool:
		return Value{Bool, strconv.FormatBool(v)}
	case string:
		return Value{Text, v}
	case []byte:
		return Value{Bytes, base64.StdEncoding.EncodeToString(v)}
	case time.Time:
		return Value{Time, v.Format(time.RFC3339Nano)}
	}
	return Value{Text, fmt.Sprint(v)}
}

// argOf is a value as database/sql takes it.
func argOf(v Value) any {
	switch v.Kind {
	case Int:
		if i, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(v.Text, 10, 64); err == nil {
			return u
		}
	case Float:
		if f, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return f
		}
	case Bool:
		return v.Text == "true"
	case Bytes:
		if b, err := base64.StdEncoding.DecodeString(v.Text); err == nil {
			return b
		}
	}
	return v.Text
}

// appendValue appends a value by its type in Go.
func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return appendFloat(dst, v, 64)
	case float32:
		return appendFloat(dst, float64(v), 32)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return row.AppendText(dst, []byte(v))
	case []byte:
		return row.AppendBytes(dst, v)
	case time.Time:
		return v.AppendFormat(dst, `"2006-01-02T15:04:05.999999999Z07:00"`)
	}
	if b, err := json.Marshal(v); err == nil {
		return append(dst, b...)
	}
	return row.AppendText(dst, fmt.Append(nil, v))
}

// appendFloat appends the shortest decimal that is this number and no other.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}
