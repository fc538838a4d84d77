package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

// ahead is how many result pages are opened beside the one that is read. Of each
// the reader's buffer of 256 KiB is held and what the connection takes in before
// it is read, at most 4 MiB with HTTP/2; the rest waits at Salesforce.
const ahead = 4

// results tells a job's pages one after another.
func (s *Sync) results(ctx context.Context, job *client.Job) error {
	r := s.newReader(ctx, job.ID)
	defer r.drop()
	for tries := 1; ; {
		rows, err := r.next(ctx, s.state.Full.Locator)
		if err != nil {
			return err
		}
		err = s.page(ctx, rows)
		if errors.Is(err, client.ErrTruncated) && tries < fullTries {
			tries++
			r.drop()
			continue
		}
		if err == nil {
			err = s.Between(ctx)
		}
		if err != nil || rows.Next == "" {
			return err
		}
		tries = 1
	}
}

// reader opens the pages of a job's result before they are read: as many as
// Salesforce lists, else the one that each page names as the next. What the
// pages name is what counts: a list that says otherwise is left.
type reader struct {
	sync    *Sync
	job     string
	listed  bool
	known   []listedPage // to be opened
	more    string       // where the list goes on
	opened  []*opened    // to be read
	reading *opened      // nil: none
}

// listedPage is where a result page is.
type listedPage struct{ locator, path string }

// opened is a page that is on its way.
type opened struct {
	locator string
	cancel  context.CancelFunc
	came    chan struct{} // closed when there are rows or err
	rows    *client.Rows
	err     error
}

func (o *opened) close() {
	o.cancel()
	if <-o.came; o.err == nil {
		o.rows.Close()
	}
}

// newReader reads the list up to the place where the sync is.
func (s *Sync) newReader(ctx context.Context, job string) *reader {
	r := &reader{sync: s, job: job, listed: true}
	listed := r.list(ctx)
	if listed {
		r.known[0].locator = "" // so the sync names the first page
	}
	for ; listed; listed = r.more != "" && r.list(ctx) {
		at := slices.IndexFunc(r.known, func(p listedPage) bool { return p.locator == s.state.Full.Locator })
		if at >= 0 {
			r.known = r.known[at:]
			return r
		}
		r.known = nil
	}
	r.drop()
	return r
}

// list reads more of the list and reports whether there was any.
func (r *reader) list(ctx context.Context) bool {
	paths, more, err := r.sync.Client.ResultPages(ctx, r.job, r.more)
	if r.more = more; err != nil {
		return false
	}
	for _, p := range paths {
		_, query, _ := strings.Cut(p, "?")
		values, _ := url.ParseQuery(query) // one without a locator is no page's that is asked for
		r.known = append(r.known, listedPage{values.Get("locator"), p})
	}
	return len(paths) > 0
}

// next closes the page before and returns the one at a locator, which is valid
// until the next call.
func (r *reader) next(ctx context.Context, locator string) (*client.Rows, error) {
	if r.reading != nil {
		r.reading.close()
		r.reading = nil
	}
	r.fill(ctx)
	if len(r.opened) == 0 || r.opened[0].locator != locator {
		r.drop()
		r.know(locator)
		r.fill(ctx)
	}
	o := r.opened[0]
	r.reading, r.opened = o, r.opened[1:]
	if <-o.came; o.err != nil {
		return nil, o.err
	}
	if !r.listed && o.rows.Next != "" {
		r.know(o.rows.Next)
	}
	r.fill(ctx)
	return o.rows, nil
}

// know adds a page that is not listed.
func (r *reader) know(locator string) {
	r.known = append(r.known, listedPage{locator, r.sync.Client.RowsPath(r.job, locator, r.sync.bulkPage)})
}

// fill opens pages that are known, as many as may be open.
func (r *reader) fill(ctx context.Context) {
	for len(r.opened) < ahead {
		if len(r.known) == 0 && (r.more == "" || !r.list(ctx)) {
			return
		}
		p := r.known[0]
		r.known = r.known[1:]
		ctx, cancel := context.WithCancel(ctx)
		o := &opened{locator: p.locator, cancel: cancel, came: make(chan struct{})}
		r.opened = append(r.opened, o)
		go func() {
			defer close(o.came)
			o.rows, o.err = r.sync.Client.Rows(ctx, p.path)
		}()
	}
}

// drop closes every page, and leaves the list.
func (r *reader) drop() {
	if r.reading != nil {
		r.opened = append(r.opened, r.reading)
	}
	for _, o := range r.opened {
		o.cancel()
	}
	for _, o := range r.opened {
		o.close()
	}
	*r = reader{sync: r.sync, job: r.job}
}

// page tells the rows of one result page; the last batch moves the place.
func (s *Sync) page(ctx context.Context, rows *client.Rows) error {
	columns, err := order(s.mapper.Columns(), rows.Columns)
	if err != nil {
		return err
	}
	record := object.Record{Values: make([][]byte, len(columns))}
	var events []sdk.Event
	read, size := uint64(0), 0
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for i, c := range columns {
			record.Values[i] = row[c]
		}
		before := len(events)
		events = s.tellFirst(events, &record)
		for _, e := range events[before:] {
			size += len(e)
		}
		s.progress.Read++
		if read++; len(events) >= batch || size >= 1<<20 {
			if err := s.emit(ctx, s.state, events); err != nil {
				return err
			}
			events, size = events[:0], 0
		}
	}
	next := s.state
	full := *next.Full
	full.Locator, full.Rows = rows.Next, full.Rows+read
	next.Full = &full
	return s.emit(ctx, next, events)
}

// tellFirst is tell for a record that has not been told before.
func (s *Sync) tellFirst(events []sdk.Event, r *object.Record) []sdk.Event {
	events, print := s.mapper.Append(events, r, object.Note{})
	if s.told != nil && len(s.told) < maxTold {
		if key, ok := idKey(s.mapper.ID(r)); ok {
			s.told[key] = print
		}
	}
	return events
}

// order finds each wanted column among those of the page.
func order(want, have []string) ([]int, error) {
	at := make(map[string]int, len(have))
	for i, name := range have {
		at[name] = i
	}
	out := make([]int, len(want))
	for i, name := range want {
		c, ok := at[name]
		if !ok && len(have) > 0 {
			return nil, fmt.Errorf("bulk result page lacks the column %s", name)
		}
		out[i] = c
	}
	return out, nil
}
