package sync

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

const (
	// bulkFrom is the number of records from which a Bulk job takes fewer
	// requests than pages of 2,000.
	bulkFrom = 10_000
	// bulkPage is the rows of a result page, after each of which a backfill can
	// go on.
	bulkPage = 50_000
	// batch is how many rows' events are stored at once.
	batch = 1000
	// fullTries is how often a Bulk read starts over before it is an error.
	fullTries = 3
	restPage  = 2000
	leastPage = 200
)

// Full is a read of the whole object.
type Full struct {
	Kind string `json:"kind"`
	// Start is Salesforce's time when the read began.
	Start time.Time `json:"start"`
	// Since is where windows go on when it has ended.
	Since time.Time `json:"since,omitzero"`
	// Job and Locator are the place in a Bulk job's result.
	Job     string `json:"job,omitempty"`
	Locator string `json:"locator,omitempty"`
	// REST reads by pages in the order of Ids, After being the last that was told.
	REST  bool   `json:"rest,omitempty"`
	After string `json:"after,omitempty"`
	Rows  uint64 `json:"rows,omitempty"`  // told so far
	Total uint64 `json:"total,omitempty"` // estimated
}

// backfill reads the whole object for the first time, by Bulk API where the
// object is large and Bulk can.
func (s *Sync) backfill(ctx context.Context, now, covered time.Time) error {
	if s.state.Full == nil {
		n, err := s.Client.Count(ctx, s.Object, s.Where)
		if err != nil && !client.Is(err, client.QueryTimeout) {
			return err
		}
		next := s.state
		next.Full = &Full{Kind: Backfill, Start: now, Since: earliest(now.Add(-Lag), covered).Truncate(time.Second),
			REST: err == nil && n < s.bulkFrom, Total: uint64(n)}
		next.Fields = s.mapper.Digest()
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
	if s.state.Fields != s.mapper.Digest() {
		// What was told so far was told with other fields.
		next := s.state
		full := *next.Full
		full.Job, full.Locator, full.After, full.Rows = "", "", "", 0
		next.Full, next.Fields = &full, s.mapper.Digest()
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
	s.begin(Backfill, s.state.Full.Start)
	s.progress.Read, s.progress.Total = s.state.Full.Rows, s.state.Full.Total
	if !s.state.Full.REST {
		err := s.bulk(ctx)
		if client.Is(err, client.BulkUnsupported) || client.Is(err, client.BulkLimit) || client.Is(err, client.BulkFailed) {
			next := s.state
			full := *next.Full
			full.REST, full.Job, full.Locator, full.Rows = true, "", "", 0
			next.Full = &full
			err = s.emit(ctx, next, nil)
		}
		if err != nil {
			return err
		}
	}
	if s.state.Full.REST {
		if err := s.pages(ctx, ""); err != nil {
			return err
		}
	}
	next := s.state
	next.Cursor, next.Refreshed, next.Full = next.Full.Since, next.Full.Start, nil
	return s.emit(ctx, next, nil)
}

// bulk reads the object by a Bulk job, from the page where it stopped. Where
// Salesforce has lost the job or a page, it begins again with a new job; what
// was told before is dropped as repeated.
func (s *Sync) bulk(ctx context.Context) error {
	for try := 1; ; try++ {
		err := s.bulkOnce(ctx)
		again := errors.Is(err, client.ErrTruncated) || errors.Is(err, errCount) ||
			client.Is(err, client.LocatorLost) || client.Is(err, client.NotFound)
		if err == nil || !again || try == fullTries {
			return err
		}
		next := s.state
		full := *next.Full
		full.Job, full.Locator, full.Rows = "", "", 0
		next.Full = &full
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
}

var errCount = errors.New("bulk job's pages have not as many rows as the job")

func (s *Sync) bulkOnce(ctx context.Context) error {
	if s.state.Full.Job == "" {
		soql := s.mapper.Select(s.mapper.Columns())
		if s.Where != "" {
			soql += " WHERE (" + s.Where + ")"
		}
		job, err := s.Client.CreateJob(ctx, soql, false)
		if err != nil {
			return err
		}
		next := s.state
		full := *next.Full
		full.Job, full.Locator, full.Rows = job.ID, "", 0
		next.Full = &full
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
	job, err := s.await(ctx, s.state.Full.Job)
	if err != nil {
		return err
	}
	s.progress.Read, s.progress.Total = s.state.Full.Rows, uint64(job.Rows)
	if s.state.Full.Rows == uint64(job.Rows) && s.state.Full.Rows > 0 {
		return nil // killed between the last page and its end
	}
	if err := s.results(ctx, job); err != nil {
		return err
	}
	if got := s.state.Full.Rows; got != uint64(job.Rows) {
		return fmt.Errorf("%w: %d of %d", errCount, got, job.Rows)
	}
	_ = s.Client.DeleteJob(ctx, job.ID) // it expires by itself
	return nil
}

// await polls a job until it has ended.
func (s *Sync) await(ctx context.Context, id string) (*client.Job, error) {
	for pause := 200 * time.Millisecond; ; pause = min(pause*3/2, 30*time.Second) {
		job, err := s.Client.Job(ctx, id)
		if err != nil || job.State == "JobComplete" {
			return job, err
		}
		s.Progress(s.progress)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		if err := s.Between(ctx); err != nil {
			return nil, err
		}
	}
}

// pages reads the object in the order of Ids, from the page where it stopped.
func (s *Sync) pages(ctx context.Context, salt string) error {
	most := restPage
	for {
		condition := ""
		if s.state.Full.After != "" {
			condition = "Id > " + client.Quote(s.state.Full.After)
		}
		p, err := s.Client.Query(ctx, s.query(condition, limit(most)), false)
		switch {
		case client.Is(err, client.URITooLong) && s.narrower():
			continue
		case (client.Is(err, client.QueryTimeout) || client.Is(err, client.QueryTooLarge)) && most > leastPage:
			most /= 2
			continue
		case err != nil:
			return err
		}
		total, last := p.Total, ""
		for {
			if last, err = s.tellPage(ctx, p, salt, last); err != nil {
				return err
			}
			if p.Next == "" {
				break
			}
			if p, err = s.Client.More(ctx, p.Next); client.Is(err, client.LocatorLost) {
				total = most // the read goes on behind the last record
				break
			} else if err != nil {
				return err
			}
		}
		if total < most {
			return nil
		}
		if err := s.Between(ctx); err != nil {
			return err
		}
	}
}

// tellPage tells the records of a page in the order of Ids and moves the place.
func (s *Sync) tellPage(ctx context.Context, p *client.Page, salt, last string) (string, error) {
	records, err := s.records(ctx, p.Records, false)
	if err != nil || len(p.Records) == 0 {
		return last, err
	}
	var tail object.Record
	if err := tail.Fill([]string{"Id"}, p.Records[len(p.Records)-1]); err != nil {
		return last, err
	}
	last = string(tail.Values[0])
	var events []sdk.Event
	for i := range records {
		events = s.tell(events, &records[i], object.Note{Salt: salt})
	}
	next := s.state
	full := *next.Full
	full.After, full.Rows = last, full.Rows+uint64(len(p.Records))
	next.Full = &full
	return last, s.emit(ctx, next, events)
}

// refreshIfDue reads every record again where formulas may have changed, or
// where records have to be told with other fields than before.
func (s *Sync) refreshIfDue(ctx context.Context, now time.Time) error {
	digest := s.mapper.Digest()
	due := s.Refresh > 0 && s.mapper.Calculated() && now.Sub(s.state.Refreshed) >= s.Refresh
	if s.state.Full == nil && !due && s.state.Fields == digest {
		return nil
	}
	if s.state.Full == nil || s.state.Fields != digest {
		next := s.state
		next.Full = &Full{Kind: Refresh, Start: now, REST: true}
		next.Fields = digest
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
	s.begin(Refresh, s.state.Full.Start)
	s.progress.Read = s.state.Full.Rows
	if err := s.pages(ctx, s.state.Full.salt()); err != nil {
		return err
	}
	next := s.state
	next.Refreshed, next.Full = next.Full.Start, nil
	return s.emit(ctx, next, nil)
}

func (f *Full) salt() string { return strconv.FormatInt(f.Start.Unix(), 36) }

// snapshot reads all of an object that does not tell what has changed.
func (s *Sync) snapshot(ctx context.Context, now time.Time) error {
	kind := Refresh
	if s.state.Fields == "" {
		kind = Backfill
	}
	if s.state.Full == nil {
		next := s.state
		next.Full, next.Fields = &Full{Kind: kind, Start: now, REST: true}, s.mapper.Digest()
		if err := s.emit(ctx, next, nil); err != nil {
			return err
		}
	}
	s.begin(s.state.Full.Kind, s.state.Full.Start)
	s.progress.Read = s.state.Full.Rows
	salt := ""
	if s.state.Full.Kind == Refresh {
		salt = s.state.Full.salt()
	}
	if err := s.pages(ctx, salt); err != nil {
		return err
	}
	next := s.state
	next.Refreshed, next.Full, next.Cursor = next.Full.Start, nil, next.Full.Start
	if err := s.emit(ctx, next, nil); err != nil {
		return err
	}
	return s.sweepIfDue(ctx, now, true)
}
