package row_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
)

func values(texts ...string) [][]byte {
	var out [][]byte
	for _, t := range texts {
		if t == "NULL" {
			out = append(out, nil)
			continue
		}
		out = append(out, []byte(t))
	}
	return out
}

func TestARowBecomesACall(t *testing.T) {
	for _, c := range []struct {
		name, call, columns string
		values              [][]byte
		want                string
	}{
		{
			"identify", row.Identify, "USER_ID,email,address.city,name,address.geo.lat,Timestamp,gone",
			values(`7`, `"a@b.c"`, `"Köln"`, `"x"`, `50.900000000000000001`, `"2026-11-24T18:00:00.5"`, "NULL"),
			`{"type":"identify","userId":"7","timestamp":"2026-11-24T18:00:00.5Z","traits":{"email":"a@b.c","address":{"city":"Köln","geo":{"lat":50.900000000000000001}},"name":"x","gone":null}`,
		},
		{
			"track", row.Track, "userid,event,total", values(`"u"`, "NULL", `1e400`),
			`{"type":"track","userId":"u","event":"Happened","properties":{"total":1e400}`,
		},
		{
			"group", row.Group, "userId,groupid,event", values(`"u"`, `12`, `"a trait"`),
			`{"type":"group","userId":"u","groupId":"12","traits":{"event":"a trait"}`,
		},
		{"page", row.Page, "anonymous_id,name,url", values(`"a"`, `"Home"`, `"/"`), `{"type":"page","anonymousId":"a","name":"Home","properties":{"url":"/"}`},
		{"alias", row.Alias, "user_id,previous_id", values(`"new"`, `"old"`), `{"type":"alias","userId":"new","previousId":"old"`},
	} {
		columns := strings.Split(c.columns, ",")
		m, problems := row.NewMapper(row.Mapping{Source: "db", Sync: "s", Call: c.call, Event: "Happened", Key: columns[:1]}, columns)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", c.name, problems)
		}
		if err := m.Read(c.values); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := string(m.AppendEvent(nil, ""))
		if !json.Valid([]byte(got)) || len(got) != m.Len() {
			t.Errorf("%s: %s is no JSON, or not of %d bytes", c.name, got, m.Len())
		}
		if before, _, _ := strings.Cut(got, `,"messageId":`); before != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, before, c.want)
		}
	}
}

func TestTheMessageIDIsOfSourceSyncKeyContentAndSalt(t *testing.T) {
	id := func(source, sync, key, trait, salt string) string {
		m, problems := row.NewMapper(row.Mapping{Source: source, Sync: sync, Call: row.Identify, Key: []string{"id"}}, []string{"userId", "id", "a"})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if err := m.Read(values(`"u"`, key, trait)); err != nil {
			t.Fatal(err)
		}
		return string(m.AppendEvent(nil, salt))
	}
	first := id("db", "people", "1", "2", "")
	if again := id("db", "people", "1", "2", ""); again != first {
		t.Errorf("the same row: %s and %s", first, again)
	}
	seen := map[string]string{}
	for _, e := range []string{first, id("db2", "people", "1", "2", ""), id("db", "people2", "1", "2", ""), id("db", "people", "2", "2", ""), id("db", "people", "1", "3", ""), id("db", "people", "1", "2", "run")} {
		_, messageID, _ := strings.Cut(e, `"messageId":`)
		if other := seen[messageID]; other != "" {
			t.Errorf("%s and %s have one id", e, other)
		}
		seen[messageID] = e
	}
	m, _ := row.NewMapper(row.Mapping{Call: row.Identify, Key: []string{"id"}}, []string{"id", "user_id", "message_id"})
	if err := m.Read(values("1", `"u"`, `"mine"`)); err != nil {
		t.Fatal(err)
	}
	if got := string(m.AppendEvent(nil, "salt")); !strings.HasSuffix(got, `,"messageId":"mine"}`) {
		t.Errorf("a column messageId is not the id: %s", got)
	}
}

func TestADeletedRowIsTold(t *testing.T) {
	for _, c := range []struct{ name, call, columns, want string }{
		{"user", row.Identify, "userId,id", `{"type":"track","event":"User Deleted","userId":"u","properties":{"objectId":"u","deletedAt":"2026-11-24T00:00:00Z"}`},
		{"group", row.Group, "groupId,id", `{"type":"track","event":"Object Deleted","anonymousId":"7","properties":{"objectId":"u",`},
		{"member", row.Group, "groupId,id,userId", `{"type":"track","event":"Relationship Deleted","userId":"u","properties":{"objectId":"u",`},
		{"event", row.Track, "event,id", `{"type":"track","event":"Object Deleted","anonymousId":"7","properties":{"objectId":"7",`},
	} {
		m, problems := row.NewMapper(row.Mapping{Source: "db", Sync: "s", Call: c.call, Key: []string{"id"}}, strings.Split(c.columns, ","))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		all := values(`"u"`, `7`, `"u"`)[:len(strings.Split(c.columns, ","))]
		kept, err := m.OfIdentity(m.AppendIdentity(nil, all))
		if err != nil {
			t.Fatal(err)
		}
		got := string(m.AppendDeletion(nil, kept, "2026-11-24T00:00:00Z", "run"))
		if !strings.HasPrefix(got, c.want) || !json.Valid([]byte(got)) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestARowThatCanBecomeNoCallIsNamed(t *testing.T) {
	m, _ := row.NewMapper(row.Mapping{Call: row.Identify, Key: []string{"id"}, JSON: []string{"doc"}}, []string{"id", "userId", "timestamp", "doc"})
	for _, c := range []struct {
		values [][]byte
		want   string
	}{
		{values("NULL", `"u"`, "NULL", "NULL"), "key id is null"},
		{values("1", `true`, "NULL", "NULL"), "column userId: is neither text nor a number"},
		{values("1", `"u"`, `"infinity"`, "NULL"), "column timestamp: is no time"},
		{values("1", `"u"`, "NULL", `"{"`), "column doc: the text is not JSON"},
	} {
		if err := m.Read(c.values); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestColumnsThatMakeNoCallAreProblems(t *testing.T) {
	for _, c := range []struct{ call, columns, want string }{
		{row.Identify, "id,a", "no column says whom"},
		{row.Group, "id,userId", "no column says which group"},
		{row.Identify, "id,userId,user_id", `column "user_id" is userId, and so is another`},
		{row.Identify, "id,userId,a,a.b", `two columns are "a"`},
		{row.Identify, "userId", `the result has no column "id"`},
	} {
		_, problems := row.NewMapper(row.Mapping{Call: c.call, Key: []string{"id"}}, strings.Split(c.columns, ","))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Message, c.want) {
			t.Errorf("%s of %s: %v, want %s", c.call, c.columns, problems, c.want)
		}
	}
}

func TestPostgresValues(t *testing.T) {
	for _, c := range []struct {
		oid        uint32
		text, want string
	}{
		{16, "t", "true"}, {20, "-9223372036854775808", "-9223372036854775808"},
		{1700, "9999999999999999999999999999.9999999999", "9999999999999999999999999999.9999999999"},
		{1700, "NaN", `"NaN"`}, {701, "-Infinity", `"-Infinity"`}, {701, "1e-300", "1e-300"}, {1700, "-0.10", "-0.10"},
		{17, `\x00ff`, `"AP8="`}, {3802, `{"a": 1.10}`, `{"a":1.10}`}, {114, "{\n}", "{}"},
		{1184, "2026-11-24 18:02:03.123456+00", `"2026-11-24T18:02:03.123456Z"`}, {1184, "infinity", `"infinity"`},
		{1184, "0044-03-15 00:00:00+00 BC", `"0044-03-15T00:00:00+00 BC"`},
		{1114, "2026-11-24 18:02:03", `"2026-11-24T18:02:03"`}, {1082, "2026-11-24", `"2026-11-24"`},
		{25, "\U0001F600\t\"\\\x01", `"😀\t\"\\\u0001"`},
		{1007, "{{1,2},{NULL,4}}", "[[1,2],[null,4]]"}, {1009, `{"a \"b\" \\",NULL,"NULL",c}`, `["a \"b\" \\",null,"NULL","c"]`},
		{1007, "[0:1]={1,2}", "[1,2]"}, {1007, "{}", "[]"}, {1007, "{1,", `"{1,"`}, {1185, `{"2026-11-24 18:02:03+00"}`, `["2026-11-24T18:02:03Z"]`},
		{600, "(1,2)", `"(1,2)"`},
	} {
		if got := string(row.PostgresType(c.oid).Append(nil, []byte(c.text))); got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("%d %s: got %s, want %s", c.oid, c.text, got, c.want)
		}
	}
}
