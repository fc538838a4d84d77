package org

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// shape is what an object's describe said between two changes of it. It is
// never written to once it is in use: a change makes another.
type shape struct {
	name, prefix string
	// meta is the describe without its fields.
	meta   map[string]any
	fields []*field
	// byName finds fields by their names in lower case, byRelation those that
	// refer to a parent by their relationship's.
	byName, byRelation map[string]*field
	// changed is when the describe last changed, for If-Modified-Since.
	changed time.Time

	// event is made when it is first asked for.
	once     sync.Once
	event    *eventSchema
	eventErr error
}

// field is one entry of a describe, and where its value is.
type field struct {
	meta      map[string]any
	name, typ string
	// system says which column of a row holds it, slot which stored value; a
	// compound field has neither and is made of its parts.
	system   system
	slot     int
	relation string
	targets  []string
	parts    []part
	// hidden is true of a field that field-level security takes from the user.
	hidden     bool
	calculated bool
}

// part is one component of a compound field and its key in the JSON object.
type part struct {
	key  string
	from *field
}

// system is a field that is not among a row's stored values.
type system int

const (
	stored system = iota
	sysID
	sysIsDeleted
	sysCreatedDate
	sysCreatedByID
	sysLastModifiedDate
	sysLastModifiedByID
	sysSystemModstamp
	compound
)

var systems = map[string]system{"id": sysID, "isdeleted": sysIsDeleted, "createddate": sysCreatedDate, "createdbyid": sysCreatedByID,
	"lastmodifieddate": sysLastModifiedDate, "lastmodifiedbyid": sysLastModifiedByID, "systemmodstamp": sysSystemModstamp}

// Field is a field to add to an object, in the words of a describe.
type Field struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	// Type is a describe's: string, double, datetime, reference, …
	Type string `json:"type"`
	// Length is of text, in characters; Precision and Scale are of numbers, in
	// digits. Zero means Salesforce's usual.
	Length    int `json:"length"`
	Precision int `json:"precision"`
	Scale     int `json:"scale"`
	// Calculated makes a formula field: only SetFormula changes its values.
	Calculated       bool     `json:"calculated"`
	ReferenceTo      []string `json:"referenceTo"`
	RelationshipName string   `json:"relationshipName"`
}

// soapTypes are of the describe's types; xsd:string is that of all others.
var soapTypes = map[string]string{"id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "long": "xsd:long", "double": "xsd:double",
	"currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime", "time": "xsd:time", "base64": "xsd:base64Binary",
	"anyType": "xsd:anyType", "address": "urn:address", "location": "urn:location", "json": "tns:json"}

// describe is the field as describe tells it, with every key that a recorded
// one has.
func (f Field) describe() map[string]any {
	soap := soapTypes[f.Type]
	if soap == "" {
		soap = "xsd:string"
	}
	if f.Length == 0 {
		switch f.Type {
		case "id", "reference":
			f.Length = 18
		case "string", "phone", "email", "url", "picklist", "textarea", "combobox", "encryptedstring", "multipicklist":
			f.Length = 255
		}
	}
	if f.Precision == 0 && slices.Contains([]string{"double", "currency", "percent"}, f.Type) {
		f.Precision = 18
	}
	relation := any(nil)
	if f.RelationshipName != "" {
		relation = f.RelationshipName
	}
	label := f.Label
	if label == "" {
		label = strings.ReplaceAll(strings.TrimSuffix(f.Name, "__c"), "_", " ")
	}
	filterable := f.Type != "address" && f.Type != "location" && f.Type != "base64" && f.Length <= 255
	writable := !f.Calculated && systems[strings.ToLower(f.Name)] == stored
	digits := 0
	if f.Type == "int" || f.Type == "long" {
		digits = max(f.Precision, 9)
	}
	return map[string]any{
		"aggregatable": filterable, "aiPredictionField": false, "autoNumber": false, "byteLength": f.Length * 3, "calculated": f.Calculated,
		"calculatedFormula": nil, "cascadeDelete": false, "caseSensitive": false, "compoundFieldName": nil, "controllerName": nil,
		"createable": writable, "custom": strings.HasSuffix(f.Name, "__c"), "defaultValue": nil, "defaultValueFormula": nil,
		"defaultedOnCreate": !writable || f.Type == "boolean" || f.Name == "OwnerId", "dependentPicklist": false, "deprecatedAndHidden": false, "digits": digits,
		"displayLocationInDecimal": false, "encrypted": f.Type == "encryptedstring", "externalId": false, "extraTypeInfo": nil,
		"filterable": filterable, "filteredLookupInfo": nil, "formulaTreatNullNumberAsZero": false, "groupable": filterable && f.Type != "double",
		"highScaleNumber": false, "htmlFormatted": false, "idLookup": f.Type == "id", "inlineHelpText": nil, "label": label,
		"length": f.Length, "mask": nil, "maskType": nil, "name": f.Name, "nameField": f.Name == "Name", "namePointing": false,
		"nillable": f.Type != "boolean" && systems[strings.ToLower(f.Name)] == stored, "permissionable": writable, "picklistValues": []any{},
		"polymorphicForeignKey": len(f.ReferenceTo) > 1, "precision": f.Precision, "queryByDistance": false,
		"referenceTargetField": nil, "referenceTo": append([]string{}, f.ReferenceTo...), "relationshipName": relation, "relationshipOrder": nil,
		"restrictedDelete": false, "restrictedPicklist": false, "scale": f.Scale, "searchPrefilterable": false,
		"soapType": soap, "sortable": filterable, "type": f.Type, "unique": false, "updateable": writable, "writeRequiresMasterRead": false,
	}
}

// audit are the fields that every object of the simulator has.
var audit = []Field{
	{Name: "Id", Label: "Record ID", Type: "id"},
	{Name: "IsDeleted", Label: "Deleted", Type: "boolean"},
	{Name: "CreatedDate", Label: "Created Date", Type: "datetime"},
	{Name: "CreatedById", Label: "Created By ID", Type: "reference", ReferenceTo: []string{"User"}, RelationshipName: "CreatedBy"},
	{Name: "LastModifiedDate", Label: "Last Modified Date", Type: "datetime"},
	{Name: "LastModifiedById", Label: "Last Modified By ID", Type: "reference", ReferenceTo: []string{"User"}, RelationshipName: "LastModifiedBy"},
	{Name: "SystemModstamp", Label: "System Modstamp", Type: "datetime"},
}

// newShape makes an object's first shape of a describe and its fields, and adds
// the audit fields that it lacks.
func newShape(meta map[string]any, fields []map[string]any, now time.Time) *shape {
	s := &shape{name: str(meta["name"]), prefix: str(meta["keyPrefix"]), meta: meta, changed: now}
	for _, m := range fields {
		s.fields = append(s.fields, newField(m, len(s.fields)))
	}
	for _, f := range audit {
		if !slices.ContainsFunc(s.fields, func(have *field) bool { return have.name == f.Name }) {
			s.fields = append(s.fields, newField(f.describe(), len(s.fields)))
		}
	}
	s.index()
	return s
}

func newField(meta map[string]any, slot int) *field {
	f := &field{meta: meta, name: str(meta["name"]), typ: str(meta["type"]), slot: slot, relation: str(meta["relationshipName"])}
	f.calculated, _ = meta["calculated"].(bool)
	f.system = systems[strings.ToLower(f.name)]
	if f.typ == "address" || f.typ == "location" {
		f.system = compound
	}
	switch targets := meta["referenceTo"].(type) {
	case []string:
		f.targets = targets
	case []any:
		for _, t := range targets {
			f.targets = append(f.targets, str(t))
		}
	}
	return f
}

// index builds what follows from the fields.
func (s *shape) index() {
	s.byName, s.byRelation = map[string]*field{}, map[string]*field{}
	for _, f := range s.fields {
		s.byName[strings.ToLower(f.name)] = f
		if f.relation != "" {
			s.byRelation[strings.ToLower(f.relation)] = f
		}
	}
	for _, f := range s.fields {
		if f.system == compound {
			f.parts = s.components(f)
		}
	}
}

func (s *shape) components(of *field) []part {
	var out []part
	for _, f := range s.fields {
		if str(f.meta["compoundFieldName"]) != of.name || f == of {
			continue
		}
		key := strings.TrimPrefix(f.name, strings.TrimSuffix(of.name, "Address"))
		if key == f.name && of.name != "Address" {
			continue
		}
		out = append(out, part{key: strings.ToLower(key[:1]) + key[1:], from: f})
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.key, b.key) })
	return out
}

// with is the next shape: these fields instead of its own.
func (s *shape) with(fields []*field, now time.Time) *shape {
	next := &shape{name: s.name, prefix: s.prefix, meta: maps.Clone(s.meta), changed: now}
	for _, f := range fields {
		c := *f
		next.fields = append(next.fields, &c)
	}
	next.index()
	return next
}

// find is the field that the user may see under this name.
func (s *shape) find(name string) (*field, bool) {
	f, ok := s.byName[strings.ToLower(name)]
	return f, ok && !f.hidden
}

// is reports whether the describe says so of the object.
func (s *shape) is(flag string) bool {
	v, _ := s.meta[flag].(bool)
	return v
}

// describe is the answer of sobjects/NAME/describe for an API version.
func (s *shape) describe(version string) ([]byte, error) {
	out := maps.Clone(s.meta)
	fields := []map[string]any{}
	for _, f := range s.fields {
		if !f.hidden {
			fields = append(fields, f.meta)
		}
	}
	out["fields"] = fields
	out["urls"] = s.urls(version)
	b, err := marshal(out)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", s.name, err)
	}
	return b, nil
}

// global is the object's entry in the answer of sobjects.
func (s *shape) global(version string) map[string]any {
	out := map[string]any{"associateEntityType": nil, "associateParentEntity": nil}
	for _, k := range []string{"activateable", "associateEntityType", "associateParentEntity", "createable", "custom", "customSetting", "deepCloneable",
		"deletable", "deprecatedAndHidden", "feedEnabled", "hasSubtypes", "isInterface", "isSubtype", "keyPrefix", "label", "labelPlural", "layoutable",
		"mergeable", "mruEnabled", "name", "queryable", "replicateable", "retrieveable", "searchable", "triggerable", "undeletable", "updateable"} {
		if v, ok := s.meta[k]; ok {
			out[k] = v
		}
	}
	out["urls"] = s.urls(version)
	return out
}

func (s *shape) urls(version string) map[string]string {
	base := "/services/data/v" + version + "/sobjects/" + s.name
	return map[string]string{"sobject": base, "describe": base + "/describe", "rowTemplate": base + "/{ID}"}
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
