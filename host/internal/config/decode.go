package config

import (
	"encoding"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A struct that has a Default method is set by it before it is decoded; one
// that has a Validate method is asked after.
type (
	defaulter interface{ Default() }
	validator interface{ Validate() error }
)

// enum is a string type with a closed set of values.
type enum interface{ Values() []string }

// decoder turns values into Go values and collects every problem on the way.
type decoder struct {
	doc      *document
	problems Problems
	// failed has the key paths that were reported: what is checked later about
	// them would only say it again.
	failed map[string]bool
	// meant has the key paths that unknown keys were probably meant for.
	meant map[string]bool
}

func newDecoder(doc *document) *decoder {
	if doc == nil {
		doc = &document{}
	}
	return &decoder{doc: doc, failed: map[string]bool{}, meant: map[string]bool{}}
}

func (d *decoder) fail(v value, p Problem) {
	p.Path = v.path
	d.failed[v.path] = true
	d.problems = append(d.problems, d.doc.at(v, p))
}

// run decodes v into the value behind out, with its defaults and its checks.
func (d *decoder) run(v value, out any) {
	if o, ok := out.(defaulter); ok {
		o.Default()
	}
	d.decode(v, reflect.ValueOf(out).Elem())
}

// validate places what out says of itself, but for what only follows from a
// problem that was already reported.
func (d *decoder) validate(v value, out any) {
	o, ok := out.(validator)
	if !ok {
		return
	}
	var found findings
	found.under(v.path, o.Validate())
	invalid := map[string]bool{}
	for _, p := range found.problems {
		missing := p.Code == CodeMissingKey && d.meant[p.Path]
		doubtful := p.needs != "" && (d.excused(p.needs) || d.meant[p.needs] || invalid[p.needs])
		if missing || doubtful || d.excused(p.Path) {
			continue
		}
		invalid[p.Path] = true
		d.problems = append(d.problems, d.place(v.find(p.Path), p))
	}
}

// place fills the place of v into what a Validate method says of it, or of what
// it lacks. Where v came by a reference a quote of it is replaced.
func (d *decoder) place(v value, p Problem) Problem {
	p.needs = ""
	if text, ok := d.doc.text[v.node]; ok && v.path == p.Path {
		p.What = strings.ReplaceAll(p.What, strconv.Quote(text.Reveal()), d.quote(v))
		if strings.HasSuffix(p.What, "is empty") {
			p.What += ": " + strings.Join(references(v.node.Value), ", ")
		}
	}
	return d.doc.at(v, p)
}

// excused reports whether the value at path, or one that holds it, was reported.
func (d *decoder) excused(path string) bool {
	for path != "" {
		if d.failed[path] {
			return true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return false
}

// decode sets out from v. Nothing, or null, leaves a mapping or a list as it is.
func (d *decoder) decode(v value, out reflect.Value) {
	if v.isNull() {
		d.null(v, out)
		return
	}
	switch o := out.Addr().Interface().(type) {
	case *Section:
		d.section(v, o)
		return
	case *Secret:
		if text, ok := d.text(v, out); ok {
			*o = NewSecret(text)
		}
		return
	case *Path:
		d.path(v, o)
		return
	case encoding.TextUnmarshaler:
		// A type with keys may be written as a text or as a mapping.
		if v.node.Kind == yaml.ScalarNode || !isStruct(out) || len(fieldsOf(out.Type())) == 0 {
			d.unmarshalText(v, out)
			return
		}
	}
	switch out.Kind() {
	case reflect.Pointer:
		d.pointer(v, out)
	case reflect.Struct:
		d.mapping(v, out)
	case reflect.Map:
		d.table(v, out)
	case reflect.Slice:
		d.list(v, out)
	default:
		d.scalar(v, out)
	}
}

// null decodes nothing, or a key without a value: an empty mapping or list, but
// no text and no number.
func (d *decoder) null(v value, out reflect.Value) {
	if d.isUnset(v) {
		return
	}
	section, ok := out.Addr().Interface().(*Section)
	switch {
	case ok:
		*section = Section{doc: d.doc, at: v}
	case v.node != nil && isScalar(out):
		d.fail(v, Problem{Code: CodeWrongValue, What: "has no value", Hint: "give it " + wanted(out) + ", or remove the key"})
	case isStruct(out):
		empty := &yaml.Node{Kind: yaml.MappingNode, Tag: tagMap}
		if v.node != nil {
			empty.Line, empty.Column = v.node.Line, v.node.Column
		}
		v.node = empty
		d.mapping(v, out)
	}
}

func isStruct(v reflect.Value) bool { return v.Kind() == reflect.Struct }

// isScalar reports whether out is written as one text, number or boolean.
func isScalar(out reflect.Value) bool {
	switch out.Addr().Interface().(type) {
	case *Section:
		return false
	case *Secret, encoding.TextUnmarshaler:
		return true
	}
	switch out.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer:
		return false
	}
	return true
}

func (d *decoder) section(v value, out *Section) {
	if v.node.Kind != yaml.MappingNode {
		d.mismatch(v, reflect.ValueOf(out).Elem())
		return
	}
	*out = Section{doc: d.doc, at: v}
}

func (d *decoder) path(v value, out *Path) {
	text, ok := d.text(v, reflect.ValueOf(out).Elem())
	if !ok {
		return
	}
	path, p := resolvePath(d.doc.dir, text)
	if p != nil {
		d.fail(v, *p)
		return
	}
	*out = path
	d.show(v)
}

// unmarshalText lets out's own method read the text; out keeps its value where
// that fails.
func (d *decoder) unmarshalText(v value, out reflect.Value) {
	if v.node.Kind != yaml.ScalarNode {
		d.mismatch(v, out)
		return
	}
	if d.isUnset(v) {
		return
	}
	read := reflect.New(out.Type())
	read.Elem().Set(out)
	err := read.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(d.doc.textOf(v.node)))
	if err == nil {
		out.Set(read.Elem())
		d.show(v)
		return
	}
	// The error may quote the text, which must not be shown where it came by a
	// reference.
	p := Problem{Code: CodeWrongValue, What: err.Error()}
	if _, from := d.doc.text[v.node]; from {
		p.What = d.quote(v) + " is not " + wanted(out)
	} else {
		errors.As(err, &p)
	}
	d.fail(v, p)
}

func (d *decoder) pointer(v value, out reflect.Value) {
	if out.IsNil() {
		out.Set(d.fresh(out.Type().Elem()).Addr())
	}
	d.decode(v, out.Elem())
}

// fresh returns a new value of a type, with its defaults.
func (d *decoder) fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if o, ok := v.Interface().(defaulter); ok {
		o.Default()
	}
	return v.Elem()
}

func (d *decoder) list(v value, out reflect.Value) {
	if v.node.Kind != yaml.SequenceNode {
		d.mismatch(v, out)
		return
	}
	all := reflect.MakeSlice(out.Type(), 0, len(v.node.Content))
	for m := range v.members() {
		item := d.fresh(out.Type().Elem())
		d.decode(m, item)
		all = reflect.Append(all, item)
	}
	out.Set(all)
}

// named decodes a mapping into a list of structs: each key is the Name of one.
func (d *decoder) named(v value, out reflect.Value) {
	if v.isNull() {
		return
	}
	if v.node.Kind != yaml.MappingNode {
		d.fail(v, Problem{Code: CodeWrongType, What: "want a mapping of names, got " + kindOf(v.node)})
		return
	}
	all := reflect.MakeSlice(out.Type(), 0, len(v.node.Content)/2)
	for m := range v.members() {
		item := d.fresh(out.Type().Elem())
		item.FieldByName("Name").SetString(m.key.Value)
		d.decode(m, item)
		all = reflect.Append(all, item)
	}
	out.Set(all)
}

func (d *decoder) table(v value, out reflect.Value) {
	if v.node.Kind != yaml.MappingNode {
		d.mismatch(v, out)
		return
	}
	all := reflect.MakeMap(out.Type())
	for m := range v.members() {
		item := d.fresh(out.Type().Elem())
		d.decode(m, item)
		all.SetMapIndex(reflect.ValueOf(m.key.Value).Convert(out.Type().Key()), item)
	}
	out.Set(all)
}

func (d *decoder) mapping(v value, out reflect.Value) {
	if v.node.Kind != yaml.MappingNode {
		d.mismatch(v, out)
		return
	}
	fields := fieldsOf(out.Type())
	known := slices.Clone(v.also)
	left := &yaml.Node{Kind: yaml.MappingNode, Tag: tagMap, Line: v.node.Line, Column: v.node.Column}
	rest := slices.IndexFunc(fields, func(f field) bool { return f.rest })
	for i, f := range fields {
		if i != rest {
			known = append(known, f.name)
		}
		if s, ok := out.FieldByIndex(f.index).Addr().Interface().(*Section); ok {
			*s = Section{doc: d.doc, at: v.absent(f.name)}
		}
	}
	for m := range v.members() {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == m.key.Value && !f.rest })
		switch {
		case i >= 0 && fields[i].named:
			d.named(m, out.FieldByIndex(fields[i].index))
		case i >= 0:
			d.decode(m, out.FieldByIndex(fields[i].index))
		case rest >= 0:
			left.Content = append(left.Content, m.key, m.node)
		default:
			d.unknown(v, m, known)
		}
	}
	if rest >= 0 {
		at := value{node: left, key: v.key, path: v.path, also: known}
		out.FieldByIndex(fields[rest].index).Set(reflect.ValueOf(Section{doc: d.doc, at: at}))
	}
}

func (d *decoder) unknown(in, m value, known []string) {
	if near := nearest(m.key.Value, known); near != "" {
		d.meant[joinPath(in.path, near)] = true
	}
	d.fail(value{node: m.key, path: m.path}, Problem{Code: CodeUnknownKey, What: "unknown key", Hint: Suggest(m.key.Value, known)})
}

// field is a key of a struct.
type field struct {
	name  string
	index []int
	omit  bool // omitempty: not rendered while it is zero
	rest  bool // a Section that takes the keys no other field has
	named bool // a list of structs, written as a mapping by their Name
}

// fieldsOf returns the keys of a struct type: the fields with a yaml tag, whose
// options are omitempty and inline (of an embedded struct). What YAML knows
// nothing of is in a config tag: rest and named.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("yaml")
		name, option, _ := strings.Cut(tag, ",")
		rest := sf.Tag.Get("config") == "rest"
		switch {
		case option == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				all = append(all, f)
			}
		case tagged && name != "-" || rest:
			all = append(all, field{name: name, index: sf.Index, omit: option == "omitempty", rest: rest, named: sf.Tag.Get("config") == "named"})
		}
	}
	return all
}
