package org_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// box is an org behind a server, with a token.
type box struct {
	*org.Org
	t     *testing.T
	url   string
	token string
}

func newBox(t *testing.T, options org.Options) *box {
	t.Helper()
	if options.Start.IsZero() {
		options.Start = start
	}
	o := org.New(options)
	t.Cleanup(o.Close)
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	o.SetBaseURL(srv.URL)
	return &box{o, t, srv.URL, o.Token()}
}

// do sends a request to the API of version 67.0 and gives the answer back with
// its body.
func (b *box) do(method, path, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	if !strings.HasPrefix(path, "/services") {
		path = "/services/data/v67.0/" + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return res, err.Error()
	}
	return res, string(text)
}

type answer struct {
	TotalSize      int
	Done           bool
	NextRecordsURL string
	Records        []map[string]any
}

// query runs a statement and reads all pages.
func (b *box) query(resource, soql string) []map[string]any {
	b.t.Helper()
	path := resource + "?q=" + url.QueryEscape(soql)
	var out []map[string]any
	for {
		res, text := b.do("GET", path, "")
		if res.StatusCode != http.StatusOK {
			b.t.Fatalf("%s: %s %s", soql, res.Status, text)
		}
		var a answer
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			b.t.Fatalf("%s: %v in %s", soql, err, text)
		}
		out = append(out, a.Records...)
		if a.Done {
			return out
		}
		path = a.NextRecordsURL
	}
}

// column is one field of all rows of a query, separated by spaces.
func (b *box) column(resource, soql, field string) string {
	b.t.Helper()
	var out []string
	for _, r := range b.query(resource, soql) {
		out = append(out, fmt.Sprint(r[field]))
	}
	return strings.Join(out, " ")
}

func (b *box) insert(object string, fields map[string]any) string {
	b.t.Helper()
	id, err := b.Insert(object, fields)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestQueries(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	b.must(b.Load("Account", 6, func(i int) map[string]any {
		row := map[string]any{"Name": []string{"acme", "Beta", "beta", "Gamma", "Ünal", "Zeta"}[i], "NumberOfEmployees": i * 10, "SystemModstamp": start.Add(time.Duration(i/2) * time.Second)}
		if i%2 == 0 {
			row["AnnualRevenue"] = json.Number("12345678901234567.25")
			row["ParentId"] = "001000000000004"
		}
		return row
	}))
	for _, tc := range []struct{ where, want string }{
		{"ORDER BY Name DESC", "Ünal Zeta Gamma beta Beta acme"},
		{"ORDER BY ParentId NULLS LAST, NumberOfEmployees DESC LIMIT 3", "Ünal beta acme"},
		{"ORDER BY AnnualRevenue, Name LIMIT 3", "Beta Gamma Zeta"},
		{"WHERE Name = 'BETA'", "Beta beta"},
		{"WHERE Name LIKE '_eta' ORDER BY Id", "Beta beta Zeta"},
		{"WHERE (NOT Name LIKE '%a')", "acme Ünal"},
		{"WHERE NumberOfEmployees >= 20 AND NumberOfEmployees < 4e1", "beta Gamma"},
		{"WHERE Name IN ('acme', 'zeta') AND AnnualRevenue = null", "Zeta"},
		{"WHERE Name NOT IN ('acme', 'zeta') AND AnnualRevenue != null", "beta Ünal"},
		{"WHERE ParentId = '001000000000004AAA' LIMIT 1 OFFSET 1", "beta"},
		{"WHERE Parent.Name = 'gamma' AND Parent.Owner.Username = 'admin@simulator.example'", "acme beta Ünal"},
		{"WHERE Id > '001000000000003AAA' ORDER BY Id LIMIT 2", "Gamma Ünal"},
		{"WHERE Id IN ('001000000000005AAA','001000000000001','003000000000001AAA')", "acme Ünal"},
		{"WHERE SystemModstamp > 2026-03-01T12:00:00Z AND SystemModstamp <= 2026-03-01T13:00:01.000+01:00", "beta Gamma"},
		{"WHERE SystemModstamp >= 2026-03-01T12:00:01.001Z", "Ünal Zeta"},
		{"WHERE (SystemModstamp = 2026-03-01T12:00:01Z AND Id > '001000000000003AAA') OR SystemModstamp > 2026-03-01T12:00:01Z ORDER BY SystemModstamp, Id", "Gamma Ünal Zeta"},
		{"WHERE CreatedDate = TODAY AND IsDeleted = false AND Name > 'z'", "Ünal Zeta"},
		{"WHERE CreatedDate < LAST_N_DAYS:2", ""},
	} {
		if got := b.column("query", "SELECT Id, Name FROM Account "+tc.where, "Name"); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.where, got, tc.want)
		}
	}
	for _, tc := range []struct{ query, code, message string }{
		{"SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"},
		{"SELECT Nope.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Nope'"},
		{"SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"},
		{"SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"},
		{"SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"},
		{"SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"},
		{"SELECT Id FROM Account WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"},
		{"SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"},
		{"SELECT Id FROM Account WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"},
		{"SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"},
		{"SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"},
		{"SELECT Id, COUNT(Name) FROM Account", "MALFORMED_QUERY", "grouped or aggregated"},
	} {
		res, text := b.do("GET", "query/?q="+strings.ReplaceAll(url.QueryEscape(tc.query), "+", "%20"), "")
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(text, `"errorCode":"`+tc.code+`"`) || !strings.Contains(text, tc.message) {
			t.Errorf("%s: %s %s", tc.query, res.Status, text)
		}
	}
	if _, text := b.do("GET", "query?q="+url.QueryEscape("SELECT AnnualRevenue FROM Account LIMIT 1"), ""); !strings.Contains(text, "12345678901234567.25") {
		t.Errorf("a number lost digits: %s", text)
	}
	if _, text := b.do("GET", "query?q="+url.QueryEscape("SELECT COUNT(ParentId), MIN(Name) least FROM Account"), ""); !strings.Contains(text, `"expr0":3,"least":"acme"`) {
		t.Errorf("aggregates: %s", text)
	}
}

func TestPagesHoldTheirIDsAndShowValuesAsTheyAre(t *testing.T) {
	b := newBox(t, org.Options{Empty: true, PageSize: 300})
	b.must(b.Load("Contact", 1000, func(i int) map[string]any { return map[string]any{"LastName": fmt.Sprint("L", i)} }))
	res, text := b.do("GET", "query?q=SELECT+Id,LastName+FROM+Contact", "", "Sforce-Query-Options", "batchSize=200")
	var first answer
	b.must(json.Unmarshal([]byte(text), &first))
	if len(first.Records) != 200 || first.Done || first.TotalSize != 1000 || res.Header.Get("Sforce-Limit-Info") != "api-usage=1/100000" {
		t.Fatalf("page 1 has %d rows, total %d, done %v; %v", len(first.Records), first.TotalSize, first.Done, res.Header)
	}
	b.must(b.Update("Contact", b.IDs("Contact")[200], map[string]any{"LastName": "changed"}))
	b.insert("Contact", map[string]any{"LastName": "new"})
	_, text = b.do("GET", first.NextRecordsURL, "")
	var second answer
	b.must(json.Unmarshal([]byte(text), &second))
	if second.Records[0]["LastName"] != "changed" || second.TotalSize != 1000 {
		t.Errorf("page 2 begins with %v of %d", second.Records[0], second.TotalSize)
	}
	b.Advance(49 * time.Hour)
	b.token = b.Token()
	if _, text = b.do("GET", second.NextRecordsURL, ""); !strings.Contains(text, "INVALID_QUERY_LOCATOR") {
		t.Errorf("a cursor outlives two days: %s", text)
	}
}

func TestARowsLife(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	id := b.insert("Contact", map[string]any{"FirstName": "Grace", "LastName": "Hopper"})
	stamp := func() string { return b.column("queryAll", "SELECT SystemModstamp FROM Contact", "SystemModstamp") }
	if got := stamp(); got != "2026-03-01T12:00:00.000+0000" {
		t.Errorf("inserted at %s", got)
	}
	b.Advance(1700 * time.Millisecond)
	b.must(b.Update("Contact", id, map[string]any{"LastName": "Murray"}))
	if got := stamp(); got != "2026-03-01T12:00:01.000+0000" {
		t.Errorf("updated at %s", got)
	}
	if row, _ := b.Get("Contact", id); row["Name"] != "Grace Murray" {
		t.Errorf("the name is %v", row["Name"])
	}
	b.Advance(time.Minute)
	b.must(b.Delete("Contact", id))
	if got := b.column("query", "SELECT Id FROM Contact", "Id"); got != "" {
		t.Errorf("a query sees the deleted %s", got)
	}
	if got := b.column("queryAll", "SELECT Id FROM Contact WHERE IsDeleted = true", "Id"); got != id || stamp() != "2026-03-01T12:01:01.000+0000" {
		t.Errorf("queryAll sees %s, deleted at %s", got, stamp())
	}
	span := "sobjects/Contact/deleted/?start=2026-03-01T11:00:00%2B00:00&end=2026-03-01T12:02:00Z"
	if _, text := b.do("GET", span, ""); !strings.Contains(text, `"deletedRecords":[{"id":"`+id+`","deletedDate":"2026-03-01T12:01:01.000+0000"}]`) {
		t.Errorf("getDeleted: %s", text)
	}
	b.must(b.Undelete("Contact", id))
	if _, text := b.do("GET", span, ""); !strings.Contains(text, `"deletedRecords":[]`) {
		t.Errorf("getDeleted tells of the undeleted: %s", text)
	}
	b.must(b.HardDelete("Contact", id))
	if got := b.column("queryAll", "SELECT Id FROM Contact", "Id"); got != "" {
		t.Errorf("queryAll sees the purged %s", got)
	}
	if _, text := b.do("GET", span, ""); !strings.Contains(text, id) {
		t.Errorf("getDeleted does not tell of the purged: %s", text)
	}
	var kinds []string
	for _, c := range b.Changes(0) {
		kinds = append(kinds, c.Type+" "+strings.Join(c.Fields, ","))
	}
	want := []string{"CREATE LastName,FirstName,OwnerId", "UPDATE LastName", "DELETE ", "UNDELETE LastName,FirstName,Name,OwnerId", "DELETE "}
	if !slices.Equal(kinds, want) {
		t.Errorf("changes\n got %q\nwant %q", kinds, want)
	}
}

func TestTheBinIsEmptiedAfterFifteenDays(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	id := b.insert("Contact", map[string]any{"LastName": "X"})
	b.must(b.Delete("Contact", id))
	b.Advance(15*24*time.Hour + time.Second)
	b.token = b.Token()
	if got := b.column("queryAll", "SELECT Id FROM Contact", "Id"); got != "" {
		t.Errorf("the bin still has %s", got)
	}
}

func TestALateCommitAppearsBelowWhatWasSeen(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	tx := b.Begin()
	late, err := tx.Insert("Contact", map[string]any{"LastName": "late"})
	b.must(err)
	b.Advance(10 * time.Minute)
	b.insert("Contact", map[string]any{"LastName": "prompt"})
	rows := "SELECT LastName FROM Contact ORDER BY SystemModstamp"
	if got := b.column("query", rows, "LastName"); got != "prompt" {
		t.Errorf("before the commit: %s", got)
	}
	updated := "sobjects/Contact/updated?start=2026-03-01T11:00:00Z&end=2026-03-01T12:10:00Z"
	if _, text := b.do("GET", updated, ""); !strings.Contains(text, `"latestDateCovered":"2026-03-01T12:00:00.000+0000"`) {
		t.Errorf("the open transaction does not hold latestDateCovered: %s", text)
	}
	b.must(tx.Commit())
	if got := b.column("query", rows, "LastName"); got != "late prompt" {
		t.Errorf("after the commit: %s", got)
	}
	if _, text := b.do("GET", updated, ""); !strings.Contains(text, late) || !strings.Contains(text, `12:10:00.000+0000"`) {
		t.Errorf("after the commit: %s", text)
	}
	tx = b.Begin()
	b.must(tx.Update("Contact", late, map[string]any{"LastName": "held"}))
	if err := b.Update("Contact", late, map[string]any{"LastName": "x"}); err == nil || !strings.Contains(err.Error(), "UNABLE_TO_LOCK_ROW") {
		t.Errorf("a locked row was written to: %v", err)
	}
	tx.Rollback()
	b.must(b.Update("Contact", late, map[string]any{"LastName": "free"}))
}

func TestMergeAndConversion(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	winner, loser := b.insert("Account", map[string]any{"Name": "W"}), b.insert("Account", map[string]any{"Name": "L"})
	child := b.insert("Contact", map[string]any{"LastName": "C", "AccountId": loser})
	b.must(b.Merge("Account", winner, loser))
	if got := b.column("queryAll", "SELECT MasterRecordId FROM Account WHERE IsDeleted = true", "MasterRecordId"); got != winner {
		t.Errorf("the loser's master is %s", got)
	}
	if row, _ := b.Get("Contact", child); row["AccountId"] != winner {
		t.Errorf("the child belongs to %v", row["AccountId"])
	}
	lead := b.insert("Lead", map[string]any{"LastName": "Wirth", "Company": "ETH", "Email": "n@eth.example"})
	c, err := b.ConvertLead(lead)
	b.must(err)
	row, _ := b.Get("Lead", lead)
	contact, _ := b.Get("Contact", c.ContactID)
	if row["IsConverted"] != true || row["ConvertedContactId"] != c.ContactID || row["ConvertedAccountId"] != c.AccountID || contact["Email"] != "n@eth.example" || contact["AccountId"] != c.AccountID {
		t.Errorf("lead %v\ncontact %v", row, contact)
	}
}

func TestDescribesChange(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	id := b.insert("Account", map[string]any{"Name": "A", "Sic": "42", "Site": "x"})
	res, _ := b.do("GET", "sobjects/Account/describe", "")
	seen := res.Header.Get("Last-Modified")
	if res, _ := b.do("GET", "sobjects/Account/describe", "", "If-Modified-Since", seen); res.StatusCode != http.StatusNotModified {
		t.Errorf("an unchanged describe answers %s", res.Status)
	}
	b.Advance(time.Minute)
	b.must(b.AddField("Account", org.Field{Name: "Score__c", Type: "double", Calculated: true}))
	b.must(b.RetypeField("Account", "Sic", "double"))
	b.must(b.RemoveField("Account", "Site"))
	b.must(b.SetAccess("Account", org.Access{HiddenFields: []string{"Fax"}}))
	b.must(b.SetFormula("Account", id, map[string]any{"Score__c": 7.5}))
	res, text := b.do("GET", "sobjects/Account/describe", "", "If-Modified-Since", seen)
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "Score__c") || strings.Contains(text, `"name":"Fax"`) || strings.Contains(text, `"name":"Site"`) {
		t.Errorf("the changed describe answers %s", res.Status)
	}
	row := b.query("query", "SELECT Sic, Score__c, SystemModstamp FROM Account")[0]
	if row["Sic"] != 42.0 || row["Score__c"] != 7.5 || row["SystemModstamp"] != "2026-03-01T12:00:00.000+0000" {
		t.Errorf("row %v", row)
	}
	for _, f := range []string{"Fax", "Site"} {
		if _, text := b.do("GET", "query?q=SELECT+"+f+"+FROM+Account", ""); !strings.Contains(text, "INVALID_FIELD") {
			t.Errorf("%s: %s", f, text)
		}
	}
	b.must(b.SetAccess("Account", org.Access{NoRead: true}))
	if _, text := b.do("GET", "query?q=SELECT+Id+FROM+Account", ""); !strings.Contains(text, "INVALID_TYPE") {
		t.Errorf("an object without access: %s", text)
	}
	b.must(b.AddObject("Thing__c", "a01", org.Field{Name: "Size__c", Type: "int"}))
	b.insert("Thing__c", map[string]any{"Name": "T", "Size__c": 3})
	if got := b.column("query", "SELECT Size__c FROM Thing__c", "Size__c"); got != "3" {
		t.Errorf("the new object has %s", got)
	}
}

func TestRecordsOverREST(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	res, text := b.do("POST", "sobjects/Account/", `{"Name":"A & <B>","NumberOfEmployees":7}`)
	var created struct{ ID string }
	b.must(json.Unmarshal([]byte(text), &created))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", res.Status, text)
	}
	one := "sobjects/Account/" + created.ID
	if res, text := b.do("PATCH", one, `{"BillingCity":"Bern"}`); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", res.Status, text)
	}
	if _, text := b.do("GET", one+"?fields=Name,BillingAddress", ""); !strings.Contains(text, `"Name":"A & <B>","BillingAddress":{"city":"Bern"`) {
		t.Errorf("%s", text)
	}
	for _, tc := range []struct{ method, path, body, code string }{
		{"POST", "sobjects/Account", `{}`, "REQUIRED_FIELD_MISSING"},
		{"POST", "sobjects/Account", `{"Nope":1}`, "INVALID_FIELD"},
		{"POST", "sobjects/Account", `{"Name":"x","CreatedDate":"2026-01-01T00:00:00Z"}`, "INVALID_FIELD_FOR_INSERT_UPDATE"},
		{"POST", "sobjects/Account", `{"Name":"` + strings.Repeat("x", 256) + `"}`, "STRING_TOO_LONG"},
		{"PATCH", one, `{"ParentId":"nope"}`, "MALFORMED_ID"},
		{"PATCH", one, `{"NumberOfEmployees":"many"}`, "JSON_PARSER_ERROR"},
		{"GET", "sobjects/Account/001000000000009AAA", "", "NOT_FOUND"},
		{"GET", "sobjects/Nope/describe", "", "NOT_FOUND"},
		{"GET", "/services/data/v20.0/limits", "", "UNSUPPORTED_API_VERSION"},
	} {
		if _, text := b.do(tc.method, tc.path, tc.body); !strings.Contains(text, tc.code) {
			t.Errorf("%s %s: %s", tc.method, tc.path, text)
		}
	}
	if res, _ := b.do("DELETE", one, ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s", res.Status)
	}
	if _, text := b.do("GET", one, ""); !strings.Contains(text, "ENTITY_IS_DELETED") {
		t.Errorf("%s", text)
	}
	batch := `{"batchRequests":[{"method":"GET","url":"v67.0/sobjects/Contact/describe"},{"method":"GET","url":"v67.0/sobjects/Nope/describe"}]}`
	if _, text := b.do("POST", "composite/batch", batch); !strings.Contains(text, `"hasErrors":true`) || !strings.Contains(text, `"statusCode":404`) || !strings.Contains(text, `"keyPrefix":"003"`) {
		t.Errorf("batch: %.300s", text)
	}
}

func TestTheClockIsTheOrgs(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	b.Advance(-time.Hour)
	if res, _ := b.do("GET", "limits", ""); res.Header.Get("Date") != "Sun, 01 Mar 2026 11:00:00 GMT" {
		t.Errorf("Date: %s", res.Header.Get("Date"))
	}
}
