// Package database reads databases: each by its driver, all by one interface.
//
// A Tx sees one state of the database for as long as it is open, where the
// database can do that, and cannot write. Rows come one after another with
// memory for one page at most, their values as exact JSON; a Value is one exactly
// as the database had it, to be compared with the same column later.
package database

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// MaxRow bounds one row as it comes from the database, in bytes; a run that meets
// a larger one fails. What is larger than the host takes, and within this, is
// refused alone.
const MaxRow = 64 << 20

// Database is a database that is open. It is for several goroutines.
type Database interface {
	// Parse reads the query of a sync.
	Parse(text string) (Query, error)
	// Least is a value that no other of a column is less than; nil: of a time.
	Least(c *Column) Value
	// Begin begins to read. The Tx is for one goroutine.
	Begin(ctx context.Context) (Tx, error)
	// Tables lists tables and views that the user may read, with their columns. name, which
	// may be schema.name, asks for one.
	Tables(ctx context.Context, name string) ([]Table, error)
	// Rights tells by what the user can do more than read.
	Rights(ctx context.Context) ([]string, error)
	Close() error
}

// Tx reads one state of a database.
type Tx interface {
	// Now is the database's clock when the Tx began.
	Now() Value
	// Columns tells what a query returns.
	Columns(ctx context.Context, q Query) ([]Column, error)
	// Rows runs a read.
	Rows(ctx context.Context, r Read) (Rows, error)
	// Indexed reports whether a read finds the rows after Read.From by an index.
	// known is false where the database does not tell.
	Indexed(ctx context.Context, r Read) (found, known bool, err error)
	Close()
}

// Column is one of a result or table.
type Column struct {
	Name string
	Type string // as the database calls it
	Time bool   // a time, or a date
	// JSONSchema is the type of its values as JSON.
	JSONSchema string
}

// Table is a table or view.
type Table struct {
	Name    string // with its schema where that is not the user's own
	Columns []Column
}

// Read is one read of a query.
type Read struct {
	Query  Query
	Values map[string]Value // of the placeholders
	// Columns are those that Tx.Columns told.
	Columns []Column
	// Order are the columns by which rows are ordered; none: in any order.
	Order []string
	// From reads rows whose first column of Order is this or greater; the zero
	// Value: all rows.
	From Value
	// After reads rows behind this one: a value for each column of Order.
	After []Value
	// Limit is how many rows are read; 0: all.
	Limit int
}

// Rows are the rows of a read.
type Rows interface {
	// Next goes to the next row; false at the end, or at an error.
	Next(ctx context.Context) bool
	// JSON are the row's values, nil for NULL, until the next call of Next.
	JSON() [][]byte
	// Value is one value of the row as it is in the database.
	Value(column int) Value
	// Err is the error that ended the rows.
	Err() error
	Close()
}

// Value is a value of the database, kept exactly. The zero one is none.
type Value struct {
	Kind Kind   `json:"k,omitempty"`
	Text string `json:"v,omitempty"`
}

// Kind is how a Value goes back to the database.
type Kind string

// The kinds of values.
const (
	Text    Kind = "text" // what the database reads as its column's type
	Int     Kind = "int"
	Float   Kind = "float"
	Decimal Kind = "decimal"
	Bytes   Kind = "bytes" // in base64
	Time    Kind = "time"
	Bool    Kind = "bool"
)

// timeForms are those in which databases write times. The fraction of a second
// is read whether or not the form has one.
var timeForms = []string{
	"2006-01-02 15:04:05-07", "2006-01-02 15:04:05-07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-07",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02",
}

// Before returns the time that is d before this value and no later than now, in
// the value's own form, to the second; ok is false where the value is no time.
func (v Value) Before(now Value, d time.Duration) (before Value, ok bool) {
	if v.Kind != Time && v.Kind != Text {
		return v, false
	}
	clock, clockForm, known := parseTime(now.Text)
	if known && v.Text == "infinity" { // of PostgreSQL: after every other time
		return Value{v.Kind, clock.Add(-d).Format(clockForm)}, true
	}
	t, form, ok := parseTime(v.Text)
	if !ok {
		return v, false
	}
	if known && clock.Before(t) {
		t = clock.In(t.Location())
	}
	return Value{v.Kind, t.Add(-d).Format(form)}, true
}

// Instant is the value as a time; one without a zone is taken as UTC.
func (v Value) Instant() (t time.Time, ok bool) {
	t, _, ok = parseTime(v.Text)
	return t, ok
}

func parseTime(text string) (t time.Time, form string, ok bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil && t.Year() > 1 {
			return t, form, true
		}
	}
	return t, "", false
}

// Open opens the database of a URL. secrets are the parts of the URL that may
// appear in no message; see Scrub.
func Open(ctx context.Context, where string) (Database, error) {
	scheme, _, ok := strings.Cut(where, ":")
	open := openers[strings.ToLower(scheme)]
	if !ok || open == nil {
		known := strings.Join(slices.Sorted(maps.Keys(openers)), ", ")
		if other, is := elsewhere[strings.ToLower(scheme)]; ok && is {
			return nil, fmt.Errorf("this plugin was built without %s; %s", scheme, other)
		}
		return nil, fmt.Errorf("the url has to begin with one of %s, and a colon", known)
	}
	return open(ctx, where)
}

// openers are by scheme, in lower case. Files with a build tag add to them.
var openers = map[string]func(ctx context.Context, where string) (Database, error){
	"postgres":   openPostgres,
	"postgresql": openPostgres,
}

// elsewhere says what to do about a database that is known and has no driver here.
var elsewhere = func() map[string]string {
	const fix = "copy what is to be read into a database that it has, such as PostgreSQL"
	return map[string]string{"snowflake": fix, "bigquery": fix, "clickhouse": fix, "duckdb": fix}
}()

// Scrub returns a function that removes the secrets of a URL from a text: the
// password, however it is written, and what stands in parameters of such a name.
func Scrub(where string) func(string) string {
	secrets := []string{}
	add := func(s string) {
		for _, s := range []string{s, url.QueryEscape(s), url.PathEscape(s), url.UserPassword("", s).String()[1:]} {
			if s != "" && !slices.Contains(secrets, s) {
				secrets = append(secrets, s)
			}
		}
	}
	if _, rest, ok := strings.Cut(where, ":"); ok {
		// By hand: a URL that does not parse has a password too.
		authority, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		if i := strings.LastIndexByte(rest, '@'); i >= 0 && i > len(authority) {
			authority = strings.TrimPrefix(rest, "//")
		}
		if i := strings.LastIndexByte(authority, '@'); i >= 0 {
			if _, password, ok := strings.Cut(authority[:i], ":"); ok {
				add(password)
				if p, err := url.PathUnescape(password); err == nil {
					add(p)
				}
			}
		}
	}
	if _, query, ok := strings.Cut(where, "?"); ok {
		for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			name = strings.ToLower(name)
			if strings.Contains(name, "pass") || strings.Contains(name, "pwd") || strings.Contains(name, "token") || strings.Contains(name, "key") || strings.Contains(name, "secret") || strings.Contains(name, "credential") {
				add(value)
				if v, err := url.QueryUnescape(value); err == nil {
					add(v)
				}
			}
		}
	}
	// The longest first: a short one may be part of it.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return func(text string) string {
		if _, rest, _ := strings.Cut(where, ":"); rest != "" {
			text = strings.ReplaceAll(text, where, "the url")
		}
		for _, s := range secrets {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
		return text
	}
}

// statement builds the text of a Read for a dialect.
type statement struct {
	quote       func(name string) string
	placeholder func(n int, v Value) string // the n-th parameter, from 1
	list        func(columns []Column) string
	limit       func(n int) (before, after string)
}

// text returns the text and its parameters.
func (s statement) text(r Read) (string, []Value) {
	var b strings.Builder
	var args []Value
	bind := func(v Value) string {
		args = append(args, v)
		return s.placeholder(len(args), v)
	}
	list := "*"
	if s.list != nil {
		list = s.list(r.Columns)
	}
	before, after := "", ""
	if r.Limit > 0 {
		before, after = s.limit(r.Limit)
	}
	b.WriteString("select " + before + list + " from (\n")
	for i, name := range r.Query.names {
		b.WriteString(r.Query.texts[i] + bind(r.Values[name]))
	}
	b.WriteString(r.Query.texts[len(r.Query.texts)-1] + "\n) wellhead")
	if r.From != (Value{}) {
		b.WriteString(" where " + s.quote(r.Order[0]) + " >= " + bind(r.From))
	}
	if len(r.After) > 0 {
		b.WriteString(map[bool]string{true: " where ", false: " and "}[r.From == Value{}])
		// The first condition is one that an index can serve.
		b.WriteString(s.quote(r.Order[0]) + " >= " + bind(r.After[0]) + " and (")
		for i, column := range r.Order {
			if i > 0 {
				b.WriteString(" or (" + s.quote(r.Order[i-1]) + " = " + bind(r.After[i-1]) + " and (")
			}
			b.WriteString(s.quote(column) + " > " + bind(r.After[i]))
		}
		b.WriteString(strings.Repeat("))", len(r.Order)-1) + ")")
	}
	for i, column := range r.Order {
		b.WriteString(map[bool]string{true: " order by ", false: ", "}[i == 0] + s.quote(column))
	}
	b.WriteString(after)
	return b.String(), args
}

var errRowSize = errors.New("a row is larger than 64 MiB")
