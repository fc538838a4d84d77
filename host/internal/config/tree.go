package config

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Bounds on a config file. They keep a broken or hostile one from taking the
// host's memory; a config of ten thousand sources stays far below.
const (
	maxFile    = 4 * MiB
	maxDepth   = 64
	maxAliased = 100_000 // values that aliases and merge keys add to those written
)

// Tags as yaml.v3 has them on its nodes.
const (
	tagString = "!!str"
	tagInt    = "!!int"
	tagFloat  = "!!float"
	tagBool   = "!!bool"
	tagNull   = "!!null"
	tagMerge  = "!!merge"
	tagTime   = "!!timestamp"
	tagMap    = "!!map"
	tagList   = "!!seq"
)

// Tags that a file may write out. The others would need types that JSON lacks.
var writtenTags = []string{tagString, tagInt, tagFloat, tagBool, tagNull, tagMap, tagList}

// document is one parsed file: a tree without aliases and merge keys, in which
// every value is a node of its own.
type document struct {
	file string // as it was named
	dir  string // what relative paths are relative to
	root value
	// text is what the scalars that hold references stand for: a Secret, since
	// fmt calls no methods on what a Config does not export.
	text map[*yaml.Node]Secret
	// unset has what is wrong with the references of a value, by its key path.
	// A value that was refused altogether is here too.
	unset map[string]Problems

	mu sync.Mutex
	// public has the texts inside sections that their owners decoded into
	// something else than a Secret. Guarded by mu.
	public map[*yaml.Node]bool
}

// textOf returns what a scalar stands for.
func (d *document) textOf(n *yaml.Node) string {
	if text, ok := d.text[n]; ok {
		return text.Reveal()
	}
	return n.Value
}

// value is a node and where it is.
type value struct {
	node *yaml.Node // nil: absent
	key  *yaml.Node // of a member of a mapping
	path string
	also []string // keys of this mapping that others read
}

// members yields the values of a mapping or a list.
func (v value) members() iter.Seq[value] {
	return func(yield func(value) bool) {
		switch {
		case v.node == nil:
		case v.node.Kind == yaml.MappingNode:
			for pair := range slices.Chunk(v.node.Content, 2) {
				if !yield(value{node: pair[1], key: pair[0], path: joinPath(v.path, pathKey(pair[0].Value))}) {
					return
				}
			}
		case v.node.Kind == yaml.SequenceNode:
			for i, n := range v.node.Content {
				if !yield(value{node: n, path: v.path + "[" + strconv.Itoa(i) + "]"}) {
					return
				}
			}
		}
	}
}

// absent is the member of a mapping that nobody wrote; its place is the mapping's.
func (v value) absent(name string) value {
	at := v.key
	if at == nil {
		at = v.node
	}
	return value{key: at, path: joinPath(v.path, name)}
}

// isNull reports whether nothing was written, or null.
func (v value) isNull() bool {
	return v.node == nil || v.node.Kind == yaml.ScalarNode && v.node.Tag == tagNull
}

// find returns the value at a key path below v, or the nearest one above it.
func (v value) find(path string) value {
	for m := range v.members() {
		rest, ok := strings.CutPrefix(path, m.path)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return m.find(path)
		}
	}
	return v
}

// has reports whether there is a value at a key path relative to v.
func (v value) has(path string) bool {
	path = joinPath(v.path, path)
	return v.find(path).path == path
}

// point returns the value at a JSON Pointer below v, or the nearest one above it.
func (v value) point(pointer string) value {
	token, rest, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	if pointer == "" {
		return v
	}
	if rest != "" {
		rest = "/" + rest
	}
	token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	i := 0
	for m := range v.members() {
		if m.key != nil && m.key.Value == token || m.key == nil && strconv.Itoa(i) == token {
			return m.point(rest)
		}
		i++
	}
	return v
}

// at fills the place of v into a problem.
func (d *document) at(v value, p Problem) Problem {
	p.File = d.file
	n := v.node
	if v.key != nil && (n == nil || n.Kind != yaml.ScalarNode || v.isNull()) {
		n = v.key
	}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	return p
}

var plainKey = regexp.MustCompile(`^[\pL\pN_-]+$`)

// pathKey is how a key stands in a key path; a long one is cut.
func pathKey(key string) string {
	const longest = 128
	switch {
	case len(key) > longest:
		return "[" + strconv.Quote(key[:longest]) + "…]"
	case plainKey.MatchString(key):
		return key
	}
	return "[" + strconv.Quote(key) + "]"
}

func joinPath(path, next string) string {
	if path == "" || next == "" || next[0] == '[' {
		return path + next
	}
	return path + "." + next
}

// planter copies the library's tree into a document's own, without aliases and
// merge keys.
type planter struct {
	doc      *document
	problems Problems
	open     []*yaml.Node // targets of the aliases being followed
	aliased  int
}

func (p *planter) fail(v value, problem Problem) Problem {
	problem.Path = v.path
	problem = p.doc.at(v, problem)
	p.problems = append(p.problems, problem)
	return problem
}

// refuse reports v and returns the null that stands in its place.
func (p *planter) refuse(v value, problem Problem) *yaml.Node {
	p.doc.unset[v.path] = append(p.doc.unset[v.path], p.fail(v, problem))
	return nullAt(v.node)
}

func nullAt(n *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull, Line: n.Line, Column: n.Column}
}

// plant returns a copy of v's node for v's place; null where it is refused.
func (p *planter) plant(v value, depth int) *yaml.Node {
	if len(p.open) > 0 {
		if p.aliased++; p.aliased == maxAliased+1 {
			return p.refuse(v, Problem{Code: CodeTooLarge, What: fmt.Sprintf("aliases add more than %d values", maxAliased), Hint: "write them out"})
		} else if p.aliased > maxAliased+1 {
			return nullAt(v.node)
		}
	}
	if depth > maxDepth {
		return p.refuse(v, Problem{Code: CodeTooLarge, What: fmt.Sprintf("more than %d levels deep", maxDepth)})
	}
	if v.node.Style&yaml.TaggedStyle != 0 && !slices.Contains(writtenTags, v.node.Tag) {
		return p.refuse(v, Problem{Code: CodeYAML, What: fmt.Sprintf("the tag %s means nothing here", v.node.Tag), Hint: "remove it"})
	}
	switch v.node.Kind {
	case yaml.AliasNode:
		return p.alias(v, depth)
	case yaml.MappingNode:
		return p.mapping(v, depth)
	case yaml.SequenceNode:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: tagList, Line: v.node.Line, Column: v.node.Column}
		for m := range v.members() {
			list.Content = append(list.Content, p.plant(m, depth+1))
		}
		return list
	}
	n := v.node
	return &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
}

func (p *planter) alias(v value, depth int) *yaml.Node {
	target := v.node.Alias
	if slices.Contains(p.open, target) {
		return p.refuse(v, Problem{Code: CodeYAML, What: fmt.Sprintf("the alias *%s holds itself", v.node.Value)})
	}
	p.open = append(p.open, target)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	return p.plant(value{node: target, key: v.key, path: v.path}, depth)
}

func (p *planter) mapping(v value, depth int) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: tagMap, Line: v.node.Line, Column: v.node.Column}
	lines := map[string]int{} // of the keys
	var merges []value
	for m := range v.members() {
		first, twice := lines[m.key.Value]
		switch {
		case m.key.Kind != yaml.ScalarNode:
			_ = p.fail(value{node: m.key, path: v.path}, Problem{Code: CodeYAML, What: "a key must be plain text"})
		case m.key.Tag == tagMerge:
			m.path = v.path
			merges = append(merges, m)
		case twice:
			_ = p.fail(value{node: m.key, path: m.path}, Problem{Code: CodeDuplicateKey,
				What: fmt.Sprintf("given twice, first in line %d", first), Hint: "remove one"})
		default:
			lines[m.key.Value] = m.key.Line
			out.Content = append(out.Content, m.key, p.plant(m, depth+1))
		}
	}
	for _, m := range merges {
		for _, from := range p.merged(m, depth) {
			for pair := range slices.Chunk(from.Content, 2) {
				if _, has := lines[pair[0].Value]; !has {
					lines[pair[0].Value] = pair[0].Line
					out.Content = append(out.Content, pair...)
				}
			}
		}
	}
	return out
}

// merged returns the mappings that a merge key takes in.
func (p *planter) merged(m value, depth int) []*yaml.Node {
	planted := p.plant(m, depth+1)
	all := []*yaml.Node{planted}
	if planted.Kind == yaml.SequenceNode {
		all = planted.Content
	}
	for _, n := range all {
		if n.Kind != yaml.MappingNode {
			_ = p.fail(m, Problem{Code: CodeYAML, What: "a merge key takes a mapping, or a list of mappings"})
			return nil
		}
	}
	return all
}
