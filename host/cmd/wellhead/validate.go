package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
)

type validateCommand struct {
	jsonFlag
	File string `arg:"" help:"one JSON object a line, or an array of them; - is standard input"`
	Plan string `placeholder:"PLAN" help:"a tracking plan that the events must fit, too"`
}

// validated is what validate tells programs.
type validated struct {
	Events int             `json:"events"`
	Bad    []invalidedItem `json:"bad"`
}

type invalidedItem struct {
	Line       int               `json:"line"`
	MessageID  string            `json:"messageId,omitempty"`
	Violations []event.Violation `json:"violations"`
}

// Run judges every event of the file as a host would.
func (c *validateCommand) Run(s *shell) error {
	judge, err := c.judge()
	if err != nil {
		return err
	}
	file, err := s.readEvents(c.File)
	if err != nil {
		return err
	}
	result := validated{Bad: []invalidedItem{}}
	now := time.Now()
	for w := range file.all() {
		result.Events++
		bad := invalidedItem{Line: w.line}
		if w.err != nil {
			bad.Violations = []event.Violation{{Code: event.CodeNotObject, Message: w.err.Error()}}
		} else if r := judge.Judge(gate.Input{Claim: w.json}, now); r.Refusal != nil {
			bad.MessageID, bad.Violations = r.Refusal.MessageID, r.Refusal.Violations
		} else {
			continue
		}
		result.Bad = append(result.Bad, bad)
	}
	if c.JSON {
		err = s.printJSON(result)
	} else {
		s.printValidated(file.name, &result)
	}
	if err == nil && len(result.Bad) > 0 {
		return errTold
	}
	return err
}

// judge is a gate for one source, with the plan if there is one.
func (c *validateCommand) judge() (*gate.Source, error) {
	// The largest event that a host can be told to take; and an id that a host
	// would make up says nothing here.
	g, err := gate.New(gate.Options{MaxEvent: int(8 * config.MiB), NewID: func() string { return "" }})
	if err != nil {
		return nil, err
	}
	o := gate.SourceOptions{ID: "validate", OnViolation: gate.Quarantine}
	if c.Plan != "" {
		if o.Plan, err = gate.LoadPlan(c.Plan); err != nil {
			return nil, planProblems(err)
		}
	}
	return g.Source(o), nil
}

func planProblems(err error) error {
	var pe gate.PlanError
	if !errors.As(err, &pe) {
		return err
	}
	var ps config.Problems
	for _, p := range pe {
		ps = append(ps, config.Problem{File: p.File, Line: p.Line, Path: p.Key, What: p.Message, Hint: p.Hint, Code: "plan"})
	}
	return ps
}

func (s *shell) printValidated(name string, r *validated) {
	for _, bad := range r.Bad {
		for _, v := range bad.Violations {
			fmt.Fprintf(s.out, "%s:%d: %s\n", name, bad.Line, reason(v))
		}
	}
	switch n := len(r.Bad); n {
	case 0:
		fmt.Fprintf(s.out, "%s is good: %s\n", name, plural(r.Events, "event"))
	default:
		fmt.Fprintf(s.out, "%d of %s would be refused\n", n, plural(r.Events, "event"))
	}
}
