package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrTruncated means that a result page ended before its last row.
var ErrTruncated = errors.New("bulk result page is truncated")

// maxRow bounds one row of a result page.
const maxRow = 16 << 20

// Job is a Bulk API 2.0 query job.
type Job struct {
	ID      string `json:"id"`
	State   string `json:"state"` // UploadComplete, InProgress, JobComplete, Aborted or Failed
	Rows    int64  `json:"numberRecordsProcessed"`
	Message string `json:"errorMessage"`
	Created string `json:"createdDate"`
}

// CreateJob starts a query job.
func (c *Client) CreateJob(ctx context.Context, soql string, all bool) (*Job, error) {
	operation := "query"
	if all {
		operation = "queryAll"
	}
	body, err := json.Marshal(map[string]string{
		"operation": operation, "query": soql, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF",
	})
	if err != nil {
		return nil, err
	}
	return c.job(ctx, http.MethodPost, c.path("jobs/query"), body)
}

// Job returns a job as it is now. Jobs are kept for seven days.
func (c *Client) Job(ctx context.Context, id string) (*Job, error) {
	return c.job(ctx, http.MethodGet, c.jobPath(id), nil)
}

// DeleteJob removes a job that has ended, with its result.
func (c *Client) DeleteJob(ctx context.Context, id string) error {
	_, err := c.rest(ctx, http.MethodDelete, c.jobPath(id), nil)
	return err
}

func (c *Client) jobPath(id string) string { return c.path("jobs/query/" + url.PathEscape(id)) }

func (c *Client) job(ctx context.Context, method, path string, body []byte) (*Job, error) {
	b, err := c.rest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	var j Job
	if err := decode(b, &j); err != nil {
		return nil, fmt.Errorf("bulk job: %w", err)
	}
	if j.ID == "" {
		return nil, errors.New("bulk job: the answer names no job")
	}
	if j.State == "Failed" || j.State == "Aborted" {
		e := &Error{Kind: BulkFailed, Status: http.StatusOK, Code: "", Message: clip(j.State + ": " + j.Message)}
		if k := kindOf(&Error{Message: j.Message}, false); k == BulkUnsupported || k == BulkLimit {
			e.Kind = k
		}
		return &j, e
	}
	return &j, nil
}

// Rows is one page of a job's result, read as it comes.
type Rows struct {
	Columns []string
	Next    string // locator of the next page; empty: the last one
	Count   int64  // of the page's rows, as the header tells
	body    io.Closer
	csv     csvReader
	read    int64
}

// RowsPath is that of a page of a job's result. locator is empty for the first
// page.
func (c *Client) RowsPath(job, locator string, most int) string {
	q := url.Values{"maxRecords": {strconv.Itoa(most)}}
	if locator != "" {
		q.Set("locator", locator)
	}
	return c.jobPath(job) + "/results?" + q.Encode()
}

// ResultPages returns the paths of the next pages of a job's result, at most
// five, which may be read at the same time, and where to ask for those after
// them; empty: there are none. more is empty for the first ones. Salesforce
// chooses how many rows they have. It is there since version 58.0.
func (c *Client) ResultPages(ctx context.Context, job, more string) (paths []string, next string, err error) {
	if more == "" {
		more = c.jobPath(job) + "/resultPages"
	}
	var a struct {
		Pages []struct {
			URL string `json:"resultUrl"`
		} `json:"resultPages"`
		Next  string `json:"nextRecordsUrl"`
		Next2 string `json:"nextRecordUrl"` // as the reference has it, whose example has the other
		Done  bool   `json:"done"`
	}
	if err := c.getJSON(ctx, more, &a); err != nil {
		return nil, "", err
	}
	if next = cmp.Or(a.Next, a.Next2); a.Done {
		next = ""
	}
	for _, p := range a.Pages {
		paths = append(paths, strings.TrimPrefix(p.URL, "/"))
	}
	next = strings.TrimPrefix(next, "/")
	for _, path := range append(slices.Clip(paths), cmp.Or(next, "services/data/")) {
		if !strings.HasPrefix(path, "services/data/") {
			return nil, "", fmt.Errorf("result pages: %q is no path of the REST API", clip(path))
		}
	}
	return paths, next, nil
}

// Rows opens the page of a job's result at a path.
func (c *Client) Rows(ctx context.Context, path string) (*Rows, error) {
	resp, err := c.stream(ctx, path) //nolint:bodyclose // Close closes it
	if err != nil {
		return nil, err
	}
	r := &Rows{Next: resp.Header.Get("Sforce-Locator"), Count: -1, body: resp.Body}
	r.csv.in = bufio.NewReaderSize(resp.Body, 256<<10)
	if r.Next == "null" {
		r.Next = ""
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Sforce-NumberOfRecords"), 10, 64); err == nil {
		r.Count = n
	}
	header, err := r.csv.read()
	if errors.Is(err, io.EOF) && r.Count <= 0 {
		return r, nil
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("bulk result header: %w", noEOF(err))
	}
	for _, column := range header {
		r.Columns = append(r.Columns, string(column))
	}
	return r, nil
}

// Read returns the next row, which is valid until the next call; io.EOF after
// the last one; ErrTruncated where the page has not as many rows as it should.
func (r *Rows) Read() ([][]byte, error) {
	row, err := r.csv.read()
	switch {
	case errors.Is(err, io.EOF) && r.Count >= 0 && r.read != r.Count:
		return nil, fmt.Errorf("%w: %d of %d rows", ErrTruncated, r.read, r.Count)
	case errors.Is(err, io.EOF):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w after row %d: %w", ErrTruncated, r.read, noEOF(err))
	case len(row) != len(r.Columns):
		return nil, fmt.Errorf("%w: row %d has %d of %d columns", ErrTruncated, r.read+1, len(row), len(r.Columns))
	}
	r.read++
	return row, nil
}

// Close ends the download.
func (r *Rows) Close() { r.body.Close() }

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// csvReader reads comma separated rows that end with LF. It keeps the bytes of
// quoted fields as they are; encoding/csv would turn the CRLF within a text area
// into LF, which REST does not, so that the same record would look changed.
type csvReader struct {
	in     *bufio.Reader
	line   []byte
	fields [][]byte
}

// read returns the next row, valid until the next call.
func (r *csvReader) read() ([][]byte, error) {
	r.line = r.line[:0]
	quotes := 0
	for {
		part, err := r.in.ReadSlice('\n')
		r.line = append(r.line, part...)
		quotes += bytes.Count(part, quote)
		if len(r.line) > maxRow {
			return nil, errors.New("row is larger than 16 MiB")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(r.line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF) && (quotes%2 != 0 || r.line[len(r.line)-1] == ','):
			return nil, io.ErrUnexpectedEOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		}
		if quotes%2 == 0 {
			return r.split(bytes.TrimSuffix(r.line, newline))
		}
	}
}

var quote, newline = []byte{'"'}, []byte{'\n'}

func (r *csvReader) split(line []byte) ([][]byte, error) {
	r.fields = r.fields[:0]
	for {
		var field []byte
		more := false
		if len(line) > 0 && line[0] == '"' {
			end := closingQuote(line)
			if end < 0 {
				return nil, errors.New("quoted field does not end")
			}
			field = unquote(line[1:end])
			line = line[end+1:]
			if len(line) > 0 {
				if line[0] != ',' {
					return nil, errors.New("quoted field is followed by text")
				}
				more, line = true, line[1:]
			}
		} else if i := bytes.IndexByte(line, ','); i >= 0 {
			field, line, more = line[:i], line[i+1:], true
		} else {
			field, line = line, nil
		}
		r.fields = append(r.fields, field)
		if !more {
			return r.fields, nil
		}
	}
}

// closingQuote returns where the quoted field at the start of line ends.
func closingQuote(line []byte) int {
	for i := 1; i < len(line); i++ {
		j := bytes.IndexByte(line[i:], '"')
		if j < 0 {
			return -1
		}
		i += j
		if i+1 == len(line) || line[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}

// unquote makes one quote of two, in place.
func unquote(field []byte) []byte {
	i := bytes.IndexByte(field, '"')
	if i < 0 {
		return field
	}
	out := field[:i]
	for ; i < len(field); i++ {
		out = append(out, field[i])
		if field[i] == '"' {
			i++
		}
	}
	return out
}
