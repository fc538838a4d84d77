package source

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/plugins/sql/replication"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// sampleRows is how many rows of each query Check reads.
const sampleRows = sdk.MaxSampleEvents

// Check runs each query for its first rows and shows the calls that they would
// become. It warns of a cursor without an index and of a user who may write.
func (source) Check(ctx context.Context, s *sdk.Settings) []sdk.Problem {
	c, err := readConfig(s)
	if err != nil {
		return []sdk.Problem{unreadable(err)}
	}
	return check(ctx, c, s.Show)
}

func check(ctx context.Context, c config, show func(sync string, events ...sdk.Event)) []sdk.Problem {
	db, err := database.Open(ctx, c.URL)
	if err != nil {
		return []sdk.Problem{fault{url: c.URL}.problem(err)}
	}
	defer func() { _ = db.Close() }()
	rights, err := db.Rights(ctx)
	if err != nil {
		return []sdk.Problem{fault{url: c.URL}.problem(err)}
	}
	var problems []sdk.Problem
	if len(rights) > 0 {
		problems = append(problems, sdk.Problem{
			Code: "more_than_read", Path: "/url", Message: "the user can do more than read: " + strings.Join(rights[:min(len(rights), 4)], ", "), Warning: true,
			Fix: "make one that may only read, and name it in the url",
		})
	}
	for _, name := range c.names() {
		at := path(name)
		sp, found := c.spec(name, db.Parse)
		if len(found) == 0 && sp.mode != modeCDC {
			var events []sdk.Event
			if events, found, err = sample(ctx, db, &sp); err != nil {
				problems = append(problems, fault{c.URL, at}.problem(err))
			}
			if len(events) > 0 {
				show(name, events...)
			}
		}
		for _, p := range found {
			p.Path = at + p.Path
			problems = append(problems, fault{url: c.URL}.clean(p))
		}
	}
	if len(c.followed()) > 0 {
		for _, p := range replication.Check(ctx, c.options(), sampleRows, show) {
			problems = append(problems, fault{url: c.URL}.clean(p))
		}
	}
	return problems
}

// sample reads a sync's first rows as a run would.
func sample(ctx context.Context, db database.Database, sp *spec) ([]sdk.Event, []sdk.Problem, error) {
	r := &reader{spec: *sp, db: db}
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer tx.Close()
	columns, err := tx.Columns(ctx, sp.query)
	if err != nil {
		return nil, nil, err
	}
	order, err := r.columns(columns)
	if err != nil {
		return nil, nil, err
	}
	mapper, problems := row.NewMapper(sp.Mapping, names(columns))
	if len(problems) > 0 {
		return nil, problems, nil
	}
	read := database.Read{Query: sp.query, Values: r.placeholders(columns, &progress{}), Columns: columns, Limit: sampleRows}
	events, refused, err := firstRows(ctx, tx, read, mapper)
	if err != nil {
		return nil, nil, err
	}
	if refused != "" {
		problems = append(problems, sdk.Problem{Code: "rows_refused", Path: "/query", Message: "row " + refused, Fix: "mend the row or the query: such a row becomes no call", Warning: true})
	}
	if sp.cursor != "" {
		read.Limit, read.Order, read.From = 0, names(pick(columns, order)), db.Least(&columns[order[0]])
		found, known, err := tx.Indexed(ctx, read)
		if err != nil {
			return events, problems, err
		}
		if known && !found {
			problems = append(problems, sdk.Problem{
				Code: "no_index", Path: "/cursor", Message: "no index serves it: each run reads all rows", Warning: true,
				Fix: fmt.Sprintf("create an index on (%s)", strings.Join(read.Order, ", ")),
			})
		}
	}
	return events, problems, nil
}

// firstRows reads rows as events; refused is why one of them became none.
func firstRows(ctx context.Context, tx database.Tx, read database.Read, mapper *row.Mapper) (events []sdk.Event, refused string, err error) {
	rows, err := tx.Rows(ctx, read)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next(ctx) {
		if err := mapper.Read(rows.JSON()); err != nil {
			refused = fmt.Sprintf("%.100s: %s", mapper.AppendKey(nil, rows.JSON()), err)
			continue
		}
		events = append(events, mapper.AppendEvent(nil, ""))
	}
	return events, refused, rows.Err()
}

// maxTables bounds what Discover lists.
const maxTables = 10_000

// Discover lists the tables and views that the user may read, with the JSON
// Schema of a row.
func (source) Discover(ctx context.Context, s *sdk.Settings) ([]sdk.StreamInfo, error) {
	c, err := readConfig(s)
	if err != nil {
		return nil, unreadable(err)
	}
	return discover(ctx, c, s.Stream)
}

func discover(ctx context.Context, c config, name string) ([]sdk.StreamInfo, error) {
	db, err := database.Open(ctx, c.URL)
	if err != nil {
		return nil, fault{url: c.URL}.problem(err)
	}
	defer func() { _ = db.Close() }()
	tables, err := db.Tables(ctx, name)
	if err != nil {
		return nil, fault{url: c.URL}.problem(err)
	}
	if len(tables) == 0 && name != "" {
		return nil, sdk.Problem{Code: "unknown_table", Message: fmt.Sprintf("there is no table %q that the user may read", name), Fix: "wellhead discover without a name lists what there is"}
	}
	var out []sdk.StreamInfo
	for _, t := range tables[:min(len(tables), maxTables)] {
		out = append(out, sdk.StreamInfo{Name: t.Name, Schema: schemaOf(t)})
	}
	return out, nil
}

// schemaOf is the JSON Schema of a table's rows.
func schemaOf(t database.Table) []byte {
	b := []byte(`{"type":"object","properties":{`)
	for i, c := range t.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendText(b, []byte(c.Name)), ':')
		b = append(b, c.JSONSchema...)
	}
	b = append(b, `}}`...)
	if !json.Valid(b) {
		return nil // of a driver's making; the table is listed all the same
	}
	return b
}
