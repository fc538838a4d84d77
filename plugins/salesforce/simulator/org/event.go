package org

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
)

// eventSchema is how an object's change events are written, and under which id
// a subscriber finds that.
type eventSchema struct {
	id, text string
	avro     avro.Schema
	// fields are those after ChangeEventHeader, in their order.
	fields []eventField
}

// eventField is a field of an event: one of the object's, or a compound one with
// its parts below.
type eventField struct {
	name  string
	of    *field
	avro  string // the branch of the union beside null
	parts []eventField
}

// header is ChangeEventHeader in Avro's words.
const header = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[` +
	`{"name":"entityName","type":"string"},{"name":"recordIds","type":{"type":"array","items":"string"}},` +
	`{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE","UNDELETE","GAP_CREATE","GAP_UPDATE","GAP_DELETE","GAP_UNDELETE","GAP_OVERFLOW","SNAPSHOT"]}},` +
	`{"name":"changeOrigin","type":"string"},{"name":"transactionKey","type":"string"},{"name":"sequenceNumber","type":"int"},` +
	`{"name":"commitTimestamp","type":"long"},{"name":"commitNumber","type":"long"},{"name":"commitUser","type":"string"},` +
	`{"name":"nulledFields","type":{"type":"array","items":"string"}},{"name":"diffFields","type":{"type":"array","items":"string"}},` +
	`{"name":"changedFields","type":{"type":"array","items":"string"}}]}}`

// namespace is that of Salesforce's records.
const namespace = "com.sforce.eventbus"

// eventName is what an object's change events are called: Thing__ChangeEvent for
// Thing__c.
func eventName(object string) string {
	if base, custom := strings.CutSuffix(object, "__c"); custom {
		return base + "__ChangeEvent"
	}
	return object + "ChangeEvent"
}

// events is the schema of an object's change events, made once a shape.
func (s *shape) events() (*eventSchema, error) {
	s.once.Do(func() { s.event, s.eventErr = newEventSchema(s) })
	return s.event, s.eventErr
}

// newEventSchema leaves out what change events do not have: formulas, the id,
// which is in the header, IsDeleted and SystemModstamp, and what is hidden.
func newEventSchema(s *shape) (*eventSchema, error) {
	e := &eventSchema{}
	for _, f := range s.fields {
		switch {
		case f.calculated, f.hidden, f.system == sysID, f.system == sysIsDeleted, f.system == sysSystemModstamp, s.partOf(f) != nil:
			continue
		}
		e.fields = append(e.fields, s.eventField(f))
	}
	names := map[string]bool{}
	members := []string{header}
	for _, f := range e.fields {
		members = append(members, f.schema(names))
	}
	e.text = fmt.Sprintf(`{"type":"record","name":"%s","namespace":"%s","fields":[%s]}`, eventName(s.name), namespace, strings.Join(members, ","))
	sum := sha256.Sum256([]byte(e.text))
	e.id = base64.RawURLEncoding.EncodeToString(sum[:16])
	var err error
	e.avro, err = avro.ParseWithCache(e.text, "", &avro.SchemaCache{})
	return e, err
}

// partOf is the compound field that an event shows f inside of.
func (s *shape) partOf(f *field) *field {
	whole, ok := s.byName[strings.ToLower(str(f.meta["compoundFieldName"]))]
	if !ok || whole == f || whole.system != compound && !s.person(whole) {
		return nil
	}
	return whole
}

// person reports whether f is the Name that is made of a first and a last name.
func (s *shape) person(f *field) bool { return f.name == "Name" && s.byName["lastname"] != nil }

func (s *shape) eventField(f *field) eventField {
	out := eventField{name: f.name, of: f, avro: avroTypes[f.typ]}
	switch {
	case f.system == compound:
		out.avro = namespace + ".Address"
	case s.person(f):
		out.avro = namespace + ".PersonName"
	case out.avro == "":
		out.avro = "string"
	}
	for _, p := range s.fields {
		if strings.HasPrefix(out.avro, namespace) && s.partOf(p) == f && !p.hidden {
			part := s.eventField(p)
			part.name = strings.TrimPrefix(p.name, strings.TrimSuffix(f.name, "Address"))
			out.parts = append(out.parts, part)
		}
	}
	if out.parts == nil && strings.HasPrefix(out.avro, namespace) {
		out.avro = "string"
	}
	return out
}

// avroTypes are of the describe's types; string is that of all others.
var avroTypes = map[string]string{"boolean": "boolean", "int": "int", "long": "long", "double": "double", "currency": "double", "percent": "double",
	"date": "long", "datetime": "long", "time": "long"}

// schema is the field in Avro's words; names are the records that the schema has
// defined so far.
func (f *eventField) schema(names map[string]bool) string {
	typ := `"` + f.avro + `"`
	if f.parts != nil && !names[f.avro] {
		names[f.avro] = true
		var parts []string
		for _, p := range f.parts {
			parts = append(parts, p.schema(names))
		}
		typ = fmt.Sprintf(`{"type":"record","name":"%s","fields":[%s]}`, strings.TrimPrefix(f.avro, namespace+"."), strings.Join(parts, ","))
	}
	doc := "Data:" + f.of.typ
	if f.of.system != stored && f.of.system != compound {
		doc = f.name + ":" + f.of.typ
	}
	return fmt.Sprintf(`{"name":"%s","type":["null",%s],"doc":"%s","default":null}`, f.name, typ, doc)
}

// encode writes a change as an event's payload.
func (e *eventSchema) encode(c *Change) ([]byte, error) {
	record := map[string]any{}
	changed, nulled := map[*field]bool{}, map[*field]bool{}
	if c.Type == "UPDATE" {
		for _, f := range c.shape.fields {
			changed[f] = f.system == sysLastModifiedDate || f.system == stored && (slices.Contains(c.Fields, f.name) || slices.Contains(c.Nulled, f.name))
			nulled[f] = slices.Contains(c.Nulled, f.name)
		}
	}
	for i := range e.fields {
		record[e.fields[i].name] = e.fields[i].value(c)
	}
	record["ChangeEventHeader"] = map[string]any{"entityName": c.Object, "recordIds": append([]string{}, c.IDs...), "changeType": c.Type,
		"changeOrigin": "com/salesforce/api/rest/67.0;client=simulator", "transactionKey": c.Tx, "sequenceNumber": max(c.sequence, 1),
		"commitTimestamp": c.Commit.UnixMilli(), "commitNumber": c.Number, "commitUser": makeID(userPrefix, uint64(max(c.row.modifiedBy, adminNumber))),
		"nulledFields": e.bitmaps(nulled), "diffFields": []string{}, "changedFields": e.bitmaps(changed)}
	return avro.Marshal(e.avro, record)
}

// value is a field as the change shows it: null where an UPDATE did not touch it
// and in all fields of a DELETE and of a gap.
func (f *eventField) value(c *Change) any {
	if c.values == nil {
		return nil
	}
	if f.parts != nil {
		parts, any := map[string]any{}, false
		for i := range f.parts {
			v := f.parts[i].value(c)
			parts[f.parts[i].name] = v
			any = any || v != nil
		}
		if !any {
			return nil
		}
		return union(f.avro, parts)
	}
	var at int64
	switch f.of.system {
	case sysLastModifiedDate:
		at = c.row.modified
	case sysLastModifiedByID:
		if c.Type == "UPDATE" {
			return nil
		}
		return union("string", makeID(userPrefix, uint64(c.row.modifiedBy)))
	case sysCreatedDate:
		at = c.row.created
	case sysCreatedByID:
		if c.Type == "UPDATE" {
			return nil
		}
		return union("string", makeID(userPrefix, uint64(c.row.createdBy)))
	default:
		if f.of.slot >= len(c.values) {
			return nil
		}
		return f.decode(c.values[f.of.slot])
	}
	if c.Type == "UPDATE" && f.of.system == sysCreatedDate {
		return nil
	}
	return union("long", at*1000)
}

func union(branch string, v any) any { return map[string]any{branch: v} }

// decode is a stored value in the Go type that its Avro type is written from.
func (f *eventField) decode(raw []byte) any {
	if raw == nil {
		return nil
	}
	v := decode(raw)
	if n, ok := v.(json.Number); ok {
		switch f.avro {
		case "int":
			i, _ := n.Int64()
			return union(f.avro, int(i))
		case "long":
			i, _ := n.Int64()
			return union(f.avro, i)
		}
		d, _ := n.Float64()
		return union(f.avro, d)
	}
	if s, ok := v.(string); ok && f.avro == "long" {
		at, err := time.Parse(map[string]string{"date": dateForm, "time": timeForm}[f.of.typ], s)
		if f.of.typ == "datetime" {
			at, err = parseDateTime(s), nil
		}
		if err != nil {
			return nil
		}
		if f.of.typ == "time" {
			return union(f.avro, at.Sub(at.Truncate(24*time.Hour)).Milliseconds())
		}
		return union(f.avro, at.UnixMilli())
	}
	return union(f.avro, v)
}

// bitmaps tells fields as change events do: bit i of a hexadecimal number is the
// i-th field of the schema, and what is inside of a compound field follows with
// that field's index and a dash before (facts 3.6: python/util/ChangeEventHeaderUtility.py).
func (e *eventSchema) bitmaps(set map[*field]bool) []string {
	var top []int
	var nested []string
	for i, f := range e.fields {
		if f.parts == nil {
			if set[f.of] {
				top = append(top, i+1) // ChangeEventHeader is field 0
			}
			continue
		}
		var bits []int
		for j, p := range f.parts {
			if set[p.of] {
				bits = append(bits, j)
			}
		}
		if bits != nil {
			nested = append(nested, fmt.Sprintf("%d-%s", i+1, bitmap(bits)))
		}
	}
	out := []string{}
	if top != nil {
		out = append(out, bitmap(top))
	}
	return append(out, nested...)
}

func bitmap(bits []int) string {
	b := make([]byte, slices.Max(bits)/8+1)
	for _, i := range bits {
		b[len(b)-1-i/8] |= 1 << (i % 8)
	}
	return fmt.Sprintf("0x%X", b)
}
