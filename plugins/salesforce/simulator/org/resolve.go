package org

import (
	"fmt"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org/soql"
)

// column is a field of a query, reached from its object by references.
type column struct {
	steps []*field
	// t is the object that the field belongs to; of a polymorphic reference the
	// first that it may refer to.
	t *table
	f *field
}

// readable finds an object that the user may query.
func (o *Org) readable(q string, n soql.Name) (*table, error) {
	t, ok := o.tables[strings.ToLower(n.Text)]
	if !ok || t.access.NoRead {
		return nil, queryError("INVALID_TYPE", q, n.Pos, "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' "+
			"after the entity name. Please reference your WSDL or the describe call for the appropriate names.", n.Text)
	}
	if !t.is("queryable") {
		return nil, queryError("INVALID_TYPE_FOR_OPERATION", q, n.Pos, "entity type %s does not support query", t.name)
	}
	return t, nil
}

// resolve finds a field by its path from t.
func (o *Org) resolve(q string, t *table, n soql.Name) (column, error) {
	c := column{t: t}
	path := n.Path()
	if len(path) > 1 && strings.EqualFold(path[0], t.name) {
		path = path[1:]
	}
	for _, name := range path[:len(path)-1] {
		ref, ok := c.t.byRelation[strings.ToLower(name)]
		if ok && !ref.hidden {
			var next *table
			for _, target := range ref.targets {
				if next = o.tables[strings.ToLower(target)]; next != nil {
					break
				}
			}
			if next != nil && !next.access.NoRead {
				c.steps, c.t = append(c.steps, ref), next
				continue
			}
		}
		return c, queryError("INVALID_FIELD", q, n.Pos, "Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to "+
			"append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", name)
	}
	f, ok := c.t.find(path[len(path)-1])
	if !ok {
		return c, queryError("INVALID_FIELD", q, n.Pos, "No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' "+
			"after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", path[len(path)-1], c.t.name)
	}
	c.f = f
	return c, nil
}

func queryError(code, q string, pos int, format string, args ...any) error {
	e := &soql.Error{Code: code, Message: fmt.Sprintf(format, args...), Query: q, Pos: pos}
	return failure(code, e.Error())
}

// parent follows one reference; ok is false where it is null or leads nowhere.
func (o *Org) parent(t *table, ref *field, n uint64, r *row) (*table, uint64, *row, bool) {
	id := string(text(t.value(ref, n, r)))
	if len(id) < 15 {
		return nil, 0, nil, false
	}
	next, ok := o.prefixes[id[:3]]
	if !ok {
		return nil, 0, nil, false
	}
	m, found := next.at(id)
	if found == nil || found.state == gone || found.state == pending {
		return nil, 0, nil, false
	}
	return next, m, found, true
}

// get is the column's value in a row of the query's object; nil is null.
func (c *column) get(o *Org, t *table, n uint64, r *row) []byte {
	for _, ref := range c.steps {
		var ok bool
		if t, n, r, ok = o.parent(t, ref, n, r); !ok {
			return nil
		}
	}
	f := c.f
	if len(c.steps) > 0 && t != c.t { // another of a polymorphic reference's objects
		var ok bool
		if f, ok = t.find(c.f.name); !ok {
			return nil
		}
	}
	return t.value(f, n, r)
}
