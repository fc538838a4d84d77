package database

import (
	"strings"
	"testing"
)

var (
	inPostgres = lexis{dollar: true}
	inMySQL    = mysqlFlavour.lexis
)

func TestPlaceholdersStandOutsideOfQuotesAndComments(t *testing.T) {
	for _, c := range []struct {
		l     lexis
		text  string
		names string // of the placeholders, or what is wrong
	}{
		{inPostgres, "select * from t where a > {{cursor}} and b > {{ last_sync_time }};", "cursor last_sync_time"},
		{inPostgres, "select 'it''s' -- {{cursor}}\n, /* /* {{nothing}} */ */ \"a\"\"b\" from t where x > {{cursor}}", "cursor"},
		{inPostgres, `select E'\'' , a[1] from t where x > {{cursor}}`, "cursor"},
		{inPostgres, `select '\' from t where x > {{cursor}}`, "cursor"},
		{inPostgres, "select $q$ ' $$ $q$, $1x from t where x > {{cursor}}", "cursor"},
		{inMySQL, "select 'a\\'', `b`, \"c\" # {{x}}\n from t where x > {{cursor}}", "cursor"},
		{inPostgres, "  With x as (select 1) select * from x", ""},
		{inPostgres, "(select 1) union (select 2)", ""},
		{inPostgres, "select '{{cursor}}'", "'{{cursor}}' stands within quotes"},
		{inPostgres, "select $$ {{cursor}} $$", "$$ {{cursor}} $$ stands within quotes"},
		{inPostgres, "select {{cursors}}", "there is no placeholder {{cursors}}"},
		{inPostgres, "select {{cursor", "what begins with {{ is open"},
		{inPostgres, "select 'a", "a ' is open"},
		{inPostgres, "select $a$ $b$", "what begins with $a$ is open"},
		{inPostgres, "select 1 /* /* */", "a comment is open"},
		{inPostgres, "select 1; delete from t", "the query has more than one statement"},
		{inPostgres, "/* select */ update t set a = 1", "the query begins with UPDATE"},
		{inPostgres, " ; ", "the query is empty"},
		{inPostgres, "select " + strings.Repeat("1", maxQuery), "the query has 65542 bytes"},
	} {
		q, err := c.l.parse(c.text)
		got := strings.Join(q.names, " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.names) || c.names == "" && got != "" {
			t.Errorf("%.60q: %s, want %s", c.text, got, c.names)
		}
	}
}

// A cursor in several columns is compared by conditions that every database has.
func TestAReadIsOneStatement(t *testing.T) {
	q, err := inPostgres.parse("select * from t where at > {{cursor}} -- new ones")
	if err != nil {
		t.Fatal(err)
	}
	text, args := postgresStatement.text(Read{
		Query: q, Values: map[string]Value{Cursor: {Text, "c"}}, Order: []string{"at", "a", "b"},
		From: Value{Text, "from"}, After: []Value{{Text, "1"}, {Text, "2"}, {Text, "3"}}, Limit: 5,
	})
	const want = "select * from (\nselect * from t where at > $1 -- new ones\n) wellhead where \"at\" >= $2 and \"at\" >= $3 and (\"at\" > $4 or (\"at\" = $5 and (\"a\" > $6" +
		" or (\"a\" = $7 and (\"b\" > $8))))) order by \"at\", \"a\", \"b\" limit 5"
	if text != want || len(args) != 8 {
		t.Errorf("%d parameters:\n got %s\nwant %s", len(args), text, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("select 'a' from t where x > {{cursor}}")
	f.Add("select $a$ {{ $a$")
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range []lexis{inPostgres, inMySQL, sqliteFlavour.lexis} {
			q, err := l.parse(text)
			if err == nil && len(q.texts) != len(q.names)+1 {
				t.Errorf("%q: %d texts and %d names", text, len(q.texts), len(q.names))
			}
		}
	})
}
