package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteFlavour reads SQLite: values by their storage class, which need not be
// the column's. A file in WAL mode is best: in the others those who write wait
// for a read to end.
var sqliteFlavour = &flavour{
	lexis:     lexis{backtick: true, bracket: true},
	statement: sqliteStatement,
	begin:     []string{"begin"},
	now:       "select strftime('%Y-%m-%d %H:%M:%S', 'now')",
	end:       "rollback",
	write:     func(dst []byte, v any, _ column) []byte { return appendValue(dst, v) },
	column: func(t *sql.ColumnType) Column {
		return Column{Name: t.Name(), Type: t.DatabaseTypeName(), JSONSchema: sqliteSchema(t.DatabaseTypeName())}
	},
	least: func(c *Column) Value {
		if c != nil && (strings.Contains(strings.ToUpper(c.Type), "INT") || strings.Contains(strings.ToUpper(c.Type), "REAL")) {
			return Value{Int, "-9223372036854775808"}
		}
		return Value{Text, ""}
	},
	explain: "explain query plan ",
	indexed: func(_ []string, plan [][]string) bool {
		return slices.ContainsFunc(plan, func(step []string) bool {
			detail := step[len(step)-1]
			return strings.Contains(detail, "SEARCH") && strings.Contains(detail, ">")
		})
	},
	tables: sqliteTables,
	setUp: func(c *sql.Conn) error {
		_, err := sqlite.Limit(c, sqlite3.SQLITE_LIMIT_LENGTH, MaxRow)
		return err
	},
}

var sqliteStatement = statement{
	quote:       func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` },
	placeholder: func(int, Value) string { return "?" },
	limit:       func(n int) (string, string) { return "", " limit " + strconv.Itoa(n) },
	// As expressions, which are not of a declared type: the driver would read a
	// text as a time where DATETIME is declared.
	list: func(columns []Column) string {
		if len(columns) == 0 {
			return "*"
		}
		var all []string
		for _, c := range columns {
			name := `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
			all = append(all, "+"+name+" as "+name)
		}
		return strings.Join(all, ", ")
	},
}

func init() { openers["sqlite"] = openSQLite }

func openSQLite(ctx context.Context, where string) (Database, error) {
	_, path, _ := strings.Cut(where, ":")
	path = strings.TrimPrefix(path, "//")
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return nil, errors.New("the url names no file; write sqlite:shop.db")
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	options := "?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(10000)"
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+options)
	if err != nil {
		return nil, err
	}
	return &standard{sqliteFlavour, db}, nil
}

func sqliteSchema(declared string) string { //nolint:misspell // SQLite looks for parts of words
	switch declared = strings.ToUpper(declared); {
	case strings.Contains(declared, "INT"):
		return `{"type":["integer","number","string","null"]}`
	case strings.Contains(declared, "REAL"), strings.Contains(declared, "FLOA"), strings.Contains(declared, "DOUB"), strings.Contains(declared, "NUM"), strings.Contains(declared, "DEC"):
		return `{"type":["number","string","null"]}`
	case strings.Contains(declared, "BLOB"):
		return `{"type":["string","null"],"contentEncoding":"base64"}`
	}
	return `{"type":["string","number","null"]}`
}

func sqliteTables(ctx context.Context, db *sql.DB, name string) ([]Table, error) {
	return standardTables(ctx, db, `select m.name, c.name, c.type from sqlite_schema m join pragma_table_info(m.name) c
		where m.type in ('table', 'view') and m.name not like 'sqlite\_%' escape '\' and (?1 = '' or m.name = ?1) order by m.name, c.cid`,
		func(c *Column) { c.JSONSchema = sqliteSchema(c.Type) }, name)
}

// standardTables reads tables from a query of table, column and type.
func standardTables(ctx context.Context, db *sql.DB, query string, complete func(*Column), args ...any) ([]Table, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Table
	for rows.Next() {
		var table string
		var c Column
		if err := rows.Scan(&table, &c.Name, &c.Type); err != nil {
			return nil, fmt.Errorf("catalog: %w", err)
		}
		complete(&c)
		if n := len(out); n == 0 || out[n-1].Name != table {
			out = append(out, Table{Name: table})
		}
		out[len(out)-1].Columns = append(out[len(out)-1].Columns, c)
	}
	return out, rows.Err()
}

func explainSQLite(err error) (Fault, bool) {
	var e *sqlite.Error
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Fault{WrongURL, err.Error(), "name a file that is there; a path is relative to the config file's folder"}, true
	case errors.Is(err, os.ErrPermission):
		return Fault{WrongURL, err.Error(), "let the user that runs wellhead read it"}, true
	case !errors.As(err, &e):
		return Fault{}, false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_ERROR:
		return Fault{Refused, e.Error(), fixQuery}, true
	case sqlite3.SQLITE_READONLY:
		return Fault{Refused, "the query writes", "select only"}, true
	case sqlite3.SQLITE_TOOBIG:
		return Fault{Failed, errRowSize.Error(), "select fewer or shorter columns"}, true
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB:
		return Fault{WrongURL, e.Error(), "name a file of SQLite that the user who runs wellhead may read"}, true
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return Fault{Failed, "another program keeps the file locked", "set it to WAL mode, in which those who read wait for nobody: pragma journal_mode = wal"}, true
	}
	return Fault{Failed, e.Error(), ""}, true
}
