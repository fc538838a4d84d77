package gate

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// codes are those that refusals are counted by.
var codes = [...]string{
	event.CodeNotObject, event.CodeUnknownType, event.CodeNoID, event.CodeSchema, event.CodePlan,
	event.CodeUnplanned, event.CodeTooLarge, event.CodeTooDeep, event.CodeNumber,
	event.CodeStringLength, event.CodeDuplicateKey, CodeOther,
}

// CodeOther counts refusals whose first violation has a code of the plugin's.
const CodeOther = "other"

type counters struct {
	accepted  atomic.Uint64
	delivered atomic.Uint64
	absurd    atomic.Uint64
	dropped   atomic.Uint64
	refused   [len(codes)]atomic.Uint64
}

func (c *counters) refuse(code string, action Action) {
	i := slices.Index(codes[:], code)
	if i < 0 {
		i = len(codes) - 1
	}
	c.refused[i].Add(1)
	if action == Dropped {
		c.dropped.Add(1)
	}
}

// Counts is what became of one source's claims since the gate was made.
type Counts struct {
	Source   event.SourceID
	Accepted uint64
	// Violating were accepted although the tracking plan has something against
	// them.
	Violating uint64
	// Refused counts each refusal once, by the code of its first violation.
	Refused map[string]uint64
	// Dropped counts the refusals that were not to be quarantined.
	Dropped uint64
	// AbsurdSentAt counts accepted events whose sentAt was not believed.
	AbsurdSentAt uint64
}

// Counts reads the counters of all sources, in the order of their names.
func (g *Gate) Counts() []Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Counts, 0, len(g.counts))
	for id, c := range g.counts {
		n := Counts{
			Source: id, Accepted: c.accepted.Load(), Violating: c.delivered.Load(),
			Dropped: c.dropped.Load(), AbsurdSentAt: c.absurd.Load(), Refused: make(map[string]uint64),
		}
		for i := range c.refused {
			if refused := c.refused[i].Load(); refused > 0 {
				n.Refused[codes[i]] = refused
			}
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Counts) int { return strings.Compare(string(a.Source), string(b.Source)) })
	return all
}
