package org

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Access is what the users of the org may do with an object.
type Access struct {
	// NoRead hides the object: a query of it meets INVALID_TYPE.
	NoRead bool `json:"noRead"`
	// HiddenFields are those that field-level security hides.
	HiddenFields []string `json:"hiddenFields"`
	// NoBulk refuses Bulk queries of it, as of objects that Bulk does not know.
	NoBulk bool `json:"noBulk"`
}

// SetAccess changes what users may do; it replaces what was set before.
func (o *Org) SetAccess(object string, a Access) error {
	return o.alter(object, func(t *table, _ []*field) (*shape, error) {
		for _, name := range a.HiddenFields {
			if _, ok := t.byName[strings.ToLower(name)]; !ok {
				return nil, failure("INVALID_FIELD", "no such field: "+name)
			}
		}
		t.access = a
		next := t.with(t.fields, o.Now())
		for _, f := range next.fields {
			f.hidden = slices.ContainsFunc(a.HiddenFields, func(h string) bool { return strings.EqualFold(h, f.name) })
		}
		return next, nil
	})
}

// alter replaces an object's shape with the one that change makes, which gets a
// copy of the list of fields to work on.
func (o *Org) alter(object string, change func(t *table, fields []*field) (*shape, error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, err := o.table(object)
	if err != nil {
		return err
	}
	next, err := change(t, slices.Clone(t.fields))
	if err == nil {
		t.shape = next
	}
	return err
}

// AddObject makes a custom object; it gets the audit fields, Name and OwnerId
// beside those given.
func (o *Org) AddObject(name, keyPrefix string, fields ...Field) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.tables[strings.ToLower(name)]; ok || len(keyPrefix) != 3 || o.prefixes[keyPrefix] != nil {
		return failure("DUPLICATE_DEVELOPER_NAME", "the object or its key prefix is in use, or the prefix is not of three characters: "+name+" "+keyPrefix)
	}
	all := []Field{{Name: "Name", Type: "string", Length: 80}, {Name: "OwnerId", Label: "Owner ID", Type: "reference", ReferenceTo: []string{"User"}, RelationshipName: "Owner"}}
	for _, f := range fields {
		all = slices.DeleteFunc(all, func(have Field) bool { return have.Name == f.Name })
		all = append(all, f)
	}
	o.addTable(newShape(objectMeta(name, keyPrefix), describes(all), o.Now()))
	return nil
}

// AlterObject sets flags of an object's describe, such as queryable and
// replicateable, which the org then acts by.
func (o *Org) AlterObject(object string, flags map[string]any) error {
	return o.alter(object, func(t *table, fields []*field) (*shape, error) {
		next := t.with(fields, o.Now())
		maps.Copy(next.meta, flags)
		return next, nil
	})
}

// AddField gives an object a field; no row has a value of it, nor moves its
// SystemModstamp.
func (o *Org) AddField(object string, f Field) error {
	return o.alter(object, func(t *table, fields []*field) (*shape, error) {
		if _, ok := t.byName[strings.ToLower(f.Name)]; ok {
			return nil, failure("DUPLICATE_DEVELOPER_NAME", "the field exists: "+f.Name)
		}
		t.slots++
		return t.with(append(fields, newField(f.describe(), t.slots-1)), o.Now()), nil
	})
}

// RemoveField takes a field and its values away.
func (o *Org) RemoveField(object, name string) error {
	return o.alter(object, func(t *table, fields []*field) (*shape, error) {
		f, ok := t.byName[strings.ToLower(name)]
		if !ok || f.system != stored {
			return nil, failure("INVALID_FIELD", "no such field, or one that stays: "+name)
		}
		fields = slices.DeleteFunc(fields, func(have *field) bool { return have == f })
		return t.with(fields, o.Now()), nil
	})
}

// RetypeField changes a field's type. Values that cannot be of the new one are
// lost; no SystemModstamp moves.
func (o *Org) RetypeField(object, name, typ string) error {
	return o.alter(object, func(t *table, fields []*field) (*shape, error) {
		was, ok := t.byName[strings.ToLower(name)]
		if !ok || was.system != stored {
			return nil, failure("INVALID_FIELD", "no such field, or one whose type stays: "+name)
		}
		f := Field{Name: was.name, Label: str(was.meta["label"]), Type: typ, ReferenceTo: was.targets, RelationshipName: was.relation}
		t.slots++
		now := newField(f.describe(), t.slots-1)
		fields[slices.Index(fields, was)] = now
		t.convert(was, now)
		return t.with(fields, o.Now()), nil
	})
}

// convert copies one field's values to another's slot.
func (t *table) convert(from, to *field) {
	all := make([][]byte, t.slots)
	for i := range t.rows {
		r := &t.rows[i]
		unpack(r.data, all)
		if all[from.slot] == nil {
			continue
		}
		v := decode(all[from.slot])
		if n, ok := v.(json.Number); ok && soqlTypes[to.typ] == "" {
			v = n.String()
		}
		raw, err := encode(to, v)
		if err != nil {
			raw = nil
		}
		all[to.slot], all[from.slot] = raw, nil
		r.data = pack(all)
	}
}
