package org

import (
	"net/http"
	"time"
)

const (
	deletedDays = binDays
	updatedDays = 30 * 24 * time.Hour
	// maxReplicated is the most ids of an answer.
	maxReplicated = 600_000
)

// span reads start and end, whose seconds count for nothing.
func (o *Org) span(c *call, t *table, days time.Duration) (from, to time.Time, err error) {
	if !t.is("replicateable") {
		return from, to, failure("INVALID_TYPE_FOR_OPERATION", "entity type "+t.name+" does not support replication")
	}
	for name, at := range map[string]*time.Time{"start": &from, "end": &to} {
		v := parseDateTime(c.r.URL.Query().Get(name))
		if v.IsZero() {
			return from, to, failure("INVALID_REPLICATION_DATE", name+" is missing or not an ISO 8601 datetime")
		}
		*at = v.Truncate(time.Minute)
	}
	now := o.Now()
	switch {
	case to.Sub(from) < time.Minute:
		err = failure("INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
	case from.Before(now.Add(-days).Truncate(time.Minute)):
		err = failure("INVALID_REPLICATION_DATE", "startDate before org replication enabled date or too far in the past")
	case from.After(now):
		err = failure("INVALID_REPLICATION_DATE", "startDate cannot be in the future")
	}
	return from, to, err
}

// covered is latestDateCovered: the end that was asked for, but never after the
// start of a transaction that is open.
func (o *Org) covered(to time.Time) string {
	last := o.Now()
	if to.Before(last) {
		last = to
	}
	for tx := range o.open {
		if tx.started.Before(last) {
			last = tx.started
		}
	}
	return last.Truncate(time.Minute).UTC().Format(restTime)
}

type deletedRecord struct {
	ID          string `json:"id"`
	DeletedDate string `json:"deletedDate"`
}

// replicated answers with what read finds under the lock.
func (o *Org) replicated(c *call, read func() (any, error)) {
	o.mu.RLock()
	out, err := read()
	o.mu.RUnlock()
	if err != nil {
		fail(c, err)
		return
	}
	o.json(c, c.r, http.StatusOK, out)
}

func (o *Org) deleted(c *call, t *table) (any, error) {
	from, to, err := o.span(c, t, deletedDays)
	if err != nil {
		return nil, err
	}
	out := []deletedRecord{}
	for _, d := range t.deletions {
		if at := time.Unix(d.at, 0); !at.Before(from) && at.Before(to) && t.rows[d.n-1].state != live {
			out = append(out, deletedRecord{t.id(d.n), at.UTC().Format(restTime)})
		}
	}
	if len(out) > maxReplicated {
		return nil, failure("EXCEEDED_ID_LIMIT", "the result has too many ids")
	}
	return map[string]any{"deletedRecords": out, "latestDateCovered": o.covered(to), "earliestDateAvailable": o.earliest(t).UTC().Format(restTime)}, nil
}

// earliest is the time from which the log of deletions is whole.
func (o *Org) earliest(t *table) time.Time {
	oldest := o.Now().Add(-deletedDays)
	if t.purged.After(oldest) {
		return t.purged
	}
	return oldest
}

// PurgeDeletions empties the log that getDeleted reads, as an org does every two
// hours with one that has grown long: earliestDateAvailable is then now.
func (o *Org) PurgeDeletions(object string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, err := o.table(object)
	if err == nil {
		t.deletions, t.purged = nil, o.Now().Truncate(time.Second)
	}
	return err
}

func (o *Org) updated(c *call, t *table) (any, error) {
	from, to, err := o.span(c, t, updatedDays)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for i := range t.rows {
		if r := &t.rows[i]; r.state == live && r.stamp >= from.Unix() && r.stamp < to.Unix() {
			ids = append(ids, t.id(uint64(i+1)))
		}
	}
	if len(ids) > maxReplicated {
		return nil, failure("EXCEEDED_ID_LIMIT", "the result has too many ids")
	}
	return map[string]any{"ids": ids, "latestDateCovered": o.covered(to)}, nil
}
