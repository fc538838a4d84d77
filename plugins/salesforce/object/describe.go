// Package object knows what a Salesforce object is: its fields and their JSON
// Schema, and what one of its records becomes. The same record gives the same
// bytes whether it was read by REST, by the Bulk API or again after a change
// event, so that the same state has the same messageId.
//
// It does no I/O and knows nothing of syncs in time.
package object

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
)

// maxFields bounds a describe. Salesforce allows 800 custom fields and some
// hundred standard ones.
const maxFields = 5000

// Object is what a describe tells of an object, as far as reading it goes.
type Object struct {
	Name          string  `json:"name"`
	Label         string  `json:"label"`
	Queryable     bool    `json:"queryable"`
	Replicateable bool    `json:"replicateable"` // getDeleted knows it
	Fields        []Field `json:"fields"`
}

// Field is one field of an object.
type Field struct {
	Name         string   `json:"name"`
	Label        string   `json:"label"`
	Type         string   `json:"type"`
	Length       int      `json:"length"`
	Help         string   `json:"inlineHelpText"`
	Calculated   bool     `json:"calculated"`
	Formula      string   `json:"calculatedFormula"`
	Compound     string   `json:"compoundFieldName"`
	ReferenceTo  []string `json:"referenceTo"`
	Relationship string   `json:"relationshipName"`
	Filterable   bool     `json:"filterable"`
	Picklist     []struct {
		Value  string `json:"value"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
}

// Parse reads a describe. Fields of types that it does not know are kept.
func Parse(describe []byte) (*Object, error) {
	var o Object
	if err := json.Unmarshal(describe, &o); err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if !client.ValidName(o.Name) {
		return nil, fmt.Errorf("describe: %.80q is no name of an object", o.Name)
	}
	if len(o.Fields) > maxFields {
		return nil, fmt.Errorf("describe of %s: %d fields, at most %d", o.Name, len(o.Fields), maxFields)
	}
	o.Fields = slices.DeleteFunc(o.Fields, func(f Field) bool { return !client.ValidName(f.Name) })
	slices.SortFunc(o.Fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	o.Fields = slices.CompactFunc(o.Fields, func(a, b Field) bool { return a.Name == b.Name })
	return &o, nil
}

// ParseGlobal reads the describe of the org and returns the objects that can be
// queried on their own.
func ParseGlobal(describe []byte) ([]Object, error) {
	var g struct {
		Objects []struct {
			Object
			Hidden bool `json:"deprecatedAndHidden"`
		} `json:"sobjects"`
	}
	if err := json.Unmarshal(describe, &g); err != nil {
		return nil, fmt.Errorf("describe of the org: %w", err)
	}
	var out []Object
	for _, o := range g.Objects {
		if o.Queryable && !o.Hidden && !strings.HasSuffix(o.Name, "ChangeEvent") && !restricted[o.Name] && client.ValidName(o.Name) {
			out = append(out, o.Object)
		}
	}
	return out, nil
}

// restricted objects answer queries only with a filter on a parent, or on one
// record.
var restricted = map[string]bool{
	"ActivityHistory": true, "AggregateResult": true, "AppTabMember": true, "AttachedContentDocument": true, "ColorDefinition": true,
	"CombinedAttachment": true, "ContentDocumentLink": true, "ContentFolderItem": true, "ContentFolderMember": true,
	"DataStatistics": true, "DatacloudAddress": true, "EmailStatus": true, "EntityParticle": true, "FieldDefinition": true,
	"FieldHistoryArchive": true, "FlexQueueItem": true, "FlowVariableView": true, "FlowVersionView": true, "IconDefinition": true,
	"IdeaComment": true, "ListViewChartInstance": true, "Name": true, "NoteAndAttachment": true, "OpenActivity": true,
	"OutgoingEmail": true, "OutgoingEmailRelation": true, "OwnerChangeOptionInfo": true, "PicklistValueInfo": true,
	"PlatformAction": true, "ProcessInstanceHistory": true, "RelationshipDomain": true, "RelationshipInfo": true,
	"SearchLayout": true, "SiteDetail": true, "UserEntityAccess": true, "UserFieldAccess": true, "UserRecordAccess": true, "Vote": true,
}

// Field returns a field by its API name, nil where there is none.
func (o *Object) Field(name string) *Field {
	i, ok := slices.BinarySearchFunc(o.Fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return nil
	}
	return &o.Fields[i]
}

// Clock returns the field by which changes of the object are found, the best
// that it has; empty: none, and only the whole object can be read.
func (o *Object) Clock() string {
	for _, name := range []string{"SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime"} {
		if f := o.Field(name); f != nil && f.Type == "datetime" && f.Filterable {
			return name
		}
	}
	return ""
}

// Digest is the same for two describes that read the same.
func (o *Object) Digest() string {
	h := sha256.New()
	for _, f := range o.Fields {
		fmt.Fprintf(h, "%s %s %s %t\n", f.Name, f.Type, f.Compound, f.Calculated)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Schema returns the JSON Schema of the traits or properties that a record of
// the object becomes when its sync names no fields.
func (o *Object) Schema() json.RawMessage {
	properties := map[string]any{}
	for i := range o.Fields {
		f := &o.Fields[i]
		if o.byDefault(f) {
			properties[f.Name] = o.fieldSchema(f)
		}
	}
	b, err := json.Marshal(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": o.Label,
		"type": "object", "properties": properties, "required": []string{"Id"},
	})
	if err != nil {
		return json.RawMessage(`{}`) // strings, numbers and maps always encode
	}
	return b
}

func (o *Object) fieldSchema(f *Field) map[string]any {
	s := map[string]any{"title": f.Label}
	describe := func(text string) {
		if text == "" {
			return
		}
		if d, ok := s["description"].(string); ok {
			text = d + "\n" + text
		}
		s["description"] = text
	}
	describe(f.Help)
	if f.Calculated {
		s["x-calculated"] = true
		if f.Formula != "" {
			describe("Formula: " + f.Formula)
		}
	}
	kind := kindOf(f.Type)
	// nillable tells what a user may leave empty, not what a record may lack.
	nullable := func(t string) []string {
		if f.Name == "Id" {
			return []string{t}
		}
		return []string{t, "null"}
	}
	switch kind {
	case kindBool:
		s["type"] = nullable("boolean")
	case kindInt:
		s["type"] = nullable("integer")
	case kindNumber:
		s["type"] = nullable("number")
	case kindMulti:
		s["type"], s["items"] = nullable("array"), map[string]any{"type": "string"}
	case kindCompound:
		members := map[string]any{}
		for _, c := range o.components(f) {
			members[c.member] = map[string]any{"type": []string{memberType(c.field), "null"}}
		}
		s["type"], s["properties"] = nullable("object"), members
	default:
		s["type"] = nullable("string")
		textSchema(s, f)
	}
	return s
}

func memberType(f *Field) string {
	if kindOf(f.Type) == kindNumber {
		return "number"
	}
	return "string"
}

func textSchema(s map[string]any, f *Field) {
	switch f.Type {
	case "id", "reference":
		s["pattern"] = "^[A-Za-z0-9]{15,18}$"
		if len(f.ReferenceTo) > 0 {
			s["x-referenceTo"] = f.ReferenceTo
		}
		return
	case "date":
		s["format"] = "date"
		return
	case "datetime":
		s["format"] = "date-time"
		return
	case "email", "url":
		s["x-format"] = f.Type // old records hold what is none
	case "picklist":
		// Inactive values survive in records, so they are an annotation.
		var values []string
		for _, v := range f.Picklist {
			values = append(values, v.Value)
		}
		if len(values) > 0 {
			s["x-values"] = values
		}
		return
	}
	if f.Length > 0 {
		s["maxLength"] = f.Length
	}
}

// byDefault reports whether a sync that names no fields tells this one. The
// parts of an address are told within it; binary contents are not read; when
// the connected user last looked at a record is not about the record; and
// IsDeleted and MasterRecordId become events of their own.
func (o *Object) byDefault(f *Field) bool {
	switch f.Name {
	case "IsDeleted", "MasterRecordId", "LastViewedDate", "LastReferencedDate":
		return false
	}
	if kindOf(f.Type) == kindBinary {
		return false
	}
	if f.Compound != "" && f.Compound != f.Name {
		if c := o.Field(f.Compound); c != nil && kindOf(c.Type) == kindCompound {
			return false
		}
	}
	return kindOf(f.Type) != kindCompound || len(o.components(f)) > 0
}

// component is one part of an address or a location.
type component struct {
	member string // its name within the object, as REST answers it
	field  *Field
}

var members = []string{"street", "city", "state", "postalCode", "country", "stateCode", "countryCode", "latitude", "longitude", "geocodeAccuracy"}

// components returns the parts of a compound field, in the order of their
// names within it. Salesforce answers the whole only by REST, so the parts are
// asked for everywhere.
func (o *Object) components(f *Field) []component {
	var out []component
	for i := range o.Fields {
		c := &o.Fields[i]
		if c.Compound != f.Name || c.Name == f.Name || kindOf(c.Type) == kindCompound {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(c.Name, "__s"), "__c")
		best := ""
		for _, m := range members {
			if len(m) > len(best) && len(name) >= len(m) && strings.EqualFold(name[len(name)-len(m):], m) {
				best = m
			}
		}
		if best != "" {
			out = append(out, component{member: best, field: c})
		}
	}
	slices.SortFunc(out, func(a, b component) int { return strings.Compare(a.member, b.member) })
	return out
}

// Nearest returns the one of names that is closest to name, or "".
func Nearest(name string, names []string) string {
	best, least := "", len(name)/2+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := last
			if a[i] != b[j] {
				d = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

func (o *Object) names() []string {
	out := make([]string, len(o.Fields))
	for i := range o.Fields {
		out[i] = o.Fields[i].Name
	}
	return out
}
