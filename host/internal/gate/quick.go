package gate

import (
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// newProgram makes the program of the common spec, for all types together.
func newProgram(schemas map[event.Type]*schema.Schema) *fast.Program {
	root := fast.Root{
		All:   []*schema.Schema{schemas[""]},
		Notes: places[memberType:],
		Usual: usual(),
		Parts: []string{"properties", "traits"},
	}
	for _, t := range event.Types {
		root.Any = append(root.Any, schemas[t])
	}
	return fast.New(root)
}

// usualContext are the members of an event's context that the common spec names.
var usualContext = map[string]string{
	"":         "active app campaign channel device groupId ip library locale location network os page referrer screen timezone traits userAgent userAgentData",
	"app":      "build name namespace version",
	"campaign": "content medium name source term",
	"device":   "adTrackingEnabled advertisingId id manufacturer model name token type version",
	"library":  "name version",
	"network":  "bluetooth carrier cellular wifi",
	"os":       "name version",
	"page":     "initial_referrer initial_referring_domain path referrer referring_domain search title url",
	"screen":   "density height width",
}

// usual gives the members that clients send on their own.
func usual() (paths [][]string) {
	paths = append(paths, []string{"integrations"}, []string{"channel"}, []string{"name"}, []string{"version"})
	for at, names := range usualContext {
		for _, name := range strings.Fields(names) {
			path := []string{"context", at, name}
			if at == "" {
				path = []string{"context", name}
			}
			paths = append(paths, path)
		}
	}
	return paths
}

// parts are what a tracking plan adds to the program.
type parts struct {
	events map[string]*part // by name; nil: planned, and anything goes
	calls  map[event.Type]*part
	// refuseUnplanned is the plan's.
	refuseUnplanned bool
}

// part is what the plan says of a member of some event.
type part struct {
	fast   *fast.Part
	member memberID
	// spare tells whether the plan is content with an event that has no such
	// member.
	spare bool
}

// newParts builds the parts of a plan; nil: there is none.
func newParts(program *fast.Program, plan *Plan) *parts {
	if program == nil || plan == nil {
		return nil
	}
	p := &parts{
		events: make(map[string]*part, len(plan.events)), calls: make(map[event.Type]*part),
		refuseUnplanned: plan.refuseUnplanned,
	}
	for name, c := range plan.events {
		p.events[name] = newPart(program, c)
	}
	for call, c := range plan.calls {
		p.calls[call] = newPart(program, c)
	}
	return p
}

func newPart(program *fast.Program, c Checker) *part {
	judge, ok := c.(partChecker)
	if !ok {
		return nil // there is no schema
	}
	return &part{
		fast:   program.Part(judge.member, judge.schema),
		member: topMembers[judge.member],
		spare:  len(judge.schema.Check(map[string]any{})) == 0,
	}
}

// quick knows most good claims by the program.
type quick struct {
	machine fast.Machine
	found   found
	parts   *parts
	chosen  bool
	call    event.Type
	part    *part // nil: the plan says nothing of the event
}

// knows tells whether a claim is surely good, and finds what its envelope needs.
func (q *quick) knows(s *Source, claim event.Claim) bool {
	if s.program == nil {
		return false
	}
	q.parts, q.part, q.chosen = s.parts, nil, false
	f := &q.found
	f.raw = claim
	read, ok := q.machine.Run(s.program, claim, s.gate.limits, f.members[memberType:], q)
	f.begin, f.end, f.lines = read.Begin, read.End, read.Lines
	if !ok || !q.choose() || !f.identified(q.call) || f.members[memberMessageID].Escaped {
		return false
	}
	return q.part == nil || q.part.spare || f.members[q.part.member].Kind == object
}

// Choose tells the machine what the plan says of the event that it reads.
func (q *quick) Choose([]fast.Value) (*fast.Part, bool) {
	switch {
	case q.parts == nil:
		return nil, true
	case !q.choose():
		return nil, false
	case q.part == nil:
		return nil, true
	}
	return q.part.fast, true
}

// choose finds the event's type, and what the plan says of it; false: that is
// not known, or not yet, or the plan refuses the event.
func (q *quick) choose() bool {
	if q.chosen {
		return true
	}
	f := &q.found
	name := f.members[memberEvent]
	if f.members[memberType].Escaped || name.Escaped {
		return false
	}
	var ok bool
	if q.call, ok = f.call(); !ok {
		return false
	}
	switch {
	case q.parts == nil:
	case q.call != event.Track:
		q.part = q.parts.calls[q.call]
	case name.Kind != text:
		return false
	default:
		planned := false
		q.part, planned = q.parts.events[string(f.raw[name.Start:name.End])]
		if !planned && q.parts.refuseUnplanned {
			return false
		}
	}
	q.chosen = true
	return true
}
