package org_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

func TestFaultsOfRequests(t *testing.T) {
	b := newBox(t, org.Options{PageSize: 2})
	for name, want := range map[string]string{
		"session_expired": "401 INVALID_SESSION_ID", "invalid_auth_header": "401 INVALID_AUTH_HEADER", "invalid_jwt_format": "401 INVALID_JWT_FORMAT",
		"daily_limit": "403 TotalRequests Limit exceeded.", "concurrent_limit": "403 ConcurrentPerOrgLongTxn", "html_maintenance": "200 <html>", "html_503": "503 <html>",
		"server_unavailable": "503 SERVER_UNAVAILABLE", "internal_error": "500 UNKNOWN_EXCEPTION", "bad_gateway": "502 <html>", "empty_406": "406 ", "empty_420": "420 ",
		"uri_too_long": "414 Bad Message", "query_timeout": "400 QUERY_TIMEOUT", "api_disabled": "403 API_DISABLED_FOR_ORG", "api_currently_disabled": "403 API_CURRENTLY_DISABLED",
		"txn_security": "403 TXN_SECURITY_METERING_ERROR", "insufficient_access": "403 INSUFFICIENT_ACCESS", "unable_to_lock_row": "400 UNABLE_TO_LOCK_ROW",
		"operation_too_large": "400 OPERATION_TOO_LARGE", "error": "418 TEAPOT", "truncated_body": "200 unexpected EOF",
	} {
		b.must(b.Fail(org.Fault{Name: name, After: 1, Times: 1, Path: "FROM Account", Status: 418, Code: "TEAPOT"}))
		for i, want := range []string{"200 {", want, "200 {"} {
			if _, other := b.do("GET", "limits", ""); !strings.HasPrefix(other, "{") {
				t.Errorf("%s strikes another path: %s", name, other)
			}
			res, text := b.do("GET", "query?q=SELECT+Id+FROM+Account", "")
			if status, words, _ := strings.Cut(want, " "); fmt.Sprint(res.StatusCode) != status || !strings.Contains(text, words) {
				t.Errorf("%s, request %d: %s %s", name, i, res.Status, text)
			}
		}
	}
	if err := b.Fail(org.Fault{Name: "nope"}); err == nil || !strings.Contains(err.Error(), "locator_lost") {
		t.Errorf("an unknown fault: %v", err)
	}
	b.must(b.Fail(org.Fault{Name: "connection_reset", Times: 1}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/services/data/v67.0/limits", strings.NewReader("x"))
	b.must(err)
	if res, err := http.DefaultClient.Do(r); err == nil {
		_ = res.Body.Close()
		t.Errorf("connection_reset answers %s", res.Status)
	}
	_, text := b.do("GET", "query?q=SELECT+Id+FROM+Account", "")
	var page answer
	b.must(json.Unmarshal([]byte(text), &page))
	b.must(b.Fail(org.Fault{Name: "locator_lost", Times: 1}))
	if _, text := b.do("GET", page.NextRecordsURL, ""); !strings.Contains(text, "INVALID_QUERY_LOCATOR") {
		t.Errorf("locator_lost: %s", text)
	}
}

func TestTooLongAndTooMany(t *testing.T) {
	b := newBox(t, org.Options{DailyRequests: 3})
	if res, text := b.do("GET", "query?q="+strings.Repeat("x", 16_384), ""); res.StatusCode != http.StatusRequestURITooLong || !strings.Contains(text, "<h1>Bad Message 414</h1>") {
		t.Errorf("%s %s", res.Status, text)
	}
	for i := range 3 {
		if res, _ := b.do("GET", "limits", ""); res.Header.Get("Sforce-Limit-Info") != fmt.Sprintf("api-usage=%d/3", i+1) {
			t.Errorf("request %d: %s", i, res.Header.Get("Sforce-Limit-Info"))
		}
	}
	if res, text := b.do("GET", "limits", ""); res.StatusCode != http.StatusForbidden || !strings.Contains(text, "TotalRequests") {
		t.Errorf("%s %s", res.Status, text)
	}
	b.SetUsage(0)
	if res, _ := b.do("GET", "limits", ""); res.StatusCode != http.StatusOK {
		t.Errorf("%s", res.Status)
	}
}

// bulk runs a job and reads all of its pages, as rows with the header first.
func (b *box) bulk(query string, maxRecords string, more string) (rows [][]string, problem string) {
	b.t.Helper()
	res, text := b.do("POST", "jobs/query", `{"operation":"query","query":"`+query+`"`+more+`}`)
	if res.StatusCode != http.StatusOK {
		return nil, text
	}
	var job struct{ ID, State string }
	b.must(json.Unmarshal([]byte(text), &job))
	if job.State != "UploadComplete" {
		b.t.Errorf("a new job is %s", job.State)
	}
	if _, text = b.do("GET", "jobs/query/"+job.ID, ""); !strings.Contains(text, "JobComplete") {
		return nil, text
	}
	locator := ""
	for locator != "null" {
		res, text := b.do("GET", "jobs/query/"+job.ID+"/results?maxRecords="+maxRecords+"&locator="+locator, "")
		if res.StatusCode != http.StatusOK {
			return rows, text
		}
		page, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			return rows, err.Error()
		}
		if n := fmt.Sprint(len(page) - 1); n != res.Header.Get("Sforce-Numberofrecords") {
			problem = n + " rows, counted " + res.Header.Get("Sforce-Numberofrecords")
		}
		if rows != nil {
			page = page[1:]
		}
		rows, locator = append(rows, page...), res.Header.Get("Sforce-Locator")
	}
	return rows, problem
}

func TestBulk(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	b.must(b.Load("Contact", 10, func(i int) map[string]any {
		return map[string]any{"LastName": fmt.Sprintf("a,\"b\"\n%d", i), "Birthdate": "1999-12-31", "IsEmailBounced": i == 3}
	}))
	const query = "SELECT Id, LastName, IsEmailBounced, Birthdate, CreatedDate, Title, CreatedBy.Username FROM Contact"
	rows, problem := b.bulk(query, "4", "")
	if len(rows) != 11 || problem != "" {
		t.Fatalf("%d rows, %s", len(rows), problem)
	}
	want := "003000000000004AAA|a,\"b\"\n3|true|1999-12-31|2026-03-01T12:00:00.000Z||admin@simulator.example"
	if got := strings.Join(rows[4], "|"); got != want {
		t.Errorf("row\n got %s\nwant %s", got, want)
	}
	for q, want := range map[string]string{
		"SELECT MailingAddress FROM Contact": "Selecting compound data not supported in Bulk Query",
		"SELECT COUNT() FROM Contact":        "not supported in Bulk Query",
		"SELECT Id FROM Contact OFFSET 3":    "not supported in Bulk Query",
		"SELECT Nope FROM Contact":           "INVALID_FIELD: ",
	} {
		if _, problem := b.bulk(q, "4", ""); !strings.Contains(problem, want) {
			t.Errorf("%s: %s", q, problem)
		}
	}
	for fault, want := range map[string]string{"bulk_failed": "retried more than 15 times", "bulk_job_limit": "Max bulk v2 query jobs (10000)", "bulk_result_limit": "result size stored",
		"bulk_not_supported": "INVALIDENTITY", "bulk_missing_rows": "3 rows, counted 4", "truncated_body": "counted 4", "locator_lost": "INVALID_QUERY_LOCATOR"} {
		f := org.Fault{Name: fault, Times: 1}
		if fault == "truncated_body" {
			f.Path = "/results"
		}
		b.must(b.Fail(f))
		if _, problem := b.bulk(query, "4", ""); !strings.Contains(problem, want) {
			t.Errorf("%s: %s", fault, problem)
		}
	}
	b.must(b.SetAccess("Contact", org.Access{NoBulk: true}))
	if _, problem := b.bulk(query, "4", ""); !strings.Contains(problem, "INVALIDENTITY") {
		t.Errorf("NoBulk: %s", problem)
	}
}

func TestABulkResultIsThatOfItsJobsTime(t *testing.T) {
	b := newBox(t, org.Options{BulkDelay: time.Minute})
	_, text := b.do("POST", "jobs/query", `{"operation":"queryAll","query":"SELECT Id, Name FROM Account","columnDelimiter":"PIPE","lineEnding":"CRLF"}`)
	var job struct{ ID string }
	b.must(json.Unmarshal([]byte(text), &job))
	one := "jobs/query/" + job.ID
	b.must(b.HardDelete("Account", b.IDs("Account")[0]))
	if _, text := b.do("GET", one, ""); !strings.Contains(text, `"state":"InProgress"`) {
		t.Errorf("at once: %s", text)
	}
	if _, text := b.do("GET", one+"/results", ""); !strings.Contains(text, "INVALIDJOBSTATE") {
		t.Errorf("results at once: %s", text)
	}
	b.Advance(time.Minute)
	res, text := b.do("GET", one+"/results", "", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(strings.NewReader(text))
	b.must(err)
	plain, err := io.ReadAll(z)
	b.must(err)
	if !strings.HasPrefix(string(plain), "\"Id\"|\"Name\"\r\n\"001000000000001AAA\"|\"Acme, Inc.\"\r\n") || res.Header.Get("Sforce-Locator") != "null" {
		t.Errorf("results: %s", plain)
	}
	if _, text := b.do("GET", one+"/resultPages?maxRecords=2", ""); strings.Count(text, "resultUrl") != 3 || !strings.Contains(text, `"done":true`) {
		t.Errorf("resultPages: %s", text)
	}
	if res, _ := b.do("GET", "/services/data/v66.0/"+one, ""); res.StatusCode != http.StatusConflict {
		t.Errorf("another version: %s", res.Status)
	}
	if _, text := b.do("PATCH", one, `{"state":"Aborted"}`); !strings.Contains(text, "Aborting already Completed Job not allowed") {
		t.Errorf("abort: %s", text)
	}
	if res, _ := b.do("DELETE", one, ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %s", res.Status)
	}
}

func TestAdminIsForThisMachine(t *testing.T) {
	b := newBox(t, org.Options{Empty: true})
	admin := func(header ...string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/admin/insert", strings.NewReader(`{"object":"Contact","fields":{"LastName":"X"}}`))
		b.must(err)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		b.must(err)
		b.must(res.Body.Close())
		return res.StatusCode
	}
	if got := admin(); got != http.StatusOK || len(b.IDs("Contact")) != 1 {
		t.Errorf("insert: %d, %v", got, b.IDs("Contact"))
	}
	if got := admin("Origin", "https://elsewhere.example"); got != http.StatusNotFound || len(b.IDs("Contact")) != 1 {
		t.Errorf("from a page: %d", got)
	}
}
