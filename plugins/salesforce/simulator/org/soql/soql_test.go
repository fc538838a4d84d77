package soql_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org/soql"
)

func TestStatements(t *testing.T) {
	for _, tc := range []struct{ query, want string }{
		{"SELECT Id FROM Account", `{"Count":false,"Select":["Id"],"From":"Account","Limit":-1,"Offset":-1}`},
		{"select count() from Account", `{"Count":true,"Select":null,"From":"Account","Limit":-1,"Offset":-1}`},
		{"SELECT COUNT(Id) n, MAX(Owner.Name) FROM A LIMIT 0 OFFSET 7", `{"Count":false,"Select":["COUNT(Id) n","MAX(Owner.Name)"],"From":"A","Limit":0,"Offset":7}`},
		{"SELECT FIELDS(ALL) FROM A LIMIT 5", `{"Count":false,"Select":["FIELDS(ALL)"],"From":"A","Limit":5,"Offset":-1}`},
	} {
		q, err := soql.Parse(tc.query)
		if err != nil {
			t.Errorf("%s: %v", tc.query, err)
			continue
		}
		var items []string
		for _, i := range q.Select {
			s := i.Text
			if i.Func != "" {
				s = i.Func + "(" + s + ")"
			}
			items = append(items, strings.TrimSpace(s+" "+i.Alias))
		}
		got, _ := json.Marshal(struct {
			Count         bool
			Select        []string
			From          string
			Limit, Offset int
		}{q.Count, items, q.From.Text, q.Limit, q.Offset})
		if string(got) != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.query, got, tc.want)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, tc := range []struct{ where, want string }{
		{"A = null", "(A = null)"},
		{"A != 'it\\'s' AND B <> 2", "((A != it's) AND (B != 2))"},
		{"NOT (A = true OR A = FALSE)", "NOT ((A = true) OR (A = false))"},
		{"A IN ('x', 'y')", "(A IN x y)"},
		{"A NOT IN (1)", "(A NOT IN 1)"},
		{"A LIKE '50\\%\\_%'", `(A LIKE 50\%\_%)`},
		{"A >= 2026-01-02T03:04:05.000+01:00", "(A >= 2026-01-02T03:04:05.000+01:00)"},
		{"A < 2026-01-02", "(A < 2026-01-02)"},
		{"(A > -1.5e3 AND B.C__r.D = 'x') OR A < 0", "(((A > -1.5e3) AND (B.C__r.D = x)) OR (A < 0))"},
		{"(SystemModstamp = 2026-01-01T00:00:00Z AND Id > '001') OR SystemModstamp > 2026-01-01T00:00:00Z",
			"(((SystemModstamp = 2026-01-01T00:00:00Z) AND (Id > 001)) OR (SystemModstamp > 2026-01-01T00:00:00Z))"},
		{"A = LAST_N_DAYS:7 AND B = today", "((A = LAST_N_DAYS:7) AND (B = TODAY))"},
		{"A INCLUDES ('a;b', 'c')", "(A INCLUDES a;b c)"},
	} {
		q, err := soql.Parse("SELECT Id FROM X WHERE " + tc.where)
		if err != nil {
			t.Errorf("%s: %v", tc.where, err)
			continue
		}
		if got := print(q.Where); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.where, got, tc.want)
		}
	}
}

func print(e soql.Expr) string {
	join := func(list []soql.Expr, word string) string {
		var out []string
		for _, e := range list {
			out = append(out, print(e))
		}
		return "(" + strings.Join(out, " "+word+" ") + ")"
	}
	switch e := e.(type) {
	case soql.And:
		return join(e, "AND")
	case soql.Or:
		return join(e, "OR")
	case soql.Not:
		return "NOT " + print(e.Of)
	case *soql.Compare:
		s := "(" + e.Field.Text + " " + string(e.Op)
		for _, v := range e.Values {
			s += " " + v.Text
		}
		return s + ")"
	}
	return "?"
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct{ query, want string }{
		{"", "\n\n^\nERROR at Row:1:Column:1\nunexpected token: '<EOF>'"},
		{"SELECT Id FROMM Account", "\nSELECT Id FROMM Account\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FROMM'"},
		{"SELECT Id FROM Account WHERE", "unexpected token: '<EOF>'"},
		{"SELECT Id FROM A WHERE B IS NULL", "unexpected token: 'IS'"},
		{"SELECT Id FROM A WHERE B = 1 AND C = 2 OR D = 3", "unexpected token: 'OR'"},
		{"SELECT Id FROM A WHERE B = 'x", "no closing quote"},
		{`SELECT Id FROM A WHERE B = 'a\z'`, "Illegal character sequence"},
		{"SELECT Id, (SELECT Id FROM Contacts) FROM Account", "unexpected token: '('"},
		{"SELECT Id FROM A LIMIT -1", "unexpected token: '-1'"},
		{"SELECT Id FROM A; DROP", "unexpected token: ';'"},
		{"SELECT Id FROM A WHERE " + strings.Repeat("(", 300) + "B = 1", "nested too deeply"},
	} {
		_, err := soql.Parse(tc.query)
		var e *soql.Error
		if !errors.As(err, &e) || e.Code != "MALFORMED_QUERY" || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.query, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("SELECT Id, Account.Name FROM Contact WHERE (A = 'x\\n' AND B IN (1, 2.5)) OR NOT C LIKE '%' ORDER BY Id DESC NULLS LAST LIMIT 1 OFFSET 2")
	f.Add("SELECT COUNT() FROM A WHERE D > 2026-01-01T00:00:00Z AND E = LAST_N_DAYS:3")
	f.Fuzz(func(t *testing.T, q string) {
		if _, err := soql.Parse(q); err != nil {
			_ = err.Error()
		}
	})
}
