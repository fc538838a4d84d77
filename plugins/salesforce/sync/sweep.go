package sync

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

// Sweep is the last comparison of Ids.
type Sweep struct {
	At  time.Time `json:"at"`
	IDs string    `json:"ids"` // a digest of those that there were
}

// Reconcile is the kind of a run that compares Ids.
const Reconcile = "reconcile"

// sweepIfDue compares the Ids that there are with those of the last time, and
// tells of the records that are gone and that getDeleted did not name: it looks
// back 15 days only, its log is shortened when it grows, and it does not know
// every object.
func (s *Sync) sweepIfDue(ctx context.Context, now time.Time, must bool) error {
	first := s.state.Sweep == nil
	if !s.Deletes || s.Reconcile == 0 || !must && !first && now.Sub(s.state.Sweep.At) < s.Reconcile {
		return nil
	}
	s.begin(Reconcile, now)
	var before digest
	if !first {
		d, err := parseDigest(s.state.Sweep.IDs)
		if err != nil {
			return err
		}
		before = *d
	}
	ids, err := s.compare(ctx, &before)
	if err != nil {
		return err
	}
	next := s.state
	next.Sweep = &Sweep{At: now, IDs: ids.text()}
	if first {
		return s.emit(ctx, next, nil)
	}
	if err := s.subtractDeleted(ctx, &before, now); err != nil {
		return err
	}
	gone, whole := before.list()
	if !whole {
		s.Warn(sdk.Problem{Code: "reconcile_overflow", Path: "/deletes", Message: "more records vanished since the last comparison than it can name",
			Fix: "run wellhead sync reset SOURCE SYNC for a fresh start, and lower reconcile"})
	}
	var lost []client.Deletion
	for _, id := range gone {
		lost = append(lost, client.Deletion{ID: longID(id), Time: now})
	}
	events, err := s.tellLost(ctx, nil, lost)
	if err != nil {
		return err
	}
	return s.emit(ctx, next, events)
}

// compare reads all Ids, takes those that there were before the last
// comparison out of before, and returns the digest of all.
func (s *Sync) compare(ctx context.Context, before *digest) (*digest, error) {
	columns := []string{"Id"}
	if s.mapper.Object().Field("CreatedDate") != nil {
		columns = append(columns, "CreatedDate")
	}
	var ids digest
	for last := ""; ; {
		soql := s.mapper.Select(columns)
		condition := ""
		if last != "" {
			condition = "Id > " + client.Quote(last)
		}
		if s.Where != "" {
			condition = and("("+s.Where+")", condition)
		}
		if condition != "" {
			soql += " WHERE " + condition
		}
		rows, err := s.rows(ctx, soql+limit(restPage), false)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var r object.Record
			if err := r.Fill(columns, row); err != nil {
				return nil, err
			}
			key, ok := idKey(string(r.Values[0]))
			if !ok {
				return nil, errNoID
			}
			last = string(r.Values[0])
			ids.add(key, 1)
			if s.createdBefore(&r) {
				before.add(key, -1)
			}
		}
		s.progress.Read += uint64(len(rows))
		s.Progress(s.progress)
		if len(rows) < restPage {
			return &ids, nil
		}
		if err := s.Between(ctx); err != nil {
			return nil, err
		}
	}
}

// createdBefore reports whether a record may have been there at the last
// comparison.
func (s *Sync) createdBefore(r *object.Record) bool {
	if s.state.Sweep == nil {
		return false
	}
	if len(r.Values) < 2 {
		return true
	}
	t, err := client.ParseTime(string(r.Values[1]))
	return err != nil || !t.After(s.state.Sweep.At)
}

// subtractDeleted takes out the records of whose deletion Salesforce tells, so
// that many of them do not hide those of which it does not.
func (s *Sync) subtractDeleted(ctx context.Context, before *digest, now time.Time) error {
	if !s.mapper.Object().Replicateable {
		return nil
	}
	from := s.state.Sweep.At.Add(-overlap)
	if oldest := now.Add(-replicatedFor); from.Before(oldest) {
		from = oldest
	}
	d, err := s.Client.Deleted(ctx, s.Object, from, now)
	if client.Is(err, client.ReplicationRange) || client.Is(err, client.TooManyDeletions) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range d.Records {
		if key, ok := idKey(r.ID); ok && !r.Time.Before(s.state.Sweep.At) {
			before.add(key, -1)
		}
	}
	return nil
}

// longID makes an Id of 18 characters of its first 15: the last three tell
// which of the others are capitals.
func longID(id string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	out := []byte(id)
	for i := 0; i+5 <= len(id) && i < 15; i += 5 {
		n := 0
		for j := range 5 {
			if c := id[i+j]; c >= 'A' && c <= 'Z' {
				n |= 1 << j
			}
		}
		out = append(out, alphabet[n])
	}
	return string(out)
}
