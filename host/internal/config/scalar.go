package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func (d *decoder) scalar(v value, out reflect.Value) {
	switch out.Kind() {
	case reflect.String:
		if text, ok := d.text(v, out); ok {
			d.string(v, out, text)
		}
	case reflect.Bool:
		if text, ok := d.plain(v, out, tagBool); ok {
			text = strings.ToLower(text)
			if text != "true" && text != "false" {
				d.mismatch(v, out)
				return
			}
			out.SetBool(text == "true")
		}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint16:
		if text, ok := d.plain(v, out, tagInt); ok {
			d.integer(v, out, text)
		}
	case reflect.Float64:
		if text, ok := d.plain(v, out, tagInt, tagFloat); ok {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
				d.mismatch(v, out)
				return
			}
			out.SetFloat(f)
		}
	default:
		panic(fmt.Sprintf("config: cannot decode %s into a %s", v.path, out.Type()))
	}
}

func (d *decoder) string(v value, out reflect.Value, text string) {
	if e, ok := out.Interface().(enum); ok && !slices.Contains(e.Values(), text) {
		d.fail(v, Problem{Code: CodeWrongValue, What: d.quote(v) + " is not " + wanted(out)})
		return
	}
	out.SetString(text)
	d.show(v)
}

func (d *decoder) integer(v value, out reflect.Value, text string) {
	digits := strings.ReplaceAll(text, "_", "")
	n, err := strconv.ParseInt(digits, 10, 64)
	// YAML's hexadecimal and octal forms are refused: 0100 would be 64.
	if plain := strings.TrimPrefix(digits, "-"); err != nil || len(plain) > 1 && plain[0] == '0' {
		d.mismatch(v, out)
		return
	}
	switch {
	case out.CanInt() && !out.OverflowInt(n):
		out.SetInt(n)
	case out.CanUint() && n >= 0 && !out.OverflowUint(uint64(n)):
		out.SetUint(uint64(n))
	default:
		d.fail(v, Problem{Code: CodeWrongValue, What: d.quote(v) + " is out of range"})
	}
}

// isUnset reports whether the references of v stand for nothing.
func (d *decoder) isUnset(v value) bool {
	p, unset := d.doc.unset[v.path]
	if unset {
		d.failed[v.path] = true
		d.problems = append(d.problems, p...)
	}
	return unset
}

// text returns the text of a scalar that must be one.
func (d *decoder) text(v value, out reflect.Value) (string, bool) {
	if d.isUnset(v) {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != tagString && v.node.Tag != tagTime {
		d.mismatch(v, out)
		return "", false
	}
	return d.doc.textOf(v.node), true
}

// plain returns the text of a scalar that was written with one of the tags, or
// came by a reference.
func (d *decoder) plain(v value, out reflect.Value, tags ...string) (string, bool) {
	if d.isUnset(v) {
		return "", false
	}
	if text, ok := d.doc.text[v.node]; ok {
		return text.Reveal(), true
	}
	if v.node.Kind != yaml.ScalarNode || !slices.Contains(tags, v.node.Tag) {
		d.mismatch(v, out)
		return "", false
	}
	return v.node.Value, true
}

// show remembers that the text at v is no secret.
func (d *decoder) show(v value) {
	d.doc.mu.Lock()
	defer d.doc.mu.Unlock()
	if d.doc.public == nil {
		d.doc.public = map[*yaml.Node]bool{}
	}
	d.doc.public[v.node] = true
}

// mismatch reports a value that is not of out's type.
func (d *decoder) mismatch(v value, out reflect.Value) {
	got := kindOf(v.node)
	if v.node.Kind == yaml.ScalarNode && isShown(out) {
		got = d.quote(v)
	}
	p := Problem{Code: CodeWrongType, What: "want " + wanted(out) + ", got " + got}
	_, secret := out.Addr().Interface().(*Secret)
	_, referred := d.doc.text[v.node]
	switch {
	case isStruct(out) && !isScalar(out):
		p.Hint = itsKeys(out.Type())
	case v.node.Kind != yaml.ScalarNode:
	case out.Kind() == reflect.Slice:
		p.Hint = "put it in brackets, as in [one, two]"
	case secret || out.Kind() == reflect.String:
		p.Hint = "put it in quotes"
	case !referred && v.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		p.Hint = "remove the quotes"
	}
	d.fail(v, p)
}

// isShown reports whether a wrong value in out's place may be shown: not where
// a secret was meant, nor where nobody knows.
func isShown(out reflect.Value) bool {
	if out.Kind() == reflect.Slice {
		out = reflect.New(out.Type().Elem()).Elem()
	}
	_, secret := out.Addr().Interface().(*Secret)
	return isScalar(out) && !secret
}

func itsKeys(t reflect.Type) string {
	var keys []string
	for _, f := range fieldsOf(t) {
		if !f.rest {
			keys = append(keys, f.name)
		}
	}
	if keys == nil {
		return ""
	}
	return "its keys are " + strings.Join(keys, ", ")
}

// quote is a scalar as it was written, never what a reference stands for.
func (d *decoder) quote(v value) string {
	const longest = 80
	text := v.node.Value
	if len(text) > longest {
		text = text[:longest]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text += "…"
	}
	if v.node.Tag == tagString {
		text = strconv.Quote(text)
	}
	if _, ok := d.doc.text[v.node]; ok {
		return "the value of " + text
	}
	return text
}

// wanted says what is written for a value of out's type.
func wanted(out reflect.Value) string {
	switch o := out.Addr().Interface().(type) {
	case interface{ want() string }:
		return o.want()
	case enum:
		return "one of " + strings.Join(o.Values(), ", ")
	case *Path:
		return "a path"
	case *Secret:
		return "text"
	case *Section:
		return "a mapping"
	case encoding.TextUnmarshaler:
		return "text of the right form"
	}
	switch out.Kind() {
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == tagInt || n.Tag == tagFloat:
		return "a number"
	case n.Tag == tagBool:
		return "a boolean"
	}
	return "text"
}
