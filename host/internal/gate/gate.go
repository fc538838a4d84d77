// Package gate turns what a plugin claims into what the host vouches for, or
// into a refusal that tells everything that is wrong.
//
// A claim is judged by the published schema of its type, and by the source's
// tracking plan. Most good ones are known to be good after one pass over their
// bytes, by a program that package fast builds from those schemas. All others go
// the long way: the scanner finds where the members are that the gate needs and
// holds the bounds that keep a hostile event cheap; then checkers tell everything
// that is wrong. Both ways lead to the same envelope. What the gate adds is spliced into the client's own bytes:
// members that nobody knows, the order of members and the digits of numbers
// reach the destinations as they were sent.
//
// It does not know where events come from or go to.
package gate

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// Options are the gate's settings. What is zero has a default.
type Options struct {
	MaxEvent    int // bytes of a claim; 1 MiB
	MaxDepth    int // of nested objects and arrays; 64
	MaxNumber   int // characters of a number; 400
	MaxExponent int // of a number, above or below 0; 400: a double's are all within
	MaxString   int // bytes of a string or a name, escapes as written; 256 KiB
	MaxValues   int // of a claim, at any depth; 100,000
	MaxPaths    int // bytes of the paths of all its values together; 16 MiB
	// NewID makes the messageId of an event that has none: a UUID of version 7.
	NewID func() string
}

// Gate judges the claims of all sources. It is safe for concurrent use.
type Gate struct {
	options    Options
	bounds     bounds
	limits     fast.Limits            // the same, for the program
	program    *fast.Program          // of the published schemas; nil: all claims go the long way
	checkers   map[event.Type]Checker // by type; the empty one: any
	workspaces sync.Pool
	crowd      chan struct{} // taken while an event of many values is checked

	mu     sync.Mutex
	counts map[event.SourceID]*counters
}

// New makes a gate. The error tells of a published schema that does not
// compile.
func New(o Options) (*Gate, error) {
	schemas, err := commonSchemas()
	if err != nil {
		return nil, err
	}
	checkers := make(map[event.Type]Checker)
	for t, s := range schemas {
		checkers[t] = wholeChecker{s}
	}
	for _, d := range []struct {
		option *int
		value  int
	}{
		{&o.MaxEvent, 1 << 20}, {&o.MaxDepth, 64}, {&o.MaxNumber, 400}, {&o.MaxExponent, 400},
		{&o.MaxString, 256 << 10}, {&o.MaxValues, 100_000}, {&o.MaxPaths, 16 << 20},
	} {
		if *d.option == 0 {
			*d.option = d.value
		}
	}
	if o.NewID == nil {
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	return &Gate{
		options: o,
		bounds: bounds{
			maxDepth: o.MaxDepth, maxNumber: o.MaxNumber, maxExponent: o.MaxExponent,
			maxString: o.MaxString, maxValues: o.MaxValues, maxPaths: o.MaxPaths,
		},
		limits: fast.Limits{
			Depth: o.MaxDepth, Number: o.MaxNumber, Exponent: o.MaxExponent, String: o.MaxString,
			Values: o.MaxValues, Paths: o.MaxPaths,
		},
		program:    newProgram(schemas),
		checkers:   checkers,
		crowd:      make(chan struct{}, 1),
		workspaces: sync.Pool{New: func() any { return new(workspace) }},
		counts:     make(map[event.SourceID]*counters),
	}, nil
}

// OnViolation says what becomes of an event that only its source's tracking
// plan refuses. The zero value quarantines.
type OnViolation string

// What may become of it.
const (
	Quarantine OnViolation = "quarantine"
	Drop       OnViolation = "drop"
	// Deliver accepts the event and puts the violations in its
	// context.violations.
	Deliver OnViolation = "deliver"
)

// SourceOptions are one source's settings.
type SourceOptions struct {
	ID          event.SourceID
	Plan        *Plan // nil: every event of the common spec is good
	OnViolation OnViolation
}

// Source judges the claims of one source. It never changes; a source with other
// settings is another Source. It is safe for concurrent use.
type Source struct {
	gate    *Gate
	id      event.SourceID
	quoted  string        // the id as JSON
	program *fast.Program // the gate's
	plan    *Plan
	parts   *parts // of the plan in the program
	policy  OnViolation
	counts  *counters
}

// Source makes the judge of one source. Its counters go on from those of an
// earlier Source of that name.
func (g *Gate) Source(o SourceOptions) *Source {
	g.mu.Lock()
	defer g.mu.Unlock()
	counts := g.counts[o.ID]
	if counts == nil {
		counts = new(counters)
		g.counts[o.ID] = counts
	}
	return &Source{
		gate: g, id: o.ID, quoted: string(asJSON(o.ID)), program: g.program,
		plan: o.Plan, parts: newParts(g.program, o.Plan), policy: o.OnViolation, counts: counts,
	}
}

// Input is a claim and what came with it.
type Input struct {
	Claim event.Claim
	// Own are reasons of the plugin to refuse the claim. They quarantine it.
	Own []event.Violation
	// Group and Attachment are handed on: the attachment with a refusal too.
	Group      uint32
	Attachment []byte
	// SentAt is the request's sentAt, for a claim that has none.
	SentAt string
	// MessageID is for a claim that has none. Where it is empty too, a new one
	// is made.
	MessageID string
}

// Action is what becomes of a claim.
type Action string

// The actions, as clients read them. Of an accepted claim there is none.
const (
	Accepted    Action = ""
	Quarantined Action = "quarantine"
	Dropped     Action = "drop"
)

// Result is an accepted Envelope, or a Refusal and what to do with it.
type Result struct {
	Envelope event.Envelope
	Refusal  *event.Refusal // nil: accepted
	Action   Action
}

// workspace is what one judgement needs and the next can use again.
type workspace struct {
	quick quick
	scan  scanner
	edits edits
}

// maxScratch is the most memory of a kind that a workspace keeps.
const maxScratch = 64 << 10

// release lets go of the claim, and of memory that only a rare one needs.
func (w *workspace) release() {
	w.quick.found.raw, w.quick.parts, w.quick.part = nil, nil, nil
	w.scan.raw, w.scan.names.raw, w.scan.violations = nil, nil, nil
	if cap(w.scan.names.buf) > maxScratch {
		w.scan.names.buf = nil
	}
	if len(w.scan.names.slots) > manySlots {
		w.scan.names.slots = nil
	}
	if cap(w.edits.scratch) > maxScratch {
		w.edits.scratch = nil
	}
}

// Judge judges one claim, received at receivedAt, which counts to the
// millisecond. A Refusal shares the claim's memory unless the claim is over the
// limit; an Envelope does not. Both share the attachment's.
func (s *Source) Judge(in Input, receivedAt time.Time) Result {
	r, _ := s.JudgeInto(nil, in, receivedAt)
	return r
}

// JudgeInto is Judge for one of many claims. It appends the text of an Envelope
// to a buffer, and returns that: the Envelope's JSON and MessageID are in the
// buffer's memory, and good for as long as nobody writes there. It allocates
// nothing for most claims that are accepted, where the buffer is large enough.
func (s *Source) JudgeInto(buffer []byte, in Input, receivedAt time.Time) (Result, []byte) {
	w := s.gate.workspaces.Get().(*workspace)
	j := judgement{
		source: s, in: in, work: w, out: buffer,
		receivedAt: receivedAt.UTC().Truncate(time.Millisecond),
	}
	r := j.run()
	w.release()
	s.gate.workspaces.Put(w)
	return r, j.out
}
