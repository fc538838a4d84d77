package gate

import (
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema"
)

// Checker judges events by one schema. It is safe for concurrent use.
type Checker interface {
	// Check tells everything that the schema has against an event; nothing: it
	// is good.
	Check(doc *Document) []event.Violation
}

// Document is one event, for checkers: valid JSON, an object, within the gate's
// bounds.
type Document struct {
	// Raw is the event as the client wrote it. It is only lent.
	Raw   []byte
	value map[string]any
}

// Value is the event decoded as package schema wants it. It is decoded once,
// when it is first asked for; a checker that can do without is cheaper. The
// scanner lets nothing pass that cannot be decoded.
func (d *Document) Value() (map[string]any, error) {
	if d.value == nil {
		decoded, err := schema.Decode(d.Raw)
		if err != nil {
			return nil, err
		}
		d.value, _ = decoded.(map[string]any)
	}
	return d.value, nil
}

// undecodable is the violation of a document that has no value.
func undecodable(err error) []event.Violation {
	return []event.Violation{{Code: event.CodeNotObject, Message: "not JSON: " + err.Error()}}
}

// wholeChecker judges the whole event.
type wholeChecker struct{ schema *schema.Schema }

func (c wholeChecker) Check(doc *Document) []event.Violation {
	value, err := doc.Value()
	if err != nil {
		return undecodable(err)
	}
	return c.schema.Check(value)
}

// partChecker judges one member of the event by the tracking plan.
type partChecker struct {
	schema *schema.Schema
	member string
}

func (c partChecker) Check(doc *Document) []event.Violation {
	value, err := doc.Value()
	if err != nil {
		return undecodable(err)
	}
	part := value[c.member]
	if part == nil { // missing or null
		part = map[string]any{}
	}
	if _, ok := part.(map[string]any); !ok {
		return nil // the common schema has refused it
	}
	found := c.schema.Check(part)
	for i := range found {
		found[i].Code = event.CodePlan
		found[i].Path = "/" + c.member + found[i].Path
	}
	return found
}

// commonSchemas compiles the published schemas of the common spec. The one of no
// type is of what all calls share.
func commonSchemas() (map[event.Type]*schema.Schema, error) {
	all := make(map[event.Type]*schema.Schema)
	for _, t := range append([]event.Type{""}, event.Types...) {
		name := "common"
		if t != "" {
			name = string(t)
		}
		s, err := schema.Published(name + ".v1.schema.json")
		if err != nil {
			return nil, err
		}
		all[t] = s
	}
	return all, nil
}
