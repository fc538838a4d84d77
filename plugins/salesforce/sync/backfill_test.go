package sync_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
)

// airbyte#27048
func TestABackfillHasAsManyRowsAsTheOrg(t *testing.T) {
	b := newBox(t, narrow(), org.Options{})
	b.must(b.Load("Contact", 4500, names(0)))
	b.sync.SetBulk(5000, 500)
	b.poll()
	b.check("REST")
	if n := b.count("identify"); n != 4500 || b.Stats().BulkJobs != 0 {
		t.Errorf("got %d rows, %d jobs", n, b.Stats().BulkJobs)
	}
}

// airbyte#6122
func TestABulkBackfillReadsEveryPage(t *testing.T) {
	b := newBox(t, narrow(), org.Options{})
	b.must(b.Load("Contact", 2600, names(0)))
	b.poll()
	b.check("bulk")
	if s := b.Stats(); s.BulkJobs != 1 || b.repeated > 2600 {
		t.Errorf("%+v, %d repeated", s, b.repeated)
	}
}

// simple-salesforce#95, dataloader#576, singer-io/tap-salesforce#21, jsforce#1546: and what else may happen to a large read
func TestABulkBackfillSurvives(t *testing.T) {
	for _, f := range []org.Fault{
		{Name: "locator_lost", After: 5, Times: 1}, {Name: "truncated_body", Path: "results", After: 1, Times: 1},
		{Name: "connection_reset", Path: "results", Times: 2}, {Name: "bulk_missing_rows", After: 1, Times: 1}, {Name: "bulk_nul"},
		{Name: "error", Path: "resultPages", Status: 404, Code: "NOT_FOUND"}, {Name: "error", Path: "resultPages?", Status: 400, Code: "API_ERROR"},
		{Name: "bulk_failed", Times: 1}, {Name: "bulk_job_limit", Times: 1}, {Name: "bulk_not_supported", Times: 1},
		{Name: "session_expired", Path: "results", After: 1, Times: 1}, {Name: "html_maintenance", Path: "jobs", After: 1, Times: 1},
	} {
		b := newBox(t, narrow(), org.Options{BulkPageSize: 300})
		b.sync.SetBulk(1000, 300)
		b.must(b.Load("Contact", 2600, names(0)))
		b.must(b.Fail(f)) // a lost locator is that of page 7
		b.poll()
		b.ClearFaults()
		if n := len(b.fold()); n != 2600 {
			t.Errorf("%s: %d rows", f.Name, n)
		}
	}
}

// What may happen to a read by pages costs no row, and none is told again.
func TestARESTBackfillSurvives(t *testing.T) {
	for _, f := range []org.Fault{
		{Name: "session_expired", Path: "query/", After: 2, Times: 1}, {Name: "invalid_jwt_format", Path: "query/", After: 2, Times: 1},
		{Name: "locator_lost", After: 5, Times: 1}, {Name: "locator_lost", After: 7, Times: 1}, // page 7, and one of the last query
		{Name: "truncated_body", Path: "query/", Times: 1}, {Name: "connection_reset", Path: "query/", Times: 2},
		{Name: "html_maintenance", Path: "query/", Times: 1}, {Name: "html_503", Path: "query/", Times: 1}, {Name: "empty_406", Path: "query/", Times: 1},
		{Name: "concurrent_limit", Path: "query/", Times: 2}, {Name: "query_timeout", Path: "LIMIT 2000", Times: 1},
		{Name: "daily_limit", Path: "query/", After: 3, Times: 1}, {Name: "server_unavailable", Path: "query/", After: 3, Times: 6},
	} {
		b := newBox(t, narrow(), org.Options{PageSize: 250})
		b.sync.SetBulk(5000, 500)
		b.loadOld(2600)
		b.must(b.Fail(f))
		err := b.sync.Poll(t.Context())
		fails := f.Name == "daily_limit" || f.Name == "server_unavailable"
		if (err != nil) != fails || fails && client.Problem(err, "").Code != map[string]string{"daily_limit": "daily_limit", "server_unavailable": "unavailable"}[f.Name] {
			t.Errorf("%s: %v", f.Name, err)
		}
		b.ClearFaults()
		b.poll()
		if n := len(b.fold()); n != 2600 || b.repeated != 0 {
			t.Errorf("%s: %d rows, %d told again", f.Name, n, b.repeated)
		}
	}
}

// pageOf is the row at which a request's result page begins, -1 of other requests.
func pageOf(request string) int {
	u, err := url.Parse(request)
	if err != nil || !strings.HasSuffix(u.Path, "/results") {
		return -1
	}
	row, _ := base64.RawURLEncoding.DecodeString(u.Query().Get("locator"))
	n, _ := strconv.Atoi(string(row)) // the first page may have no locator
	return n
}

func TestResultPagesAreOnTheirWayAtTheSameTime(t *testing.T) {
	b := newBox(t, narrow(), org.Options{BulkPageSize: 300})
	b.loadOld(2600)
	asked := make(chan struct{}, 9)
	before := func(request string) {
		switch row := pageOf(request); {
		case row > 0:
			asked <- struct{}{}
		case row == 0: // it is answered when others have been asked for
			for range sync.Ahead - 1 {
				await(t, asked)
			}
		}
	}
	b.before.Store(&before)
	b.poll()
	b.check("all pages")
	if b.repeated != 0 || b.Stats().BulkPages != 9 {
		t.Errorf("%d rows told again, %d pages", b.repeated, b.Stats().BulkPages)
	}
}

// await bounds the time in which something has to happen.
func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Error("nothing for 20 s")
	}
}

// However slowly rows are taken, no more pages are asked for than may be open.
func TestPagesThatAreNotReadAreBounded(t *testing.T) {
	const pages = 26
	b := newBox(t, narrow(), org.Options{BulkPageSize: 100})
	b.loadOld(pages * 100)
	asked := make(chan struct{}, pages)
	before := func(request string) {
		if pageOf(request) >= 0 {
			asked <- struct{}{}
		}
	}
	b.before.Store(&before)
	stored, heard := 0, 0
	b.storing = func(events int) {
		if events == 0 {
			return
		}
		for heard < min(pages, stored+1+sync.Ahead) && !t.Failed() {
			await(t, asked)
			heard++
		}
		if n := heard + len(asked) - stored; n > 1+sync.Ahead {
			t.Errorf("%d pages are open, want at most %d", n, 1+sync.Ahead)
		}
		stored++
	}
	b.poll()
	if stored != pages {
		t.Errorf("%d pages were stored", stored)
	}
}

func TestAPageThatFailsLosesNothing(t *testing.T) {
	b := newBox(t, narrow(), org.Options{BulkPageSize: 100})
	b.loadOld(2600)
	later := make(chan struct{})
	before := func(request string) {
		if pageOf(request) > 1000 {
			<-later // these are under way when the one before them fails
		}
	}
	b.before.Store(&before)
	b.must(b.Fail(org.Fault{Name: "error", Path: "results?locator=" + base64.RawURLEncoding.EncodeToString([]byte("1000")), Status: 403, Code: "INSUFFICIENT_ACCESS", Times: 1}))
	b.Advance(6 * time.Second)
	if err := b.sync.Poll(t.Context()); !client.Is(err, client.NoPermission) {
		t.Fatalf("got %v", err)
	}
	if f := b.state.Full; f == nil || f.Rows != 1000 || len(b.fold()) != 1000 {
		t.Fatalf("%d rows were told, the place is %+v", len(b.fold()), f)
	}
	close(later)
	b.restart()
	b.poll()
	b.check("afterwards")
	if s := b.Stats(); b.repeated != 0 || s.BulkJobs != 1 {
		t.Errorf("%d rows told again, %d jobs", b.repeated, s.BulkJobs)
	}
}

// Each page may be whole, and one missing.
func TestAJobWhosePagesLackRowsIsReadAnew(t *testing.T) {
	b := newBox(t, narrow(), org.Options{BulkPageSize: 300})
	b.loadOld(2600)
	b.must(b.Fail(org.Fault{Name: "bulk_lost_rows", After: 3, Times: 1}))
	b.poll()
	b.check("read anew")
	if n := b.Stats().BulkJobs; n != 2 {
		t.Errorf("%d jobs, want a second one for the rows that the first one lacks", n)
	}

	b = newBox(t, narrow(), org.Options{BulkPageSize: 300})
	b.loadOld(2600)
	b.must(b.Fail(org.Fault{Name: "bulk_lost_rows"}))
	b.Advance(6 * time.Second)
	if err := b.sync.Poll(t.Context()); err == nil || !strings.Contains(err.Error(), "not as many rows") {
		t.Errorf("jobs that always lack rows: %v", err)
	}
}

func TestABackfillGoesOnWhereItWasKilled(t *testing.T) {
	const page = 250
	for _, rows := range []int{999, 2600} {
		for _, lost := range []bool{false, true} {
			b := newBox(t, narrow(), org.Options{PageSize: page})
			b.loadOld(rows)
			kills := 0
			for after := 2; ; after++ {
				b.fail, b.after, b.lost = errKilled, after, lost
				b.Advance(6 * time.Second)
				err := b.sync.Poll(t.Context())
				if err == nil {
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				kills++
				b.restart()
			}
			if n := len(b.fold()); n != rows {
				t.Errorf("%d of %d rows", n, rows)
			}
			if rows < 1000 && b.repeated > kills*page || !lost && b.repeated > 0 {
				t.Errorf("%d rows told again after %d kills, lost %t", b.repeated, kills, lost)
			}
			if b.Stats().BulkJobs > 1 {
				t.Errorf("%d jobs for one backfill", b.Stats().BulkJobs)
			}
		}
	}
}

// airbyte#37528
func TestEverythingIsReadHoweverOld(t *testing.T) {
	b := newBox(t, narrow(), org.Options{})
	old := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	b.must(b.Load("Contact", 1, func(int) map[string]any {
		return map[string]any{"LastName": "old", "SystemModstamp": old, "CreatedDate": old}
	}))
	b.poll()
	b.check("1999")
}

// airbyte#20703, airbyte#42490
func TestAnAccountIsReadByBulkWithItsAddressesAndThenEachUpdate(t *testing.T) {
	b := newBox(t, sync.Spec{Object: "Account", Mapping: object.Mapping{Call: object.Group}, Deletes: true}, org.Options{})
	b.must(b.Load("Account", 1100, func(i int) map[string]any {
		return map[string]any{"Name": fmt.Sprint(i), "BillingStreet": "1 Way\r\n2nd floor", "BillingCity": "Ulm", "BillingLatitude": 48.4}
	}))
	b.poll()
	b.check("Bulk")
	if b.Stats().BulkJobs != 1 {
		t.Errorf("%d jobs", b.Stats().BulkJobs)
	}
	b.must(b.Update("Account", b.IDs("Account")[700], map[string]any{"BillingCity": "Bonn"}))
	b.poll()
	b.check("one update")
}
