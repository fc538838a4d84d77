package sync_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
)

// airbyte#4620
//
// TestWhateverHappensTheEventsAreTheOrg does random things to an org and to
// the sync, and holds at the end that the folded events equal the org's state.
// SALESFORCE_SEED repeats one run.
func TestWhateverHappensTheEventsAreTheOrg(t *testing.T) {
	seeds := make([]uint64, 5)
	for i := range seeds {
		seeds[i] = rand.Uint64()
	}
	if s, err := strconv.ParseUint(os.Getenv("SALESFORCE_SEED"), 10, 64); err == nil {
		seeds = []uint64{s}
	}
	for _, seed := range seeds {
		for _, changes := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, change events %t", seed, changes), func(t *testing.T) {
				newWorld(t, seed, changes).run()
			})
		}
	}
}

// world is an org in motion.
type world struct {
	*box
	rnd     *rand.Rand
	changes bool  // refetch what change events name
	heard   int64 // the last change
	n       int   // makes values unique
	fields  int
}

func newWorld(t *testing.T, seed uint64, changes bool) *world {
	spec := sync.Spec{Object: "Contact", Deletes: true, Refresh: time.Hour, Reconcile: 6 * time.Hour, Mapping: object.Mapping{Call: object.Identify}}
	w := &world{box: newBox(t, spec, org.Options{PageSize: 7, BulkPageSize: 10}), rnd: rand.New(rand.NewPCG(seed, 0)), changes: changes}
	w.sync.SetBulk(25, 10)
	w.must(w.AddField("Contact", org.Field{Name: "F__c", Label: "F", Type: "double", Calculated: true}))
	return w
}

func (w *world) run() {
	for range w.rnd.IntN(60) {
		w.insertOne()
	}
	for range 150 {
		w.move()
		if w.changes && w.rnd.IntN(2) == 0 {
			w.hear()
		}
		switch w.rnd.IntN(6) {
		case 0:
			w.try(w.sync.Poll(w.t.Context()))
		case 1:
			w.Advance(time.Duration(w.rnd.IntN(20)) * time.Second)
		}
	}
	w.ClearFaults()
	w.fail = nil
	w.Advance(2 * time.Hour)
	w.poll()
	w.poll()
	w.check("at the end")
}

func (w *world) insertOne() {
	w.n++
	w.insert("Contact", map[string]any{"LastName": fmt.Sprint("N", w.n), "MailingCity": []any{nil, "Ulm", "a\r\nb;\"c\""}[w.rnd.IntN(3)]})
}

// any returns a live contact, "" where there is none.
func (w *world) any() string {
	ids := w.IDs("Contact")
	if len(ids) == 0 {
		return ""
	}
	return ids[w.rnd.IntN(len(ids))]
}

func (w *world) update(id string) {
	w.n++
	w.must(w.Update("Contact", id, map[string]any{"LastName": fmt.Sprint("N", w.n)}))
}

func (w *world) move() {
	id := w.any()
	kind := w.rnd.IntN(16)
	if id == "" {
		kind = 0
	}
	switch kind {
	case 0, 1, 2:
		w.insertOne()
	case 3, 4:
		w.update(id)
	case 5: // two changes in one second with a poll between
		w.update(id)
		w.try(w.sync.Poll(w.t.Context()))
		w.hear()
		w.update(id)
	case 6:
		w.must(w.Delete("Contact", id))
		w.Advance(time.Second)
		if w.rnd.IntN(2) == 0 {
			w.hear()
			if w.rnd.IntN(2) == 0 {
				w.try(w.sync.Poll(w.t.Context()))
			}
			w.must(w.Undelete("Contact", id))
		}
	case 7:
		w.must(w.HardDelete("Contact", id))
	case 8:
		if other := w.any(); other != id {
			w.must(w.Merge("Contact", id, other))
		}
	case 9, 10:
		w.must(w.SetFormula("Contact", id, map[string]any{"F__c": w.rnd.IntN(3)}))
		w.Advance(time.Duration(w.rnd.IntN(90)) * time.Minute)
	case 11:
		if w.fields++; w.fields < 4 {
			name := fmt.Sprintf("New%d__c", w.fields)
			w.must(w.AddField("Contact", org.Field{Name: name, Label: name, Type: "string", Length: 80}))
			w.must(w.SetFormula("Contact", id, map[string]any{name: "x"})) // no row moves
		}
	case 12:
		w.Advance(time.Duration(w.rnd.IntN(3)-2) * time.Second) // its clock is set back
	case 13:
		tx := w.Begin()
		w.n++
		w.must(tx.Update("Contact", id, map[string]any{"LastName": fmt.Sprint("N", w.n)}))
		w.Advance(time.Duration(w.rnd.IntN(30)) * time.Minute)
		w.try(w.sync.Poll(w.t.Context()))
		w.must(tx.Commit())
	case 14:
		faults := []string{"session_expired", "query_timeout", "locator_lost", "html_503", "truncated_body", "connection_reset", "concurrent_limit", "bulk_failed", "bulk_missing_rows", "uri_too_long"}
		w.must(w.Fail(org.Fault{Name: faults[w.rnd.IntN(len(faults))], After: w.rnd.IntN(4), Times: 1 + w.rnd.IntN(7)}))
	case 15:
		w.fail, w.after, w.lost = errKilled, w.rnd.IntN(6), w.rnd.IntN(2) == 0
	}
}

// hear refetches what changed since the last time, as change events would have it.
func (w *world) hear() {
	if !w.changes {
		return
	}
	for _, c := range w.Changes(w.heard) {
		w.heard = c.Number
		if c.Object == "Contact" && len(c.IDs) > 0 && w.sync.Live() {
			w.try(w.sync.Refetch(w.t.Context(), c.IDs, c.Commit))
		}
	}
}

// try takes what may go wrong: a kill, or an error that passes.
func (w *world) try(err error) {
	w.t.Helper()
	if err == nil {
		return
	}
	if _, salesforce := errors.AsType[*client.Error](err); !salesforce && !errors.Is(err, errKilled) && !errors.Is(err, client.ErrTruncated) {
		w.t.Logf("poll: %v", err)
	}
	if errors.Is(err, errKilled) || w.rnd.IntN(2) == 0 {
		w.restart()
		w.sync.SetBulk(25, 10)
	}
}
