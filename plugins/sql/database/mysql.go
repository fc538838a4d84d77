package database

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
)

// mysqlFlavour reads MySQL and MariaDB. Statements are prepared: in the text
// form a FLOAT loses digits.
var mysqlFlavour = &flavour{
	lexis:     lexis{backslash: true, hash: true, backtick: true},
	statement: mysqlStatement,
	begin: []string{
		"set session transaction isolation level repeatable read",
		"start transaction with consistent snapshot, read only",
	},
	now:     "select date_format(utc_timestamp(6), '%Y-%m-%d %H:%i:%s.%f')",
	end:     "rollback",
	prepare: true,
	write:   writeMySQL,
	value: func(v any, c column) Value {
		b, isBytes := v.([]byte)
		switch {
		case isBytes && c.kind == "DECIMAL":
			return Value{Decimal, string(b)}
		case isBytes && isTimeOfMySQL(c.kind):
			return Value{Time, string(b)}
		case isBytes && !isBinaryOfMySQL(c.kind):
			return Value{Text, string(b)}
		}
		return valueOf(v)
	},
	column: func(t *sql.ColumnType) Column {
		kind := t.DatabaseTypeName()
		return Column{Name: t.Name(), Type: kind, Time: isTimeOfMySQL(kind), JSONSchema: mysqlSchema(kind)}
	},
	least: func(c *Column) Value {
		switch {
		case c == nil || c.Time:
			return Value{Time, "1000-01-01 00:00:00"}
		case strings.HasPrefix(c.Type, "UNSIGNED"):
			return Value{Int, "0"}
		case strings.HasSuffix(c.Type, "INT"):
			return Value{Int, "-9223372036854775808"}
		case c.Type == "DECIMAL":
			return Value{Decimal, "-" + strings.Repeat("9", 35)}
		case c.Type == "FLOAT" || c.Type == "DOUBLE":
			return Value{Float, "-1e308"}
		}
		return Value{Text, ""}
	},
	explain: "explain ",
	// Of a small table the whole is read though there is an index that would do.
	indexed: func(columns []string, plan [][]string) bool {
		i := slices.Index(columns, "possible_keys")
		return i < 0 || slices.ContainsFunc(plan, func(step []string) bool { return step[i] != "" })
	},
	tables: func(ctx context.Context, db *sql.DB, name string) ([]Table, error) {
		return standardTables(ctx, db, `select table_name, column_name, column_type from information_schema.columns
			where table_schema = database() and (? = '' or table_name = ?) order by table_name, ordinal_position`,
			func(c *Column) {
				kind, _, _ := strings.Cut(strings.ToUpper(c.Type), "(")
				c.JSONSchema = mysqlSchema(strings.TrimSuffix(kind, " UNSIGNED"))
			}, name, name)
	},
	rights: mysqlRights,
}

var mysqlStatement = statement{
	quote: func(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" },
	placeholder: func(_ int, v Value) string {
		if v.Kind == Decimal {
			return "cast(? as decimal(65, 30))" // a text would be compared as a double
		}
		return "?"
	},
	limit: func(n int) (string, string) { return "", " limit " + strconv.Itoa(n) },
}

func init() {
	openers["mysql"], openers["mariadb"] = openMySQL, openMySQL
	explainers = append(explainers, explainMySQL, explainSQLite)
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // what it logs, the errors say
}

func openMySQL(_ context.Context, where string) (Database, error) {
	wrong := errors.New("the url is not one of MySQL; write mysql://USER:PASSWORD@HOST:3306/DATABASE, with %40 for an @ and so on in the password, and ?tls=true for TLS")
	u, err := url.Parse(where)
	if err != nil {
		return nil, wrong
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr = "tcp", u.Host
	if u.Port() == "" {
		c.Addr += ":3306"
	}
	c.DBName = strings.TrimPrefix(u.Path, "/")
	c.MaxAllowedPacket = MaxRow
	c.Timeout = connectTimeout
	c.Params = map[string]string{
		"time_zone": "'+00:00'",
		// A host that cannot store makes the read wait; the server's default is a minute.
		"net_write_timeout": "7200",
	}
	switch tls := u.Query().Get("tls"); tls {
	case "", "true", "false", "skip-verify", "preferred":
		c.TLSConfig = tls
	default:
		return nil, wrong
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, wrong
	}
	return &standard{mysqlFlavour, sql.OpenDB(connector)}, nil
}

func isTimeOfMySQL(kind string) bool {
	return kind == "TIMESTAMP" || kind == "DATETIME" || kind == "DATE"
}

func isBinaryOfMySQL(kind string) bool {
	return strings.HasSuffix(kind, "BLOB") || strings.HasSuffix(kind, "BINARY") || kind == "GEOMETRY" || kind == "BIT"
}

func writeMySQL(dst []byte, v any, c column) []byte {
	if t, ok := v.(time.Time); ok {
		return appendValue(dst, t)
	}
	b, ok := v.([]byte)
	if !ok {
		return appendValue(dst, v)
	}
	switch {
	case c.kind == "DECIMAL" || c.kind == "YEAR" || strings.HasSuffix(c.kind, "INT"):
		return row.AppendNumber(dst, b)
	case c.kind == "JSON":
		return row.AppendJSON(dst, b)
	case c.kind == "BIT":
		var n uint64
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return strconv.AppendUint(dst, n, 10)
	case isBinaryOfMySQL(c.kind):
		return row.AppendBytes(dst, b)
	case c.kind == "TIMESTAMP" || c.kind == "DATETIME":
		at := len(dst)
		dst = row.AppendText(dst, b)
		if len(b) > len("2026-11-24") {
			dst[at+1+len("2026-11-24")] = 'T'
		}
		if c.kind == "TIMESTAMP" {
			dst = append(dst[:len(dst)-1], `Z"`...)
		}
		return dst
	}
	return row.AppendText(dst, b)
}

func mysqlSchema(kind string) string {
	switch {
	case strings.HasSuffix(kind, "INT") || kind == "YEAR" || kind == "BIT":
		return `{"type":["integer","null"]}`
	case kind == "DECIMAL" || kind == "FLOAT" || kind == "DOUBLE":
		return `{"type":["number","null"]}`
	case kind == "JSON":
		return `{}`
	case isBinaryOfMySQL(kind):
		return `{"type":["string","null"],"contentEncoding":"base64"}`
	case kind == "DATE":
		return `{"type":["string","null"],"format":"date"}`
	}
	return `{"type":["string","null"]}`
}

// mysqlRights goes by the grants: what is granted beside reading.
func mysqlRights(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "show grants")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			return nil, err
		}
		what, _, _ := strings.Cut(grant, " TO ")
		rights, on, _ := strings.Cut(strings.TrimPrefix(what, "GRANT "), " ON ")
		for _, r := range strings.Split(rights, ", ") {
			switch r {
			case "ALL PRIVILEGES":
				out = append(out, "may do everything on "+on)
			case "INSERT", "UPDATE", "DELETE", "SUPER", "FILE", "CREATE", "DROP", "ALTER":
				out = append(out, "may "+strings.ToLower(r)+" on "+on)
			}
		}
	}
	return out, rows.Err()
}

// explainMySQL goes by the numbers of MySQL's error reference.
func explainMySQL(err error) (Fault, bool) {
	var e *mysql.MySQLError
	switch {
	case errors.Is(err, mysql.ErrPktTooLarge):
		return Fault{Failed, errRowSize.Error(), "select fewer or shorter columns"}, true
	case errors.Is(err, mysql.ErrInvalidConn):
		return Fault{Unreachable, "the connection broke", fixNetwork}, true
	case !errors.As(err, &e):
		return Fault{}, false
	}
	switch e.Number {
	case 1044, 1045, 1049, 1698:
		return Fault{LoginRefused, e.Message, fixLogin}, true
	case 1792:
		return Fault{Refused, "the query writes: " + e.Message, "select only"}, true
	case 1054, 1060, 1064, 1142, 1143, 1146, 1248, 1305, 1370:
		return Fault{Refused, e.Message, fixQuery}, true
	}
	return Fault{Failed, e.Message, ""}, true
}
