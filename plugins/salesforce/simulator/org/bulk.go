package org

import (
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org/soql"
)

// jobs are the Bulk API 2.0 query jobs.
type jobs struct {
	org  *Org
	mu   sync.Mutex
	last uint64
	all  map[string]*job
	ids  []string // the oldest first
}

// job is a query whose result is fixed when the job is made.
type job struct {
	id, operation, query  string
	delimiter, ending     string
	version               string
	user                  uint32
	created, completed    time.Time
	aborted               bool
	failure               string
	found                 *result
	rows                  []row
	separator, terminator string
}

const (
	// maxJobs bounds how many results are held, 68 bytes a row each.
	maxJobs = 50
	jobLife = 7 * 24 * time.Hour
)

var (
	delimiters = map[string]string{"": ",", "COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
	endings    = map[string]string{"": "\n", "LF": "\n", "CRLF": "\r\n"}
)

func newJobs(o *Org) *jobs { return &jobs{org: o, all: map[string]*job{}} }

// serveJobs answers jobs/query and what is below.
func (o *Org) serveJobs(c *call, path []string) {
	if len(path) == 0 {
		if c.r.Method == http.MethodPost {
			o.jobs.create(c)
			return
		}
		o.jobs.list(c)
		return
	}
	j := o.jobs.find(path[0])
	switch {
	case j == nil:
		notFound(c)
	case j.version != c.version:
		fail(c, &Failure{http.StatusConflict, "API_ERROR", "The job was created with API version " + j.version + ", not " + c.version, nil})
	case len(path) == 2 && path[1] == "results":
		o.jobs.results(c, j)
	case len(path) == 2 && path[1] == "resultPages":
		o.jobs.resultPages(c, j)
	case len(path) > 1:
		notFound(c)
	case c.r.Method == http.MethodPatch:
		o.jobs.abort(c, j)
	case c.r.Method == http.MethodDelete:
		o.jobs.remove(c, j)
	default:
		o.json(c, c.r, http.StatusOK, o.jobs.info(j, o.jobs.state(j)))
	}
}

func (js *jobs) create(c *call) {
	var in struct{ Operation, Query, ContentType, ColumnDelimiter, LineEnding string }
	if err := json.NewDecoder(c.r.Body).Decode(&in); err != nil {
		fail(c, failure("JSON_PARSER_ERROR", "Unexpected character or end of input: "+err.Error()))
		return
	}
	separator, known := delimiters[in.ColumnDelimiter]
	terminator, ends := endings[in.LineEnding]
	if in.Operation != "query" && in.Operation != "queryAll" || !known || !ends || in.ContentType != "" && in.ContentType != "CSV" {
		fail(c, failure("INVALIDJOB", "operation, contentType, columnDelimiter or lineEnding is not one that Bulk API 2.0 queries know"))
		return
	}
	f, struck := js.org.faults.strike(atJob, target(c.r))
	if struck && knownFaults[f.Name].answer != nil {
		fail(c, failureOf(knownFaults[f.Name].answer(f)))
		return
	}
	j := &job{operation: in.Operation, query: in.Query, delimiter: in.ColumnDelimiter, ending: in.LineEnding, version: c.version, user: c.user,
		separator: separator, terminator: terminator}
	if err := js.run(j); err != nil {
		fail(c, err)
		return
	}
	if struck {
		j.failure = f.Message
		if j.failure == "" {
			j.failure = "InternalServerError : retried more than 15 times"
		}
	}
	js.add(j)
	js.org.stats.bulkJobs.Add(1)
	js.org.json(c, c.r, http.StatusOK, js.info(j, "UploadComplete"))
}

func failureOf(a answer) error {
	var list []struct{ Message, ErrorCode string }
	if json.Unmarshal(a.body, &list) != nil || len(list) == 0 {
		return failure("UNKNOWN_EXCEPTION", string(a.body))
	}
	return &Failure{Status: a.status, Code: list[0].ErrorCode, Message: list[0].Message}
}

// run finds the job's rows and keeps them as they are now.
func (js *jobs) run(j *job) error {
	o := js.org
	o.mu.RLock()
	defer o.mu.RUnlock()
	found, err := o.query(j.query, j.operation == "queryAll")
	if err != nil {
		f := asFailure(err)
		return failure("API_ERROR", f.Code+": "+f.Message)
	}
	if err := bulkable(j.query, found); err != nil {
		return err
	}
	j.found, j.created = found, o.Now()
	j.completed = j.created.Add(o.options.BulkDelay)
	j.rows = make([]row, len(found.rows))
	for i, n := range found.rows {
		j.rows[i] = found.t.rows[n-1]
	}
	return nil
}

// bulkable refuses what REST answers and Bulk does not.
func bulkable(text string, found *result) error {
	q, err := soql.Parse(text)
	if err != nil {
		return err
	}
	switch {
	case found.t.access.NoBulk:
		return failure("INVALIDENTITY", "Entity '"+found.t.name+"' is not supported by the Bulk API.")
	case q.Count || found.aggregate != nil:
		return failure("API_ERROR", "Aggregate Relationships not supported in Bulk Query")
	case q.Offset >= 0:
		return failure("API_ERROR", "Offset not supported in Bulk Query")
	case slices.ContainsFunc(q.Select, func(i soql.Item) bool { return i.Func == "FIELDS" }):
		return failure("API_ERROR", "Selecting FIELDS() not supported in Bulk Query")
	}
	for _, c := range found.columns {
		switch {
		case c.f.system == compound:
			return failure("API_ERROR", "Selecting compound data not supported in Bulk Query")
		case c.f.typ == "base64":
			return failure("API_ERROR", "Selecting binary data not supported in Bulk Query")
		}
	}
	return nil
}

func (js *jobs) add(j *job) {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.last++
	j.id = makeID("750", js.last)
	js.all[j.id] = j
	if js.ids = append(js.ids, j.id); len(js.ids) > maxJobs {
		delete(js.all, js.ids[0])
		js.ids = js.ids[1:]
	}
}

func (js *jobs) find(id string) *job {
	js.mu.Lock()
	defer js.mu.Unlock()
	if full, ok := canonicalID(id); ok {
		id = full
	}
	j := js.all[id]
	if j == nil || js.org.Now().Sub(j.created) > jobLife {
		return nil
	}
	return j
}

// state is the job's, which passes with the org's clock.
func (js *jobs) state(j *job) string {
	js.mu.Lock()
	defer js.mu.Unlock()
	switch {
	case j.aborted:
		return "Aborted"
	case js.org.options.BulkDelay > 0 && js.org.Now().Before(j.completed): // without a delay not even while the clock is set back
		return "InProgress"
	case j.failure != "":
		return "Failed"
	}
	return "JobComplete"
}

func (js *jobs) info(j *job, state string) map[string]any {
	out := map[string]any{"id": j.id, "operation": j.operation, "object": j.found.t.name, "createdById": makeID(userPrefix, uint64(j.user)),
		"createdDate": j.created.UTC().Format(restTime), "systemModstamp": j.created.UTC().Format(restTime), "state": state,
		"concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": json.Number(j.version),
		"jobType": "V2Query", "lineEnding": cmp.Or(j.ending, "LF"), "columnDelimiter": cmp.Or(j.delimiter, "COMMA")}
	switch state {
	case "JobComplete":
		out["systemModstamp"] = j.completed.UTC().Format(restTime)
		out["numberRecordsProcessed"], out["retries"], out["totalProcessingTime"] = len(j.rows), 0, j.completed.Sub(j.created).Milliseconds()+1
		out["isPkChunkingSupported"] = true
	case "Failed":
		out["numberRecordsProcessed"], out["retries"], out["totalProcessingTime"] = 0, 15, 0
		out["errorMessage"] = j.failure
	case "InProgress":
		out["numberRecordsProcessed"], out["retries"], out["totalProcessingTime"] = 0, 0, 0
	}
	return out
}

func (js *jobs) list(c *call) {
	js.mu.Lock()
	ids := slices.Clone(js.ids)
	js.mu.Unlock()
	records := []map[string]any{}
	for _, id := range ids {
		if j := js.find(id); j != nil {
			records = append(records, js.info(j, js.state(j)))
		}
	}
	js.org.json(c, c.r, http.StatusOK, map[string]any{"done": true, "records": records, "nextRecordsUrl": nil})
}

func (js *jobs) abort(c *call, j *job) {
	var in struct{ State string }
	if json.NewDecoder(c.r.Body).Decode(&in) != nil || in.State != "Aborted" {
		fail(c, failure("INVALIDJOBSTATE", "Only Aborted can be set as a query job's state"))
		return
	}
	if state := js.state(j); state != "InProgress" {
		over := map[string]string{"JobComplete": "Completed", "Failed": "Failed", "Aborted": "Aborted"}[state]
		fail(c, failure("INVALIDJOBSTATE", "Aborting already "+over+" Job not allowed"))
		return
	}
	js.mu.Lock()
	j.aborted = true
	js.mu.Unlock()
	js.org.json(c, c.r, http.StatusOK, js.info(j, js.state(j)))
}

func (js *jobs) remove(c *call, j *job) {
	if js.state(j) == "InProgress" {
		fail(c, failure("INVALIDJOBSTATE", "Deleting not finished Job not allowed"))
		return
	}
	js.mu.Lock()
	delete(js.all, j.id)
	js.ids = slices.DeleteFunc(js.ids, func(id string) bool { return id == j.id })
	js.mu.Unlock()
	c.WriteHeader(http.StatusNoContent)
}

// window reads locator and maxRecords: the rows of one page.
func (js *jobs) window(c *call, j *job) (from, to int, err error) {
	q := c.r.URL.Query()
	if l := q.Get("locator"); l != "" {
		b, err1 := base64.RawURLEncoding.DecodeString(l)
		n, err2 := strconv.Atoi(string(b))
		if err1 != nil || err2 != nil || n < 0 || n > 0 && n >= len(j.rows) {
			return 0, 0, failure("INVALID_QUERY_LOCATOR", "invalid query locator")
		}
		from = n
	}
	size := js.org.options.BulkPageSize
	if m := q.Get("maxRecords"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 {
			return 0, 0, failure("API_ERROR", "maxRecords must be a positive number")
		}
		size = n
	}
	return from, min(from+size, len(j.rows)), nil
}

func locatorOf(row int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(row)))
}

// results writes one page: header, then rows, in gzip where the client takes it.
func (js *jobs) results(c *call, j *job) {
	if state := js.state(j); state != "JobComplete" {
		fail(c, failure("INVALIDJOBSTATE", "The results of a job in state "+state+" cannot be read"))
		return
	}
	if js.org.failed(c, c.r, atPage) {
		return
	}
	from, to, err := js.window(c, j)
	if err != nil {
		fail(c, err)
		return
	}
	next := "null"
	if to < len(j.rows) {
		next = locatorOf(to)
	}
	if _, struck := js.org.faults.strike(atResultsHeader, target(c.r)); struck && to > from {
		to-- // the header tells of the rows that there are, and one is on no page
	}
	js.org.stats.bulkPages.Add(1)
	js.org.stats.rows.Add(int64(to - from))
	h := c.Header()
	h.Set("Content-Type", "text/csv;charset=UTF-8")
	h.Set("Sforce-Locator", next)
	h["Sforce-NumberOfRecords"] = []string{strconv.Itoa(to - from)} // as Salesforce spells it
	var out io.Writer = c
	if strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(c, gzip.BestSpeed) // its error is of levels that do not exist
		defer func() { _ = z.Close() }()
		out = z
	}
	js.write(c, out, j, from, to)
}

// chunk is how many rows are written at a time: one hold of the lock.
const chunk = 2000

func (js *jobs) write(c *call, out io.Writer, j *job, from, to int) {
	_, cut := js.org.faults.strike(atBody, target(c.r))
	f, struck := js.org.faults.strike(atResults, target(c.r))
	if struck && f.Name == "bulk_missing_rows" {
		to -= 1 + (to-from)/10
	}
	if cut {
		to = from + (to-from)/2
	}
	buf, _ := pages.Get().(*[]byte)
	defer pages.Put(buf)
	b := (*buf)[:0]
	for i, name := range j.found.names {
		if i > 0 {
			b = append(b, j.separator...)
		}
		b = append(b, `"`+name+`"`...)
	}
	b = append(b, j.terminator...)
	for from < to {
		end := min(from+chunk, to)
		b = js.rows(b, j, from, end)
		from = end
		if struck && f.Name == "bulk_nul" {
			b, struck = withNUL(b), false
		}
		if _, err := out.Write(b); err != nil {
			return // the client is gone
		}
		*buf, b = b, b[:0]
	}
	if len(b) > 0 {
		_, _ = out.Write(b)
	}
	if cut {
		if z, ok := out.(*gzip.Writer); ok {
			_ = z.Flush()
		}
		_ = http.NewResponseController(c).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (js *jobs) rows(b []byte, j *job, from, to int) []byte {
	js.org.mu.RLock()
	defer js.org.mu.RUnlock()
	w := writer{org: js.org}
	for i := from; i < to; i++ {
		b = w.csv(b, j.found.columns, j.found.t, uint64(j.found.rows[i]), &j.rows[i], j.separator[0])
		b = append(b, j.terminator...)
	}
	return b
}

// withNUL puts a NUL byte into the last value of what was written.
func withNUL(b []byte) []byte {
	last := strings.LastIndexByte(string(b), '"')
	return slices.Insert(b, last, 0)
}

const (
	pagesPerAnswer = 5
	// minResultPages is the version since which resultPages is there.
	minResultPages = 58
)

// resultPages answers with the URLs of the next five pages, to be read at once.
func (js *jobs) resultPages(c *call, j *job) {
	if v, err := strconv.ParseFloat(c.version, 64); err != nil || v < minResultPages {
		notFound(c)
		return
	}
	if state := js.state(j); state != "JobComplete" {
		fail(c, failure("INVALIDJOBSTATE", "The results of a job in state "+state+" cannot be read"))
		return
	}
	from, to, err := js.window(c, j)
	if err != nil {
		fail(c, err)
		return
	}
	size := max(to-from, 1)
	base := fmt.Sprintf("/services/data/v%s/jobs/query/%s/", c.version, j.id)
	var urls []map[string]string
	for range pagesPerAnswer {
		urls = append(urls, map[string]string{"resultUrl": base + "results?locator=" + locatorOf(from) + "&maxRecords=" + strconv.Itoa(size)})
		if from += size; from >= len(j.rows) {
			break
		}
	}
	out := map[string]any{"resultPages": urls, "done": from >= len(j.rows)}
	if from < len(j.rows) {
		out["nextRecordsUrl"] = base + "resultPages?locator=" + locatorOf(from) + "&maxRecords=" + strconv.Itoa(size)
	}
	js.org.json(c, c.r, http.StatusOK, out)
}
