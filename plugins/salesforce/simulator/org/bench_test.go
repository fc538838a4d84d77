package org_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// wide are twenty fields of a contact, Id and SystemModstamp among them.
const wide = "Id, SystemModstamp, FirstName, LastName, Salutation, Email, Phone, MobilePhone, Title, Department, MailingStreet, MailingCity, MailingState, " +
	"MailingPostalCode, MailingCountry, LeadSource, Birthdate, AccountId, OwnerId, IsDeleted"

func wideRow(i int) map[string]any {
	return map[string]any{"FirstName": "Grace", "LastName": fmt.Sprint("Hopper ", i), "Salutation": "Dr.", "Email": fmt.Sprintf("g%d@people.example", i),
		"Phone": fmt.Sprintf("+49 30 %06d", i%1_000_000), "MobilePhone": fmt.Sprintf("+49 170 %06d", i%1_000_000), "Title": "Rear Admiral", "Department": "Research",
		"MailingStreet": fmt.Sprintf("Hauptstrasse %d", i%200), "MailingCity": "Berlin", "MailingState": "BE", "MailingPostalCode": "10115", "MailingCountry": "Germany",
		"LeadSource": "Web", "Birthdate": "1906-12-09", "AccountId": "001000000000001AAA", "SystemModstamp": start.Add(time.Duration(i/10) * time.Second)}
}

// loaded is an org with n contacts.
func loaded(b *testing.B, n int) (o *org.Org, base string) {
	b.Helper()
	o = org.New(org.Options{Empty: true, DailyRequests: 1 << 30})
	if err := o.Load("Contact", n, wideRow); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(o)
	b.Cleanup(srv.Close)
	b.Cleanup(o.Close)
	return o, srv.URL
}

// fetch gets a URL, or posts body to it.
func fetch(b *testing.B, token, url, body string) (*http.Response, []byte) {
	b.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(b.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return res, text
}

// BenchmarkKeysetPage reads pages of 2,000 rows by Id out of a million.
func BenchmarkKeysetPage(b *testing.B) {
	o, base := loaded(b, 1_000_000)
	token, last, rows := o.Token(), "000000000000000AAA", 0
	for b.Loop() {
		q := "SELECT " + wide + " FROM Contact WHERE Id > '" + last + "' ORDER BY Id LIMIT 2000"
		_, body := fetch(b, token, base+"/services/data/v67.0/query?q="+url.QueryEscape(q), "")
		var page struct{ Records []struct{ ID string } }
		b.StopTimer()
		if err := json.Unmarshal(body, &page); err != nil || len(page.Records) == 0 {
			b.Fatalf("%v, %.200s", err, body)
		}
		rows += len(page.Records)
		if last = page.Records[len(page.Records)-1].ID; rows%1_000_000 == 0 {
			last = "000000000000000AAA"
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rows), "µs/row")
}

// BenchmarkBulkPage reads pages of 50,000 rows of a job over a million.
func BenchmarkBulkPage(b *testing.B) {
	o, base := loaded(b, 1_000_000)
	token := o.Token()
	base += "/services/data/v67.0/jobs/query"
	_, body := fetch(b, token, base, `{"operation":"query","query":"SELECT `+wide+` FROM Contact"}`)
	var job struct{ ID string }
	if err := json.Unmarshal(body, &job); err != nil {
		b.Fatal(err)
	}
	locator, rows := "", 0
	for b.Loop() {
		res, body := fetch(b, token, base+"/"+job.ID+"/results?locator="+locator, "")
		if locator = res.Header.Get("Sforce-Locator"); locator == "null" {
			locator = ""
		}
		if len(body) < 1<<20 {
			b.Fatalf("%.200s", body)
		}
		rows += 50_000
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rows), "µs/row")
}

// BenchmarkWindow reads a window of 600 rows out of a million.
func BenchmarkWindow(b *testing.B) {
	o, base := loaded(b, 1_000_000)
	token := o.Token()
	q := "SELECT " + wide + " FROM Contact WHERE SystemModstamp > 2026-03-01T13:00:00Z AND SystemModstamp <= 2026-03-01T13:01:00Z ORDER BY SystemModstamp, Id"
	for b.Loop() {
		if _, body := fetch(b, token, base+"/services/data/v67.0/queryAll?q="+url.QueryEscape(q), ""); len(body) < 1<<16 {
			b.Fatalf("%.200s", body)
		}
	}
}

// BenchmarkMemory says what a row of twenty fields takes.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		o, _ := loaded(b, 1_000_000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		o.Close()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "B/row")
	b.ReportMetric(float64(after.Sys)/(1<<20), "MiB-of-the-process")
}
