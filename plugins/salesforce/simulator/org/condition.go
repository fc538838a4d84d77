package org

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org/soql"
)

// condition is a compiled WHERE.
type condition func(n uint64, r *row) bool

// compiler turns one statement's conditions into functions.
type compiler struct {
	org   *Org
	query string
	t     *table
}

func (c *compiler) compile(e soql.Expr) (condition, error) {
	switch e := e.(type) {
	case soql.And:
		return c.all(e)
	case soql.Or:
		return c.any(e)
	case soql.Not:
		inner, err := c.compile(e.Of)
		return func(n uint64, r *row) bool { return !inner(n, r) }, err
	case *soql.Compare:
		return c.compare(e)
	}
	return func(uint64, *row) bool { return true }, nil
}

func (c *compiler) list(of []soql.Expr) ([]condition, error) {
	var out []condition
	for _, e := range of {
		f, err := c.compile(e)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (c *compiler) all(of []soql.Expr) (condition, error) {
	list, err := c.list(of)
	return func(n uint64, r *row) bool {
		for _, f := range list {
			if !f(n, r) {
				return false
			}
		}
		return true
	}, err
}

func (c *compiler) any(of []soql.Expr) (condition, error) {
	list, err := c.list(of)
	return func(n uint64, r *row) bool {
		for _, f := range list {
			if f(n, r) {
				return true
			}
		}
		return false
	}, err
}

func (c *compiler) compare(e *soql.Compare) (condition, error) {
	col, err := c.org.resolve(c.query, c.t, e.Field)
	if err != nil {
		return nil, err
	}
	if filterable, _ := col.f.meta["filterable"].(bool); !filterable {
		return nil, queryError("INVALID_FIELD", c.query, e.Field.Pos, "field '%s' can not be filtered in a query call", col.f.name)
	}
	var tests []func([]byte) bool
	for _, v := range e.Values {
		if err := c.check(col.f, v); err != nil {
			return nil, err
		}
		test, err := c.test(col.f, e.Op, v)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	if fast := c.fast(&col, e); fast != nil {
		return fast, nil
	}
	negative := e.Op == soql.NotIn || e.Op == soql.Excludes
	return func(n uint64, r *row) bool {
		v := text(col.get(c.org, c.t, n, r))
		for _, test := range tests {
			if test(v) {
				return !negative
			}
		}
		return negative
	}, nil
}

// fast compares the columns of a row itself, which windows and keyset paging do
// for every row; nil where the comparison is of another kind.
func (c *compiler) fast(col *column, e *soql.Compare) condition {
	if len(col.steps) > 0 || len(e.Values) != 1 || e.Values[0].Kind == soql.Null {
		return nil
	}
	v := e.Values[0]
	holds := order(e.Op)
	if holds == nil {
		return nil
	}
	switch col.f.system {
	case sysIsDeleted:
		return func(_ uint64, r *row) bool { return holds(cmp.Compare(strconv.FormatBool(r.state != live), v.Text)) }
	case sysID:
		want, _ := canonicalID(v.Text)
		if len(want) < 15 || want[:6] != c.t.prefix+instance {
			return nil
		}
		m := number(want)
		return func(n uint64, _ *row) bool { return holds(cmp.Compare(n, m)) }
	case sysSystemModstamp, sysLastModifiedDate, sysCreatedDate:
		if v.Kind != soql.DateTime {
			return nil
		}
		at := parseDateTime(v.Text)
		whole, part := at.Unix(), at.Nanosecond()
		pick := map[system]func(*row) int64{sysSystemModstamp: func(r *row) int64 { return r.stamp },
			sysLastModifiedDate: func(r *row) int64 { return r.modified }, sysCreatedDate: func(r *row) int64 { return r.created }}[col.f.system]
		return func(_ uint64, r *row) bool {
			order := cmp.Compare(pick(r), whole)
			if order == 0 && part > 0 {
				order = -1
			}
			return holds(order)
		}
	}
	return nil
}

// order says of an operator for which results of a comparison it holds.
func order(op soql.Op) func(int) bool {
	switch op {
	case soql.Eq:
		return func(i int) bool { return i == 0 }
	case soql.Ne:
		return func(i int) bool { return i != 0 }
	case soql.Lt:
		return func(i int) bool { return i < 0 }
	case soql.Le:
		return func(i int) bool { return i <= 0 }
	case soql.Gt:
		return func(i int) bool { return i > 0 }
	case soql.Ge:
		return func(i int) bool { return i >= 0 }
	}
	return nil
}

var soqlTypes = map[string]string{"int": "int", "long": "long", "double": "double", "currency": "currency", "percent": "percent", "boolean": "boolean",
	"date": "date", "datetime": "dateTime", "time": "time"}

// check refuses a literal that is not of the field's type, in Salesforce's words.
func (c *compiler) check(f *field, v soql.Value) error {
	if v.Kind == soql.Null {
		return nil
	}
	name, ok := soqlTypes[f.typ]
	wanted := map[string][]soql.Kind{"int": {soql.Number}, "long": {soql.Number}, "double": {soql.Number}, "currency": {soql.Number}, "percent": {soql.Number},
		"boolean": {soql.Bool}, "date": {soql.Date, soql.Relative}, "datetime": {soql.DateTime, soql.Relative}, "time": nil}[f.typ]
	if !ok {
		wanted = []soql.Kind{soql.String}
		if v.Kind != soql.String {
			return queryError("INVALID_FIELD", c.query, v.Pos, "value of filter criterion for field '%s' must be of type string and should be enclosed in quotes", f.name)
		}
	}
	if !slices.Contains(wanted, v.Kind) {
		return queryError("INVALID_FIELD", c.query, v.Pos, "value of filter criterion for field '%s' must be of type %s and should not be enclosed in quotes", f.name, name)
	}
	if f.typ == "id" || f.typ == "reference" {
		if _, ok := canonicalID(v.Text); !ok && v.Text != "" {
			return queryError("INVALID_QUERY_FILTER_OPERATOR", c.query, v.Pos, "invalid ID field: %s", v.Text)
		}
	}
	return nil
}

// test compares a value's text, nil for null, with one literal. NOT IN and
// EXCLUDES are tested as IN and INCLUDES.
func (c *compiler) test(f *field, op soql.Op, v soql.Value) (func([]byte) bool, error) {
	switch op {
	case soql.In, soql.NotIn:
		op = soql.Eq
	case soql.Includes, soql.Excludes:
		return includes(v.Text), nil
	case soql.Like:
		if _, typed := soqlTypes[f.typ]; typed || f.typ == "id" || f.typ == "reference" {
			return nil, queryError("INVALID_QUERY_FILTER_OPERATOR", c.query, v.Pos, "invalid operator on %s field", f.typ)
		}
		form := like(v.Text)
		return func(b []byte) bool { return b != nil && form.Match(b) }, nil
	}
	holds := order(op)
	if v.Kind == soql.Null || v.Kind == soql.String && v.Text == "" {
		return func(b []byte) bool { return (op == soql.Eq) == (b == nil) && (op == soql.Eq || op == soql.Ne) }, nil
	}
	if v.Kind == soql.Relative {
		return c.relative(f, op, v.Text), nil
	}
	compare := comparer(f, v.Text)
	return func(b []byte) bool {
		if b == nil {
			return op == soql.Ne
		}
		return holds(compare(b))
	}, nil
}

// comparer compares values of a field with one that is written as literals are.
func comparer(f *field, want string) func([]byte) int {
	switch f.typ {
	case "int", "long", "double", "currency", "percent":
		n, _ := strconv.ParseFloat(want, 64)
		return func(b []byte) int {
			have, _ := strconv.ParseFloat(string(b), 64)
			return cmp.Compare(have, n)
		}
	case "datetime":
		want = parseDateTime(want).UTC().Format(restTime)
	case "id", "reference":
		if id, ok := canonicalID(want); ok {
			want = id
		}
	case "boolean", "date":
	default:
		lower := bytes.ToLower([]byte(want))
		return func(b []byte) int { return bytes.Compare(bytes.ToLower(b), lower) }
	}
	w := []byte(want)
	return func(b []byte) int { return bytes.Compare(b, w) }
}

// parseDateTime reads a literal that has the form of one.
func parseDateTime(s string) time.Time {
	for _, form := range timeForms["datetime"] {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func includes(want string) func([]byte) bool {
	return func(b []byte) bool {
		have := strings.Split(string(b), ";")
		for w := range strings.SplitSeq(want, ";") {
			if !slices.Contains(have, w) {
				return false
			}
		}
		return true
	}
}

// like is a LIKE pattern, in which % is any text and _ any character, as a
// regular expression that ignores case.
func like(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?is)^`)
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case pattern[i] == '%':
			b.WriteString(`.*`)
		case pattern[i] == '_':
			b.WriteString(`.`)
		default:
			end := i + 1
			for end < len(pattern) && strings.IndexByte(`\%_`, pattern[end]) < 0 {
				end++
			}
			b.WriteString(regexp.QuoteMeta(pattern[i:end]))
			i = end - 1
		}
	}
	return regexp.MustCompile(b.String() + `$`)
}

// relative compares with days of the org's clock, in UTC.
func (c *compiler) relative(f *field, op soql.Op, word string) func([]byte) bool {
	name, count, _ := strings.Cut(word, ":")
	n, _ := strconv.Atoi(count)
	today := c.org.Now().UTC().Truncate(24 * time.Hour)
	from, to := today, today.AddDate(0, 0, 1)
	switch name {
	case "YESTERDAY":
		from, to = from.AddDate(0, 0, -1), today
	case "TOMORROW":
		from, to = to, to.AddDate(0, 0, 1)
	case "LAST_N_DAYS":
		from = from.AddDate(0, 0, -n)
	case "NEXT_N_DAYS":
		from, to = to, to.AddDate(0, 0, n)
	case "N_DAYS_AGO":
		from, to = from.AddDate(0, 0, -n), from.AddDate(0, 0, 1-n)
	}
	form := restTime
	if f.typ == "date" {
		form = dateForm
	}
	low, high := []byte(from.Format(form)), []byte(to.Format(form))
	holds := order(op)
	return func(b []byte) bool {
		switch {
		case b == nil:
			return op == soql.Ne
		case bytes.Compare(b, low) < 0:
			return holds(-1)
		case bytes.Compare(b, high) >= 0:
			return holds(1)
		}
		return holds(0)
	}
}
