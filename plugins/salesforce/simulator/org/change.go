package org

import (
	"slices"
	"time"
)

// Change is one entry of the log of committed changes.
type Change struct {
	// Number grows by one with each change of the org.
	Number int64 `json:"number"`
	// Commit is when its transaction ended, to the millisecond; the rows'
	// SystemModstamp may be older.
	Commit time.Time `json:"commit"`
	Object string    `json:"object"`
	// Type is a changeType of Change Data Capture: CREATE, UPDATE, DELETE,
	// UNDELETE, GAP_CREATE, GAP_UPDATE, GAP_DELETE, GAP_UNDELETE or
	// GAP_OVERFLOW.
	Type string   `json:"type"`
	IDs  []string `json:"ids"`
	// Fields are those that got a value, Nulled those that lost theirs. A
	// DELETE and a gap have neither.
	Fields []string `json:"fields"`
	Nulled []string `json:"nulled"`
	// Tx is common to the changes of one transaction.
	Tx string `json:"tx"`

	// shape is the object's at the time, values the new ones by slot, row the
	// columns at the commit, and sequence its place in the transaction.
	shape    *shape
	values   [][]byte
	row      row
	sequence int
}

const (
	// retention is how long Pub/Sub keeps events.
	retention = 72 * time.Hour
	// maxChanges bounds the log's memory; what is older is as if it had expired.
	maxChanges = 200_000
)

// Changes are those after the one with this number that the log still holds.
func (o *Org) Changes(after int64) []Change {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Clone(o.changesAfter(after))
}

func (o *Org) changesAfter(after int64) []Change {
	i, _ := slices.BinarySearchFunc(o.changes, after+1, func(c Change, n int64) int { return int(c.Number - n) })
	return o.changes[i:]
}

// record appends to the log, forgets what has expired, and wakes who waits.
func (o *Org) record(changes []Change) {
	if len(changes) == 0 {
		return
	}
	for _, c := range changes {
		o.lastChange++
		c.Number = o.lastChange
		o.changes = append(o.changes, c)
	}
	oldest := o.Now().Add(-retention)
	drop := max(0, len(o.changes)-maxChanges)
	for drop < len(o.changes) && o.changes[drop].Commit.Before(oldest) {
		drop++
	}
	if drop > len(o.changes)/2 {
		o.changes = slices.Clone(o.changes[drop:])
	} else if drop > 0 {
		clear(o.changes[:drop])
		o.changes = o.changes[drop:]
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// Gap logs a change of which Change Data Capture tells no values: GAP_CREATE,
// GAP_UPDATE, GAP_DELETE and GAP_UNDELETE for these records, or GAP_OVERFLOW,
// for which there are none. The rows themselves do not change.
func (o *Org) Gap(object, changeType string, ids ...string) error {
	if !slices.Contains([]string{"GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"}, changeType) {
		return failure("INVALID_FIELD", "no such gap: "+changeType)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	t, err := o.table(object)
	if err != nil {
		return err
	}
	o.record([]Change{{Commit: o.commitTime(), Object: t.name, Type: changeType, IDs: ids, Tx: o.nextKey(), shape: t.shape}})
	return nil
}

func (o *Org) commitTime() time.Time { return o.Now().Truncate(time.Millisecond) }
