package quarantine

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Filter says which entries are meant. The zero value of a field means any,
// but for State.
type Filter struct {
	Source      event.SourceID
	Destination event.DestinationID
	Code        string // of the first violation
	Event       string // as in Entry
	// Since leaves out what was last refused before.
	Since time.Time
	State State // StateOpen where it is not set

	// OldestFirst turns the order by FirstSeen around.
	OldestFirst bool
	// After leaves out everything up to a place in that order.
	After Cursor
	// Limit is the most entries that are listed; 0: all.
	Limit int
}

// Cursor is a place in a listing, just after an entry. It holds while entries
// come and go.
type Cursor string

// place is a cursor, taken apart.
type place struct {
	seen int64
	id   ID
}

func (c Cursor) parse() (place, error) {
	seen, id, ok := strings.Cut(string(c), "/")
	ns, err := strconv.ParseInt(seen, 10, 64)
	parsed, err2 := ParseID(id)
	if !ok || err != nil || err2 != nil {
		return place{}, fmt.Errorf("quarantine cursor %q: want one that a listing gave", string(c))
	}
	return place{ns, parsed}, nil
}

// Err says what is wrong with a cursor that no listing gave.
func (c Cursor) Err() error {
	if c == "" {
		return nil
	}
	_, err := c.parse()
	return err
}

// compare orders places by time, source and position.
func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.seen, o.seen), strings.Compare(string(p.id.Source), string(o.id.Source)),
		cmp.Compare(p.id.Position, o.id.Position))
}

// query is a filter, made ready.
type query struct {
	Filter
	since int64
	after place
	sign  int // of a comparison in the listing's order
	// groups are those that were met lately, by how they are encoded.
	groups map[string]*group
}

func (f Filter) query() (*query, error) {
	q := &query{Filter: f, since: unixNano(f.Since), sign: -1, after: place{seen: math.MaxInt64}, groups: make(map[string]*group)}
	if f.OldestFirst {
		q.sign, q.after.seen = 1, math.MinInt64
	}
	if f.After != "" {
		var err error
		if q.after, err = f.After.parse(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// group parses a record's group.
func (q *query) group(encoded []byte) *group {
	if g, ok := q.groups[string(encoded)]; ok {
		return g
	}
	if len(q.groups) >= maxGroups {
		clear(q.groups)
	}
	g := parseGroup(encoded)
	q.groups[string(encoded)] = g
	return g
}

// matchesGroup reports whether entries of a group match. Of the rest of the
// groups it says whether some may.
func (q *query) matchesGroup(g *group) bool {
	if g.other {
		return q.Code == "" || g.code == "" || g.code == q.Code
	}
	return (q.Code == "" || g.code == q.Code) && (q.Event == "" || g.event == q.Event) &&
		(q.Destination == "" || g.destination == string(q.Destination))
}

// exact reports whether matchesGroup says all there is to say of a group.
func (q *query) exact(g *group) bool {
	return !g.other || q.Event == "" && q.Destination == "" && (q.Code == "" || g.code != "")
}

// matches reports whether an entry matches, its place in the listing included.
func (q *query) matches(source event.SourceID, r *record, by *closing) bool {
	state := StateOpen
	if by != nil {
		state = by.state
	}
	if q.State != AnyState && q.State != state || r.last < q.since {
		return false
	}
	at := place{r.first, ID{source, r.id}}
	return at.compare(q.after)*q.sign > 0 && q.matchesGroup(q.group(r.group))
}

// mayMatch reports whether a chunk can have an entry that matches.
func (q *query) mayMatch(c *chunk) bool {
	if c.lastSeen < q.since || q.sign < 0 && c.oldest > q.after.seen || q.sign > 0 && c.newest < q.after.seen {
		return false
	}
	if c.stale || q.State == AnyState {
		return true
	}
	if q.State != StateOpen {
		return c.closed > 0
	}
	for i := range c.tallies {
		if q.matchesGroup(c.tallies[i].group) {
			return true
		}
	}
	return false
}
