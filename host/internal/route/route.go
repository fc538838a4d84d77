// Package route says which destinations the events of a source go to.
//
// It is pure: a table is made from the config and never changes; a new config
// makes a new table. It knows nothing of events but their source.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Table holds the routes of one config. Any number of goroutines may use it. The zero
// Table routes nothing.
type Table struct {
	routes map[route]struct{}
}

type route struct {
	destination event.DestinationID
	source      event.SourceID
}

// New makes a table from each source's destinations. It reports every
// destination that is named but not in known.
func New(sources map[event.SourceID][]event.DestinationID, known []event.DestinationID) (*Table, error) {
	t := &Table{routes: make(map[route]struct{})}
	var errs []error
	for _, s := range slices.Sorted(maps.Keys(sources)) {
		for _, d := range sources[s] {
			if !slices.Contains(known, d) {
				errs = append(errs, fmt.Errorf("source %s: destination %s is not configured", s, d))
			}
			t.routes[route{d, s}] = struct{}{}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// Wants tells whether events of the source go to the destination.
func (t *Table) Wants(d event.DestinationID, s event.SourceID) bool {
	_, ok := t.routes[route{d, s}]
	return ok
}

// Destinations lists where events of the source go, sorted.
func (t *Table) Destinations(s event.SourceID) []event.DestinationID {
	var names []event.DestinationID
	for r := range t.routes {
		if r.source == s {
			names = append(names, r.destination)
		}
	}
	slices.Sort(names)
	return names
}

// Sources lists whose events go to the destination, sorted.
func (t *Table) Sources(d event.DestinationID) []event.SourceID {
	var names []event.SourceID
	for r := range t.routes {
		if r.destination == d {
			names = append(names, r.source)
		}
	}
	slices.Sort(names)
	return names
}
