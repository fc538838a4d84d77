package config

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Redacted renders the config as it holds, defaults included, as YAML without
// secrets. A Secret is "[redacted]". A section's text is shown only once its
// owner has decoded it into something else than a Secret; a reference in a
// section is shown as it was written, never what it stands for.
func (c *Config) Redacted() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(renderStruct(reflect.ValueOf(c).Elem())); err != nil {
		return nil, fmt.Errorf("render config: %w", err)
	}
	return out.Bytes(), nil
}

func renderStruct(v reflect.Value) *yaml.Node {
	out := mappingNode()
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		switch {
		case f.omit && isZero(fv):
		case f.rest:
			out.Content = append(out.Content, render(fv).Content...)
		case f.named:
			entries := mappingNode()
			for i := range fv.Len() {
				entry := fv.Index(i)
				entries.Content = append(entries.Content, textNode(entry.FieldByName("Name").String()), render(entry))
			}
			out.Content = append(out.Content, textNode(f.name), entries)
		default:
			out.Content = append(out.Content, textNode(f.name), render(fv))
		}
	}
	return out
}

func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

func render(v reflect.Value) *yaml.Node {
	switch o := v.Interface().(type) {
	case Section:
		return o.redacted()
	case fmt.Stringer:
		return textNode(o.String())
	}
	switch v.Kind() {
	case reflect.Struct:
		return renderStruct(v)
	case reflect.Pointer:
		return render(v.Elem())
	case reflect.Slice:
		out := &yaml.Node{Kind: yaml.SequenceNode, Tag: tagList}
		for i := range v.Len() {
			out.Content = append(out.Content, render(v.Index(i)))
		}
		return out
	case reflect.Map:
		out := mappingNode()
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, key := range keys {
			out.Content = append(out.Content, textNode(key.String()), render(v.MapIndex(key)))
		}
		return out
	case reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagBool, Value: strconv.FormatBool(v.Bool())}
	case reflect.Int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagInt, Value: strconv.FormatInt(v.Int(), 10)}
	}
	return textNode(v.String())
}

func mappingNode() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: tagMap} }

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: s}
}

func (s Section) redacted() *yaml.Node {
	if s.at.isNull() {
		return mappingNode()
	}
	s.doc.mu.Lock()
	defer s.doc.mu.Unlock()
	return s.doc.redact(s.at.node)
}

var (
	oneReference = regexp.MustCompile(`^\$\{[^}]*\}$`)
	urlPassword  = regexp.MustCompile(`(://[^/@\s:]*):[^/@\s]*@`)
)

// redact copies a section's node without what might be secret. The caller holds
// d.mu.
func (d *document) redact(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		out := &yaml.Node{Kind: n.Kind, Tag: n.Tag}
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				out.Content = append(out.Content, textNode(child.Value))
			} else {
				out.Content = append(out.Content, d.redact(child))
			}
		}
		return out
	}
	switch {
	case n.Tag != tagString:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.Tag, Value: n.Value}
	case d.public[n]:
		return textNode(urlPassword.ReplaceAllString(n.Value, "$1:"+redacted+"@"))
	case oneReference.MatchString(n.Value):
		return textNode(n.Value)
	}
	return textNode(redacted)
}
