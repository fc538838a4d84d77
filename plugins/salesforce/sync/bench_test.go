package sync_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

// BenchmarkBackfill measures the plugin's CPU for one row of 20 fields, from
// the Bulk page to the finished event. The org answers from memory, and what
// that costs is measured apart and taken off.
func BenchmarkBackfill(b *testing.B) {
	const page = 50_000
	fields := []string{"Id", "SystemModstamp", "IsDeleted"}
	for i := range 17 {
		fields = append(fields, fmt.Sprintf("Field_%d__c", i))
	}
	row := `"003000000%09dAAA","2024-09-24T03:26:07.000Z","false"` + strings.Repeat(`,"some text of a field"`, 14) + `,"1234567.50","2024-01-31","true"` + "\n"
	header := `"` + strings.Join(fields, `","`) + "\"\n"
	var describe strings.Builder
	for i, f := range fields {
		typ := "string"
		switch {
		case f == "SystemModstamp":
			typ = "datetime"
		case f == "IsDeleted" || i == 19:
			typ = "boolean"
		case i == 17:
			typ = "currency"
		}
		fmt.Fprintf(&describe, `,{"name":%q,"type":%q,"filterable":true}`, f, typ)
	}
	var pages strings.Builder
	pages.WriteString(header)
	for i := range page {
		fmt.Fprintf(&pages, row, i)
	}
	text := pages.String()
	rows := max(b.N, page)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/describe"):
			_, _ = io.WriteString(w, `{"name":"Contact","label":"Contact","queryable":true,"fields":[`+describe.String()[1:]+`]}`)
		case strings.HasSuffix(r.URL.Path, "/results"):
			at, _ := strconv.Atoi(r.URL.Query().Get("locator"))
			next := "null"
			if at+page < rows {
				next = strconv.Itoa(at + page)
			}
			w.Header().Set("Sforce-Locator", next)
			w.Header().Set("Sforce-NumberOfRecords", strconv.Itoa(page))
			_, _ = io.WriteString(w, text)
		case strings.HasSuffix(r.URL.Path, "/resultPages"):
			at, _ := strconv.Atoi(r.URL.Query().Get("locator"))
			var urls []string
			for end := at + 5*page; at < min(end, rows); at += page {
				urls = append(urls, fmt.Sprintf(`{"resultUrl":"/services/data/v67.0/jobs/query/750/results?locator=%d"}`, at))
			}
			fmt.Fprintf(w, `{"resultPages":[%s],"done":%t,"nextRecordsUrl":"/services/data/v67.0/jobs/query/750/resultPages?locator=%d"}`, strings.Join(urls, ","), at >= rows, at)
		case strings.Contains(r.URL.Path, "/jobs/query"):
			fmt.Fprintf(w, `{"id":"750","state":"JobComplete","numberRecordsProcessed":%d}`, (rows+page-1)/page*page)
		case strings.Contains(r.URL.RawQuery, "COUNT"):
			fmt.Fprintf(w, `{"totalSize":%d,"done":true,"records":[]}`, rows)
		default:
			_, _ = io.WriteString(w, `{"totalSize":0,"done":true,"records":[]}`)
		}
	}))
	defer srv.Close()
	c := client.New(client.Options{Tokens: fixed{srv.URL}})
	defer c.Close()
	s := sync.New(sync.Options{
		Spec:   sync.Spec{Object: "Contact", Mapping: object.Mapping{Org: "00D000000000001EAA", Sync: "contacts", Call: object.Identify}},
		Client: c, Emit: func(context.Context, sync.State, []sdk.Event) (int, error) { return 0, nil },
	})
	serving := download(b, srv.URL, rows, page)
	var peak uint64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.Sys-m.HeapReleased)
			}
		}
	}()
	b.ResetTimer()
	before := cpu()
	if err := s.Poll(b.Context()); err != nil {
		b.Fatal(err)
	}
	spent := cpu() - before - serving
	close(stop)
	<-watched
	b.ReportMetric(float64(spent.Nanoseconds())/1e3/float64((rows+page-1)/page*page), "µs-cpu/row")
	b.ReportMetric(float64(peak-uint64(len(text)))/(1<<20), "MiB-peak")
	b.ReportMetric(0, "ns/op")
}

// download is the CPU for serving and receiving the pages alone.
func download(b *testing.B, url string, rows, page int) time.Duration {
	b.Helper()
	before := cpu()
	for at := 0; at < rows; at += page {
		resp, err := http.Get(fmt.Sprintf("%s/results?locator=%d", url, at))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	return cpu() - before
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type fixed struct{ url string }

func (f fixed) Token(context.Context) (sdk.Token, error) {
	return sdk.Token{AccessToken: "t", InstanceURL: f.url}, nil
}
func (fixed) RejectToken(sdk.Token) {}
