package quarantine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// group is what entries of a source have in common: the event's name and the
// first violation.
type group struct {
	destination, event, code, path string
	// other gathers what has no group of its own, of one code.
	other bool
}

// appendGroup writes a refusal's group.
func appendGroup(b []byte, r *event.Refusal) []byte {
	var first event.Violation
	if len(r.Violations) > 0 {
		first = r.Violations[0]
	}
	b = appendString(b, r.Destination)
	b = appendString(b, eventName(r.Claim))
	b = appendString(b, cut(first.Code))
	return appendString(b, reasonPath(first.Path))
}

func parseGroup(b []byte) *group {
	r := reader{b: b}
	return &group{destination: r.string(), event: r.string(), code: r.string(), path: r.string()}
}

// groups are the groups of one source, by how they are encoded, so that
// finding one again allocates nothing.
type groups struct {
	known  map[string]*group
	others map[string]*group // by code
}

// Bounds on what hostile events can make the host remember: groups of a source,
// and groups that a chunk tells apart.
const (
	maxGroups      = 256
	maxOthers      = 32
	maxChunkGroups = 16
)

func newGroups() groups {
	return groups{known: make(map[string]*group), others: make(map[string]*group)}
}

func (g *groups) get(encoded []byte) *group {
	if known, ok := g.known[string(encoded)]; ok {
		return known
	}
	parsed := parseGroup(encoded)
	if len(g.known) >= maxGroups {
		return g.rest(parsed)
	}
	g.known[string(encoded)] = parsed
	return parsed
}

// rest returns the group of those without a group of their own.
func (g *groups) rest(of *group) *group {
	code := of.code
	if _, ok := g.others[code]; !ok && len(g.others) >= maxOthers {
		code = ""
	}
	if known, ok := g.others[code]; ok {
		return known
	}
	g.others[code] = &group{code: code, other: true}
	return g.others[code]
}

// tally counts the open entries of a group.
type tally struct {
	group       *group
	entries     int
	count       uint64
	first, last int64
}

// add counts a record for its group. others gives the group that serves where
// there are too many.
func addTally(tallies []tally, g *group, groups *groups, r *record) []tally {
	i := findTally(tallies, g)
	if i < 0 && len(tallies) >= maxChunkGroups && !g.other {
		g = groups.rest(g)
		i = findTally(tallies, g)
	}
	if i < 0 {
		return append(tallies, tally{group: g, entries: 1, count: r.count, first: r.first, last: r.last})
	}
	t := &tallies[i]
	t.entries++
	t.count += r.count
	t.first, t.last = min(t.first, r.first), max(t.last, r.last)
	return tallies
}

func findTally(tallies []tally, g *group) int {
	for i := range tallies {
		if tallies[i].group == g {
			return i
		}
	}
	return -1
}

// Group is a number of open entries with the same reason.
type Group struct {
	Source      event.SourceID      `json:"source"`
	Destination event.DestinationID `json:"destination,omitempty"`
	Event       string              `json:"event"`
	Code        string              `json:"code"`
	Path        string              `json:"path"` // every index is *
	// Other marks the rest of a source's entries with this code, where it has more
	// groups than are told apart; it has neither event nor path.
	Other   bool      `json:"other,omitempty"`
	Entries int       `json:"entries"`
	Count   uint64    `json:"count"` // how often they were refused
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Groups counts the open entries that match a filter by what they have in
// common. Of the filter it heeds Source, Destination, Code, Event and Since. The
// groups are in the order of their sources and, within one, the largest first.
func (q *Quarantine) Groups(ctx context.Context, f Filter) ([]Group, error) {
	query, err := Filter{Source: f.Source, Destination: f.Destination, Code: f.Code, Event: f.Event, Since: f.Since}.query()
	if err != nil {
		return nil, err
	}
	var out []Group
	for _, s := range q.known(f.Source) {
		if err := s.loaded(ctx); err != nil {
			return nil, err
		}
		sums, err := s.sum(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, t := range sums {
			out = append(out, Group{
				Source: s.source, Destination: event.DestinationID(t.group.destination), Event: t.group.event,
				Code: t.group.code, Path: t.group.path, Other: t.group.other,
				Entries: t.entries, Count: t.count, First: fromNano(t.first), Last: fromNano(t.last),
			})
		}
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(strings.Compare(string(a.Source), string(b.Source)), -cmp.Compare(a.Count, b.Count),
			strings.Compare(a.Event, b.Event), strings.Compare(a.Code, b.Code), strings.Compare(a.Path, b.Path))
	})
	return out, nil
}

// sum adds up a source's tallies. Where they are too coarse for the query, it
// counts the entries.
func (s *shelf) sum(ctx context.Context, q *query) (map[group]*tally, error) {
	for {
		sums := make(map[group]*tally)
		views := s.tallied(q, sums)
		local := newGroups()
		moved := false
		for i := range views {
			v := &views[i]
			var tallies []tally
			err := s.scan(ctx, v, func(r *record) bool {
				if by := v.closing(r.id); q.matches(s.source, r, by) {
					tallies = addTally(tallies, local.get(r.group), &local, r)
				}
				return true
			})
			if err != nil {
				return nil, err
			}
			for i := range tallies {
				addSum(sums, &tallies[i])
			}
			moved = moved || s.removed(v.chunk)
		}
		if !moved {
			return sums, nil
		}
	}
}

// tallied adds up the tallies of the chunks where they say all, and returns the
// others that may match.
func (s *shelf) tallied(q *query, sums map[group]*tally) []view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var rest []view
	for _, c := range s.book.chunks {
		if !q.mayMatch(c) {
			continue
		}
		exact := !c.stale && (q.since == 0 || c.oldest >= q.since)
		for i := range c.tallies {
			exact = exact && q.exact(c.tallies[i].group)
		}
		if !exact {
			rest = append(rest, c.view())
			continue
		}
		for i := range c.tallies {
			if q.matchesGroup(c.tallies[i].group) {
				addSum(sums, &c.tallies[i])
			}
		}
	}
	return rest
}

func addSum(sums map[group]*tally, t *tally) {
	sum, ok := sums[*t.group]
	if !ok {
		copied := *t
		sums[*t.group] = &copied
		return
	}
	sum.entries += t.entries
	sum.count += t.count
	sum.first, sum.last = min(sum.first, t.first), max(sum.last, t.last)
}
