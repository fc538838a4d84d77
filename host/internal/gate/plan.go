package gate

import (
	"fmt"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Plan is a tracking plan: which events a source may send, and the schemas of
// their properties and traits. It never changes.
type Plan struct {
	events map[string]Checker // by name; nil: planned, and anything goes
	calls  map[event.Type]Checker
	// refuseUnplanned refuses track calls of other names than those in events.
	refuseUnplanned bool
}

// check tells what the plan has against an event.
func (p *Plan) check(t event.Type, s *scanner, doc *Document) []event.Violation {
	c := p.calls[t]
	if t == event.Track {
		if s.members[memberEvent].Kind != text {
			return nil // the common schema has refused it
		}
		name := s.value(memberEvent)
		planned := false
		if c, planned = p.events[string(name)]; !planned && p.refuseUnplanned {
			return []event.Violation{{
				Code: event.CodeUnplanned, Path: "/event",
				Message: fmt.Sprintf("event %.100q is not in the tracking plan", name),
			}}
		}
	}
	if c == nil {
		return nil
	}
	return c.Check(doc)
}
