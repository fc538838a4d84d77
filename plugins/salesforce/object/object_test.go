package object_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

// describe makes one from "Name type" lines; a third word is the compound
// field that it belongs to.
func describe(t *testing.T, name string, lines ...string) *object.Object {
	t.Helper()
	var fields []map[string]any
	for _, l := range append([]string{"Id id", "IsDeleted boolean", "SystemModstamp datetime"}, lines...) {
		w := strings.Fields(l)
		f := map[string]any{"name": w[0], "label": w[0], "type": w[1], "filterable": true}
		if len(w) > 2 {
			f["compoundFieldName"] = w[2]
		}
		fields = append(fields, f)
	}
	b, err := json.Marshal(map[string]any{"name": name, "label": name, "queryable": true, "replicateable": true, "fields": fields})
	if err != nil {
		t.Fatal(err)
	}
	o, err := object.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mapper(t *testing.T, o *object.Object, m object.Mapping) *object.Mapper {
	t.Helper()
	m.Org, m.Sync = "00D000000000001EAA", "it"
	p, problems := object.NewMapper(o, m)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func rest(t *testing.T, m *object.Mapper, record string) []sdk.Event {
	t.Helper()
	var r object.Record
	if err := r.Fill(m.Columns(), json.RawMessage(record)); err != nil {
		t.Fatal(err)
	}
	events, _ := m.Append(nil, &r, object.Note{})
	return events
}

func bulk(m *object.Mapper, values map[string]string) []sdk.Event {
	r := object.Record{}
	for _, c := range m.Columns() {
		r.Values = append(r.Values, []byte(values[c]))
	}
	events, _ := m.Append(nil, &r, object.Note{})
	return events
}

// Both ways to read a record have to agree, or every record would be told twice.
func TestRESTAndBulkGiveTheSameEvent(t *testing.T) {
	o := describe(t, "Thing__c", "Name string", "Text textarea", "Yes boolean", "Count int", "Money currency", "Rate double",
		"Day date", "At datetime", "Clock time", "Tags multipicklist", "Old anyType", "New__c someday",
		"Home address", "HomeStreet textarea Home", "HomeCity string Home", "HomeLatitude double Home", "HomeGeocodeAccuracy picklist Home",
		"Spot__c location", "Spot__Latitude__s double Spot__c", "Spot__Longitude__s double Spot__c")
	m := mapper(t, o, object.Mapping{Call: object.Identify})
	a := rest(t, m, `{"attributes":{"type":"Thing__c"},"Id":"a01000000000001AAA","IsDeleted":false,"SystemModstamp":"2024-09-24T03:26:07.000+0000",
		"Name":"Ünal \"x\"","Text":"a\r\nb\u0000","Yes":true,"Count":7,"Money":1.2345678901234567E16,"Rate":-0.50,"Day":"2024-01-31","At":"2024-01-31T10:00:00.000+0000",
		"Clock":"10:00:00.000Z","Tags":"a;b","Old":5,"New__c":"?","HomeStreet":"1 Way","HomeCity":null,"HomeLatitude":1.0,"HomeGeocodeAccuracy":"Street"}`)
	b := bulk(m, map[string]string{"Id": "a01000000000001AAA", "IsDeleted": "false", "SystemModstamp": "2024-09-24T03:26:07.000Z",
		"Name": `Ünal "x"`, "Text": "a\r\nb\x00", "Yes": "true", "Count": "7", "Money": "12345678901234567", "Rate": "-0.5", "Day": "2024-01-31", "At": "2024-01-31T10:00:00.000Z",
		"Clock": "10:00:00.000Z", "Tags": "a;b", "Old": "5", "New__c": "?", "HomeStreet": "1 Way", "HomeLatitude": "1", "HomeGeocodeAccuracy": "Street"})
	if string(a[0]) != string(b[0]) {
		t.Errorf("REST %s\nBulk %s", a[0], b[0])
	}
	const want = `"traits":{"At":"2024-01-31T10:00:00.000Z","Clock":"10:00:00.000Z","Count":7,"Day":"2024-01-31",` +
		`"Home":{"city":null,"geocodeAccuracy":"Street","latitude":1,"street":"1 Way"},"Id":"a01000000000001AAA","Money":12345678901234567,` +
		`"Name":"Ünal \"x\"","New__c":"?","Old":"5","Rate":-0.5,"Spot__c":null,"SystemModstamp":"2024-09-24T03:26:07.000Z","Tags":["a","b"],"Text":"a\r\nb","Yes":true}`
	if !strings.Contains(string(a[0]), want) {
		t.Errorf("got %s\nwant %s", a[0], want)
	}
}

func TestEveryDigitOfANumberIsKept(t *testing.T) {
	o := describe(t, "Thing__c", "N double")
	m := mapper(t, o, object.Mapping{Call: object.Identify, Fields: []string{"N"}})
	for in, want := range map[string]string{
		"12345678901234567": "12345678901234567", "1.0E7": "10000000", "0.0": "0", "-0": "0", "+5": "5", "007": "7", "1.50": "1.5", "1e-3": "0.001",
		"-123.456E1": "-1234.56", "0.10000000000000000001": "0.10000000000000000001", "1E401": `"1E401"`, "x": `"x"`, "1.2.3": `"1.2.3"`, ".": `"."`, "-": `"-"`,
	} {
		e := string(bulk(m, map[string]string{"Id": "a01", "N": in})[0])
		if !strings.Contains(e, `"traits":{"N":`+want+`}`) {
			t.Errorf("%s: got %s, want %s", in, e, want)
		}
	}
}

func TestWhatARecordBecomes(t *testing.T) {
	contact := describe(t, "Contact", "AccountId reference", "Email email", "MasterRecordId reference")
	const live = `{"Id":"003A","IsDeleted":false,"SystemModstamp":"2024-01-01T00:00:00.000+0000","AccountId":"001A","Email":"a@b.c"}`
	const gone = `{"Id":"003A","IsDeleted":true,"SystemModstamp":"2024-01-01T00:00:01.000+0000","AccountId":"001A","Email":"a@b.c"}`
	const merged = `{"Id":"003A","IsDeleted":true,"SystemModstamp":"2024-01-01T00:00:01.000+0000","MasterRecordId":"003B","AccountId":"001A","Email":"a@b.c"}`
	lead := describe(t, "Lead", "IsConverted boolean", "ConvertedContactId reference", "ConvertedAccountId reference")
	const converted = `{"Id":"00QA","IsDeleted":false,"SystemModstamp":"2024-01-01T00:00:00.000+0000","IsConverted":true,"ConvertedContactId":"003A","ConvertedAccountId":"001A"}`
	email := object.Mapping{Call: object.Identify, UserID: "Email", Fields: []string{"Email"}}
	members := object.Mapping{Call: object.Group, UserID: "Id", GroupID: "AccountId"}
	for _, c := range []struct {
		name   string
		object *object.Object
		m      object.Mapping
		record string
		want   []string
	}{
		{"identify", contact, object.Mapping{Call: object.Identify, Fields: []string{"Email"}}, live, []string{`"type":"identify","userId":"003A","traits":{"Email":"a@b.c"}`}},
		{"identify by email", contact, email, live, []string{`"type":"identify","userId":"a@b.c"`}},
		{"identify without email", contact, email, strings.ReplaceAll(live, `"a@b.c"`, "null"), []string{`"type":"identify","anonymousId":"003A"`}},
		{"group", contact, object.Mapping{Call: object.Group, Fields: []string{"Email"}}, live, []string{`"type":"group","anonymousId":"003A","groupId":"003A","traits":{"Email":"a@b.c"}`}},
		{"member", contact, members, live, []string{`"type":"group","userId":"003A","groupId":"001A","context"`}},
		{"member of none", contact, members, strings.ReplaceAll(live, `"001A"`, "null"), nil},
		{"deleted member of none", contact, members, strings.ReplaceAll(gone, `"001A"`, "null"), nil},
		{"track", contact, object.Mapping{Call: object.Track, Event: "Contact Updated", UserID: "Email", Fields: []string{"Id"}}, live, []string{`"type":"track","event":"Contact Updated","userId":"a@b.c","properties":{"Id":"003A"}`}},
		{"deleted user", contact, email, gone, []string{`"type":"track","event":"User Deleted","userId":"a@b.c","properties":{"objectId":"a@b.c","deletedAt":"2024-01-01T00:00:01.000Z"}`}},
		{"deleted group", contact, object.Mapping{Call: object.Group}, gone, []string{`"event":"Object Deleted","anonymousId":"003A","properties":{"objectId":"003A",`}},
		{"deleted member", contact, members, gone, []string{`"event":"Relationship Deleted","userId":"003A","properties":{"objectId":"001A",`}},
		{"deleted under a name of one's own", contact, object.Mapping{Call: object.Track, Event: "E", Deleted: "Gone"}, gone, []string{`"event":"Gone","anonymousId":"003A"`}},
		{"merged user", contact, object.Mapping{Call: object.Identify}, merged, []string{`"type":"alias","previousId":"003A","userId":"003B"`}},
		{"merged group", contact, object.Mapping{Call: object.Group}, merged, []string{`"event":"Object Deleted","anonymousId":"003A","properties":{"objectId":"003A","mergedInto":"003B",`}},
		{"converted lead", lead, object.Mapping{Call: object.Identify, Fields: []string{"Id"}}, converted, []string{`"type":"identify","userId":"00QA"`, `"type":"alias","previousId":"00QA","userId":"003A"`, `"type":"group","userId":"003A","groupId":"001A"`}},
	} {
		got := rest(t, mapper(t, c.object, c.m), c.record)
		if len(got) != len(c.want) {
			t.Errorf("%s: got %d events %s, want %d", c.name, len(got), got, len(c.want))
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(string(got[i]), want) || !json.Valid(got[i]) {
				t.Errorf("%s: got %s\nwant %s", c.name, got[i], want)
			}
		}
	}
}

func TestMessageIDsTellStatesApart(t *testing.T) {
	m := mapper(t, describe(t, "Contact", "Name string"), object.Mapping{Call: object.Identify})
	id := func(e sdk.Event) string {
		var v struct{ MessageID string }
		if err := json.Unmarshal(e, &v); err != nil || !strings.HasPrefix(v.MessageID, "sf-") || len(v.MessageID) != 35 {
			t.Fatalf("%s: %v", e, err)
		}
		return v.MessageID
	}
	one := map[string]string{"Id": "003A", "SystemModstamp": "2024-01-01T00:00:00.000Z", "Name": "a"}
	with := func(k, v string) map[string]string {
		c := map[string]string{k: v}
		for n, w := range one {
			if n != k {
				c[n] = w
			}
		}
		return c
	}
	first := id(bulk(m, one)[0])
	if again := id(bulk(m, one)[0]); again != first {
		t.Errorf("a record read again: %s and %s", first, again)
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]map[string]string{
		"another second": with("SystemModstamp", "2024-01-01T00:00:01.000Z"), "the same second, another content": with("Name", "b"),
		"another record": with("Id", "003B"), "deleted": with("IsDeleted", "true"),
	} {
		got := id(bulk(m, change)[0])
		if was, ok := seen[got]; ok {
			t.Errorf("%s has the messageId of %s", name, was)
		}
		seen[got] = name
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	hard, _ := m.AppendDeletion(nil, "003A", at, object.Note{})
	if got := id(hard[0]); seen[got] != "deleted" {
		t.Errorf("a deletion told by getDeleted has another messageId than the same told by queryAll")
	}
	salted, _ := m.AppendDeletion(nil, "003A", at, object.Note{Salt: "1"})
	if id(salted[0]) == id(hard[0]) {
		t.Error("a salt makes no difference")
	}
}

func TestTheClockIsAFieldThatCanBeAskedFor(t *testing.T) {
	for fields, want := range map[string]string{
		`{"name":"SystemModstamp","type":"datetime","filterable":true},{"name":"CreatedDate","type":"datetime","filterable":true}`:  "SystemModstamp",
		`{"name":"SystemModstamp","type":"datetime","filterable":false},{"name":"CreatedDate","type":"datetime","filterable":true}`: "CreatedDate",
		`{"name":"LoginTime","type":"datetime","filterable":true}`:                                                                  "LoginTime", `{"name":"CreatedDate","type":"string","filterable":true}`: "",
	} {
		o, err := object.Parse([]byte(`{"name":"T","queryable":true,"fields":[` + fields + `]}`))
		if err != nil || o.Clock() != want {
			t.Errorf("%s: got %q, %v, want %s", fields, o.Clock(), err, want)
		}
	}
}

// That somebody looked at a record is no change of it.
func TestWhoLookedIsNotTold(t *testing.T) {
	m := mapper(t, describe(t, "Contact", "LastViewedDate datetime", "LastReferencedDate datetime"), object.Mapping{Call: object.Identify})
	if got := fmt.Sprint(m.Columns()); strings.Contains(got, "LastViewed") || strings.Contains(got, "LastReferenced") {
		t.Errorf("reads %s", got)
	}
}

func TestUnknownFieldNamesTheNearest(t *testing.T) {
	o := describe(t, "Contact", "Email email", "Photo base64")
	_, problems := object.NewMapper(o, object.Mapping{Call: object.Identify, UserID: "Emial", Fields: []string{"Id", "email", "Photo"}})
	got := fmt.Sprint(problems)
	for _, want := range []string{"/user_id: ", "did you mean Email?", "[unknown_field] /fields/1: ", "/fields/2: ", "[unsuitable_field]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: not in %s", want, got)
		}
	}
}

// airbyte#26765
func TestASchemaTellsLabelsFormulasAndForeignKeys(t *testing.T) {
	o, err := object.Parse([]byte(`{"name":"Contact","queryable":true,"fields":[{"name":"Id","type":"id"},
		{"name":"AccountId","label":"Account ID","type":"reference","referenceTo":["Account"],"inlineHelpText":"where they work"},
		{"name":"Score__c","label":"Score","type":"double","calculated":true,"calculatedFormula":"A__c + 1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"AccountId":{"description":"where they work","pattern":"^[A-Za-z0-9]{15,18}$","title":"Account ID","type":["string","null"],"x-referenceTo":["Account"]}`,
		`"Score__c":{"description":"Formula: A__c + 1","title":"Score","type":["number","null"],"x-calculated":true}`,
	} {
		if !strings.Contains(string(o.Schema()), want) {
			t.Errorf("%s is not in %s", want, o.Schema())
		}
	}
}

func TestACallDependsOnTheFieldsItIsMadeOf(t *testing.T) {
	o := describe(t, "Contact", "FirstName string Name", "Name string Name", "Phone phone", "Email email", "Home address", "HomeCity string Home", "MasterRecordId reference")
	known := map[string]bool{"Name": true, "Phone": true, "Email": true, "Home": true} // what events could tell of
	for _, c := range []struct {
		fields, user, changed string
		needs                 bool
	}{
		{"FirstName", "", "Phone", false}, {"FirstName", "", "Name", true}, {"Phone", "", "Phone", true}, {"Phone", "Email", "Email", true},
		{"Home", "", "Home", true}, {"Home", "", "Phone", false}, {"Home", "", "", false},
		{"Phone SystemModstamp", "", "Email", true}, {"Phone MasterRecordId", "", "Email", true}, {"", "", "Email", true},
	} {
		m := mapper(t, o, object.Mapping{Call: object.Identify, UserID: c.user, Fields: strings.Fields(c.fields)})
		unchanged := maps.Clone(known)
		delete(unchanged, c.changed)
		if got := m.Needs(unchanged); got != c.needs {
			t.Errorf("fields %q, user_id %q, changed %q: got %t", c.fields, c.user, c.changed, got)
		}
	}
}

// dbt_salesforce_formula_utils#102
func TestAFormulaThatIsNotNamedIsNotRead(t *testing.T) {
	o, err := object.Parse([]byte(`{"name":"Contact","queryable":true,"fields":[{"name":"Id","type":"id"},{"name":"Good__c","type":"double","calculated":true},{"name":"Bad__c","type":"double","calculated":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := mapper(t, o, object.Mapping{Call: object.Identify, Fields: []string{"Good__c"}})
	if got := fmt.Sprint(m.Columns()); got != "[Id Good__c]" {
		t.Errorf("reads %s", got)
	}
}

func TestUnknownTypesAreReadAsText(t *testing.T) {
	o := describe(t, "Thing__c", "New__c hologram")
	var s struct {
		Properties map[string]struct{ Type []string }
	}
	if err := json.Unmarshal(o.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Properties["New__c"].Type); got != "[string null]" {
		t.Errorf("got type %s", got)
	}
}

func FuzzNumbersStayJSON(f *testing.F) {
	for _, s := range []string{"1", "-1.5e3", "0.000", "1e400", "..", "+", "9e-400"} {
		f.Add(s)
	}
	b := []byte(`{"name":"T","queryable":true,"fields":[{"name":"Id","type":"id"},{"name":"N","type":"double"},{"name":"D","type":"datetime"},{"name":"S","type":"multipicklist"}]}`)
	o, err := object.Parse(b)
	if err != nil {
		f.Fatal(err)
	}
	m, problems := object.NewMapper(o, object.Mapping{Call: object.Identify})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e := bulk(m, map[string]string{"Id": "003", "N": s, "D": s, "S": s}); !json.Valid(e[0]) {
			t.Errorf("%q becomes %s", s, e[0])
		}
	})
}
