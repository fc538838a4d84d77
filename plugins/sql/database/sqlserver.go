package database

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
)

// sqlserverFlavour reads SQL Server. It sees one state of a database that allows
// snapshot isolation (ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON); in the
// others each row is one that was committed. There are no transactions that only
// read: a query stands within another, where none that writes can, and what a
// function would write is rolled back.
var sqlserverFlavour = &flavour{
	lexis:     lexis{bracket: true},
	statement: sqlserverStatement,
	begin: []string{
		`if (select snapshot_isolation_state from sys.databases where database_id = db_id()) = 1
			set transaction isolation level snapshot else set transaction isolation level read committed`,
		"begin transaction",
	},
	now:   "select convert(varchar(33), sysutcdatetime(), 126)",
	end:   "if @@trancount > 0 rollback",
	write: writeSQLServer,
	value: func(v any, c column) Value {
		b, isBytes := v.([]byte)
		t, isTime := v.(time.Time)
		switch {
		case isBytes && c.kind == "UNIQUEIDENTIFIER":
			return Value{Text, guid(b)}
		case isBytes && isDecimalOfSQLServer(c.kind):
			return Value{Decimal, string(b)}
		case isTime:
			return Value{Time, t.Format(timeFormOfSQLServer(c.kind))}
		}
		return valueOf(v)
	},
	column: func(t *sql.ColumnType) Column {
		kind := t.DatabaseTypeName()
		return Column{Name: t.Name(), Type: kind, Time: strings.HasPrefix(kind, "DATE") || kind == "SMALLDATETIME", JSONSchema: sqlserverSchema(kind)}
	},
	least: func(c *Column) Value {
		switch {
		case c == nil || c.Time:
			return Value{Time, "1753-01-01T00:00:00"}
		case strings.HasSuffix(c.Type, "INT"):
			return Value{Int, "-9223372036854775808"}
		case isDecimalOfSQLServer(c.Type):
			return Value{Decimal, "-" + strings.Repeat("9", 28)}
		case c.Type == "FLOAT" || c.Type == "REAL":
			return Value{Float, "-1e38"}
		}
		return Value{Text, ""}
	},
	tables: func(ctx context.Context, db *sql.DB, name string) ([]Table, error) {
		return standardTables(ctx, db, `select case when table_schema = schema_name() then table_name else table_schema + '.' + table_name end, column_name, data_type
			from information_schema.columns where @p1 = '' or @p1 in (table_name, table_schema + '.' + table_name) order by 1, ordinal_position`,
			func(c *Column) { c.JSONSchema = sqlserverSchema(strings.ToUpper(c.Type)) }, name)
	},
	rights: func(ctx context.Context, db *sql.DB) ([]string, error) {
		rows, err := db.QueryContext(ctx, `select 'may ' + lower(permission_name) + ' in the whole database' from fn_my_permissions(null, 'DATABASE')
			where permission_name in ('INSERT', 'UPDATE', 'DELETE', 'ALTER', 'CONTROL')`)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		var out []string
		for rows.Next() {
			var right string
			if err := rows.Scan(&right); err != nil {
				return nil, err
			}
			out = append(out, right)
		}
		return out, rows.Err()
	},
}

var sqlserverStatement = statement{
	quote: func(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" },
	placeholder: func(n int, v Value) string {
		if v.Kind == Decimal {
			return "cast(@p" + strconv.Itoa(n) + " as decimal(38, 10))"
		}
		return "@p" + strconv.Itoa(n)
	},
	limit: func(n int) (string, string) { return "top (" + strconv.Itoa(n) + ") ", "" },
}

func init() {
	openers["sqlserver"], openers["mssql"] = openSQLServer, openSQLServer
	explainers = append(explainers, explainSQLServer)
}

func openSQLServer(_ context.Context, where string) (Database, error) {
	_, rest, _ := strings.Cut(where, ":")
	c, err := mssql.NewConnector("sqlserver:" + rest)
	if err != nil {
		// Its own error may have the URL.
		return nil, errors.New("the url is not one of SQL Server; write sqlserver://USER:PASSWORD@HOST:1433?database=DATABASE, with %40 for an @ and so on in the password")
	}
	return &standard{sqlserverFlavour, sql.OpenDB(c)}, nil
}

func isDecimalOfSQLServer(kind string) bool {
	return kind == "DECIMAL" || kind == "NUMERIC" || kind == "MONEY" || kind == "SMALLMONEY"
}

// timeFormOfSQLServer is one that is read as the column's own type: DATETIME takes
// no more than milliseconds.
func timeFormOfSQLServer(kind string) string {
	switch kind {
	case "DATE":
		return "2006-01-02"
	case "TIME":
		return "15:04:05.9999999"
	case "DATETIMEOFFSET":
		return "2006-01-02T15:04:05.9999999Z07:00"
	case "DATETIME", "SMALLDATETIME":
		return "2006-01-02T15:04:05.000"
	}
	return "2006-01-02T15:04:05.9999999"
}

func writeSQLServer(dst []byte, v any, c column) []byte {
	switch v := v.(type) {
	case time.Time:
		return v.AppendFormat(dst, `"`+timeFormOfSQLServer(c.kind)+`"`)
	case []byte:
		switch {
		case isDecimalOfSQLServer(c.kind):
			return row.AppendNumber(dst, v)
		case c.kind == "UNIQUEIDENTIFIER":
			return row.AppendText(dst, []byte(guid(v)))
		}
	}
	return appendValue(dst, v)
}

// guid is a UNIQUEIDENTIFIER as text; its bytes have another order.
func guid(b []byte) string {
	var id mssql.UniqueIdentifier
	if err := id.Scan(b); err != nil {
		return ""
	}
	return id.String()
}

func sqlserverSchema(kind string) string {
	switch {
	case strings.HasSuffix(kind, "INT"):
		return `{"type":["integer","null"]}`
	case isDecimalOfSQLServer(kind), kind == "FLOAT", kind == "REAL":
		return `{"type":["number","null"]}`
	case kind == "BIT":
		return `{"type":["boolean","null"]}`
	case strings.HasSuffix(kind, "BINARY"), kind == "IMAGE":
		return `{"type":["string","null"],"contentEncoding":"base64"}`
	}
	return `{"type":["string","null"]}`
}

// explainSQLServer goes by the numbers of SQL Server's error reference.
func explainSQLServer(err error) (Fault, bool) {
	var e mssql.Error
	if !errors.As(err, &e) {
		return Fault{}, false
	}
	switch e.Number {
	case 18456, 4060, 18452:
		return Fault{LoginRefused, e.Message, fixLogin}, true
	case 102, 156, 195, 207, 208, 209, 229, 230, 1033, 8155, 8156:
		return Fault{Refused, e.Message, fixQuery}, true
	}
	return Fault{Failed, e.Message, ""}, true
}
