package org

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org/soql"
)

// result is what a query found: the rows' numbers, whose values are read when a
// page is written, as Salesforce's cursors do.
type result struct {
	t    *table
	rows []uint32
	// count is true of SELECT COUNT(): total is the whole answer.
	count bool
	total int
	// shown is what a row is written as; aggregate is the one row, already
	// written, of a query of aggregates.
	shown     *node
	columns   []column
	names     []string
	aggregate []byte
}

const (
	maxOffset = 2000
	// fieldsLimit is the greatest LIMIT that FIELDS() may come with.
	fieldsLimit = 200
)

// query runs a statement under the read lock. all is queryAll's view.
func (o *Org) query(text string, all bool) (*result, error) {
	text = strings.ToValidUTF8(text, "?")
	q, err := soql.Parse(text)
	if err != nil {
		return nil, parseFailure(err)
	}
	t, err := o.readable(text, q.From)
	if err != nil {
		return nil, err
	}
	out := &result{t: t, count: q.Count}
	if err := o.selected(text, q, out); err != nil {
		return nil, err
	}
	if q.Offset > maxOffset {
		return nil, failure("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
	}
	where, err := (&compiler{o, text, t}).compile(q.Where)
	if err != nil {
		return nil, err
	}
	keys, err := o.sortKeys(text, t, q.OrderBy)
	if err != nil {
		return nil, err
	}
	o.find(q, where, keys, all, out)
	out.total = len(out.rows)
	if slices.ContainsFunc(q.Select, func(i soql.Item) bool { return i.Func != "" && i.Func != "FIELDS" }) {
		o.aggregates(q, out)
	}
	return out, nil
}

func parseFailure(err error) error {
	if e, ok := errors.AsType[*soql.Error](err); ok {
		return failure(e.Code, e.Error())
	}
	return err
}

// selected resolves SELECT.
func (o *Org) selected(text string, q *soql.Query, out *result) error {
	aggregate := false
	for _, item := range q.Select {
		switch item.Func {
		case "":
		case "FIELDS":
			if q.Limit < 0 || q.Limit > fieldsLimit {
				return queryError("MALFORMED_QUERY", text, item.Pos, "The SOQL FIELDS function must have a LIMIT of at most 200")
			}
			for _, f := range out.t.fields {
				if !f.hidden && (strings.EqualFold(item.Text, "ALL") || strings.EqualFold(item.Text, "CUSTOM") == strings.HasSuffix(f.name, "__c")) {
					out.columns, out.names = append(out.columns, column{t: out.t, f: f}), append(out.names, f.name)
				}
			}
			continue
		default:
			aggregate = true
		}
		c, err := o.resolve(text, out.t, item.Name)
		if err != nil {
			return err
		}
		path := c.path()
		if slices.Contains(out.names, path) && item.Func == "" {
			return queryError("INVALID_FIELD", text, item.Pos, "duplicate field selected: %s", path)
		}
		out.columns, out.names = append(out.columns, c), append(out.names, path)
	}
	if aggregate && slices.ContainsFunc(q.Select, func(i soql.Item) bool { return i.Func == "" || i.Func == "FIELDS" }) {
		return queryError("MALFORMED_QUERY", text, q.From.Pos, "Field must be grouped or aggregated: %s", out.names[0])
	}
	out.shown = newNode(out.t, out.columns)
	return nil
}

// path is the column in the describes' own spelling.
func (c *column) path() string {
	var b strings.Builder
	for _, s := range c.steps {
		b.WriteString(s.relation + ".")
	}
	return b.String() + c.f.name
}

// find fills in the rows, in their order.
func (o *Org) find(q *soql.Query, where condition, keys []sortKey, all bool, out *result) {
	t, now := out.t, o.Now().Unix()
	byID := len(keys) == 0 || keys[0].col.f.system == sysID && len(keys[0].col.steps) == 0 && !keys[0].desc
	stop := -1 // how many rows suffice
	if byID && q.Limit >= 0 {
		stop = q.Limit + max(q.Offset, 0)
	}
	take := func(n uint64) {
		if r := &t.rows[n-1]; r.sees(all, now) && where(n, r) {
			out.rows = append(out.rows, uint32(n))
		}
	}
	low, high, ids := bounds(t, q.Where)
	if ids != nil {
		for _, n := range ids {
			take(n)
		}
	} else {
		for n := low; n <= high && (stop < 0 || len(out.rows) < stop); n++ {
			take(n)
		}
	}
	if !byID {
		o.sort(t, out.rows, keys)
	}
	from := min(max(q.Offset, 0), len(out.rows))
	to := len(out.rows)
	if q.Limit >= 0 {
		to = min(to, from+q.Limit)
	}
	out.rows = slices.Clip(out.rows[from:to])
}

// bounds reads off a WHERE which rows can be meant: those from low to high, or
// only these ids. It looks at what must hold and leaves the rest to the
// condition.
func bounds(t *table, e soql.Expr) (low, high uint64, ids []uint64) {
	low, high = 1, uint64(len(t.rows))
	var must []soql.Expr
	switch e := e.(type) {
	case soql.And:
		must = e
	case *soql.Compare:
		must = []soql.Expr{e}
	}
	for _, e := range must {
		c, ok := e.(*soql.Compare)
		if !ok || !strings.EqualFold(c.Field.Text, "Id") {
			continue
		}
		var numbers []uint64
		for _, v := range c.Values {
			n, _ := t.at(v.Text)
			if n == 0 {
				continue // another object's, or none: the condition knows
			}
			numbers = append(numbers, n)
		}
		switch {
		case c.Op == soql.In || c.Op == soql.Eq:
			slices.Sort(numbers)
			ids = slices.Compact(numbers)
			if ids == nil {
				ids = []uint64{}
			}
		case len(numbers) == 0:
		case c.Op == soql.Gt:
			low = max(low, numbers[0]+1)
		case c.Op == soql.Ge:
			low = max(low, numbers[0])
		case c.Op == soql.Lt:
			high = min(high, numbers[0]-1)
		case c.Op == soql.Le:
			high = min(high, numbers[0])
		}
	}
	return low, high, ids
}

type sortKey struct {
	col             column
	desc, nullsLast bool
}

func (o *Org) sortKeys(text string, t *table, by []soql.Order) ([]sortKey, error) {
	var out []sortKey
	for _, b := range by {
		c, err := o.resolve(text, t, b.Name)
		if err != nil {
			return nil, err
		}
		if sortable, _ := c.f.meta["sortable"].(bool); !sortable {
			return nil, queryError("MALFORMED_QUERY", text, b.Pos, "field '%s' can not be sorted in a query call", c.f.name)
		}
		out = append(out, sortKey{c, b.Desc, b.NullsLast})
	}
	return out, nil
}

// sort orders rows by keys, and the later ones first where those are equal:
// Salesforce promises no order then, and who relies on one should notice here.
func (o *Org) sort(t *table, rows []uint32, keys []sortKey) {
	if len(keys[0].col.steps) == 0 && keys[0].col.f.system == sysSystemModstamp && !keys[0].desc &&
		(len(keys) == 1 || keys[1].col.f.system == sysID && !keys[1].desc) {
		ties := 2*len(keys) - 3 // -1: Id is not among the keys
		slices.SortFunc(rows, func(a, b uint32) int {
			return cmp.Or(cmp.Compare(t.rows[a-1].stamp, t.rows[b-1].stamp), ties*cmp.Compare(a, b))
		})
		return
	}
	type entry struct {
		n    uint32
		keys [][]byte
	}
	entries := make([]entry, len(rows))
	for i, n := range rows {
		entries[i] = entry{n, make([][]byte, len(keys))}
		for j := range keys {
			v := text(keys[j].col.get(o, t, uint64(n), &t.rows[n-1]))
			entries[i].keys[j] = v
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		for j, k := range keys {
			if c := k.compare(a.keys[j], b.keys[j]); c != 0 {
				return c
			}
		}
		return cmp.Compare(b.n, a.n)
	})
	for i, e := range entries {
		rows[i] = e.n
	}
}

func (k *sortKey) compare(a, b []byte) int {
	if a == nil || b == nil {
		if (a == nil) == (b == nil) {
			return 0
		}
		if (a == nil) != k.nullsLast {
			return -1
		}
		return 1
	}
	c := compareAs(k.col.f.typ, a, b)
	if k.desc {
		return -c
	}
	return c
}

// compareAs orders two values of a field of this type.
func compareAs(typ string, a, b []byte) int {
	switch typ {
	case "int", "long", "double", "currency", "percent":
		x, _ := strconv.ParseFloat(string(a), 64)
		y, _ := strconv.ParseFloat(string(b), 64)
		return cmp.Compare(x, y)
	case "id", "reference", "date", "datetime", "boolean":
		return bytes.Compare(a, b)
	}
	return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b))
}

// aggregates computes COUNT, MIN and MAX over what was found.
func (o *Org) aggregates(q *soql.Query, out *result) {
	row := []byte(`{"attributes":{"type":"AggregateResult"}`)
	unnamed := 0
	for i, item := range q.Select {
		name := item.Alias
		if name == "" {
			name = "expr" + strconv.Itoa(unnamed)
			unnamed++
		}
		row = append(row, `,"`+name+`":`...)
		row = append(row, o.aggregate(out, &out.columns[i], item.Func)...)
	}
	row = append(row, '}')
	out.aggregate, out.rows, out.total = row, nil, 1
}

func (o *Org) aggregate(out *result, c *column, fn string) []byte {
	var best []byte
	count := 0
	for _, n := range out.rows {
		v := c.get(o, out.t, uint64(n), &out.t.rows[n-1])
		if v == nil {
			continue
		}
		count++
		if fn == "COUNT" {
			continue
		}
		if order := compareAs(c.f.typ, text(v), text(best)); best == nil || fn == "MIN" && order < 0 || fn == "MAX" && order > 0 {
			best = v
		}
	}
	switch {
	case fn == "COUNT":
		return strconv.AppendInt(nil, int64(count), 10)
	case best == nil:
		return []byte("null")
	}
	return best
}
