package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema"
)

// PlanError is why a tracking plan cannot be used: all that is known to be
// wrong, in the order of its lines.
type PlanError []PlanProblem

// PlanProblem is one thing wrong with a tracking plan.
type PlanProblem struct {
	File    string
	Line    int    // from 1; 0: the file as a whole
	Key     string // path of keys, such as events.Order Completed.schema
	Message string
	Hint    string // what to do about it; empty where Message says it
}

func (e PlanError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (p PlanProblem) String() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
	}
	if p.Key != "" {
		s += ": " + p.Key
	}
	s += ": " + p.Message
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// LoadPlan reads a tracking plan, YAML or JSON, and compiles its schemas. The
// error is a PlanError that tells all problems.
//
// A schema is inline, or the path of a JSON file relative to the plan. Its $ref
// may name files in the plan's folder, or in its own where it is outside of
// that, and the published schemas.
func LoadPlan(path string) (*Plan, error) {
	l := &planLoader{path: path, plan: &Plan{
		events: make(map[string]Checker), calls: make(map[event.Type]Checker),
	}}
	if root := l.read(); root != nil {
		l.top(root)
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b PlanProblem) int { return a.Line - b.Line })
		return nil, l.problems
	}
	return l.plan, nil
}

type planLoader struct {
	path     string
	plan     *Plan
	problems PlanError
}

func (l *planLoader) problem(line int, key, format string, args ...any) {
	l.problems = append(l.problems, PlanProblem{File: l.path, Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
}

// hinted is problem with a remedy.
func (l *planLoader) hinted(line int, key, message, hint string) {
	l.problem(line, key, "%s", message)
	l.problems[len(l.problems)-1].Hint = hint
}

// read parses the file; nil: it cannot be.
func (l *planLoader) read() *yaml.Node {
	data, err := os.ReadFile(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.hinted(0, "", "there is no such file", "write the tracking plan, or name the file that has it")
		return nil
	case errors.Is(err, fs.ErrPermission):
		l.hinted(0, "", "no permission to read it", "let the user that runs wellhead read it")
		return nil
	case err != nil:
		l.problem(0, "", "%v", errors.Unwrap(err))
		return nil
	}
	root, p := config.ParseYAML(data)
	if p == nil {
		return root
	}
	if p.Code == config.CodeFile {
		p.Hint = "it wants events:, identify:, group:, page:, screen: or unplanned:"
	}
	l.hinted(p.Line, "", p.What, p.Hint)
	return nil
}

// top reads the plan's own keys.
func (l *planLoader) top(root *yaml.Node) {
	l.each(root, "", "events, identify, group, page, screen, unplanned", func(key string, value *yaml.Node) bool {
		switch key {
		case "events":
			l.each(value, key, "", func(name string, value *yaml.Node) bool {
				l.plan.events[name] = l.entry(value, []string{key, name}, "properties")
				return true
			})
		case "identify", "group":
			l.plan.calls[event.Type(key)] = l.entry(value, []string{key}, "traits")
		case "page", "screen":
			l.plan.calls[event.Type(key)] = l.entry(value, []string{key}, "properties")
		case "unplanned":
			l.plan.refuseUnplanned = value.Value == "refuse"
			if value.Kind != yaml.ScalarNode || value.Value != "refuse" && value.Value != "allow" {
				l.problem(value.Line, key, "%s is not one of allow, refuse", written(value))
			}
		default:
			return false
		}
		return true
	})
}

// written is a value as a message shows it.
func written(value *yaml.Node) string {
	if value.Kind != yaml.ScalarNode {
		return "what stands there"
	}
	return fmt.Sprintf("%.80q", value.Value)
}

// entry reads {schema: …} and makes the checker of an event's member; nil:
// there is no schema.
func (l *planLoader) entry(node *yaml.Node, key []string, member string) Checker {
	var found Checker
	l.each(node, strings.Join(key, "."), "schema", func(name string, value *yaml.Node) bool {
		if name == "schema" {
			found = l.schema(value, append(slices.Clone(key), name), member)
		}
		return name == "schema"
	})
	return found
}

// each calls do for every key of a mapping. do tells whether it knows the key;
// known lists those that it does, for the message.
func (l *planLoader) each(node *yaml.Node, key, known string, do func(name string, value *yaml.Node) bool) {
	node = resolve(node)
	if node.ShortTag() == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		l.problem(node.Line, key, "must be a mapping of keys to values")
		return
	}
	seen := make(map[string]int)
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i], resolve(node.Content[i+1])
		at := strings.TrimPrefix(key+"."+name.Value, ".")
		if line, twice := seen[name.Value]; twice {
			l.problem(name.Line, at, "is there already, in line %d", line)
			continue
		}
		seen[name.Value] = name.Line
		if name.Kind != yaml.ScalarNode {
			l.problem(name.Line, key, "a key must be plain text")
		} else if !do(name.Value, value) {
			l.problem(name.Line, at, "unknown key; known here: %s", known)
		}
	}
}

// schema compiles a schema: inline, or the file that node names.
func (l *planLoader) schema(node *yaml.Node, key []string, member string) Checker {
	dotted := strings.Join(key, ".")
	folder := filepath.Dir(l.path)
	name := filepath.Base(l.path) + pointerOf(key)
	var raw []byte
	var err error
	file := node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str"
	if file {
		folder, name = schemaFile(folder, node.Value)
		raw, err = os.ReadFile(filepath.Join(folder, name))
		name = filepath.ToSlash(name)
	} else {
		raw, err = yamlToJSON(node)
	}
	if err != nil {
		l.problem(node.Line, dotted, "%v", err)
		return nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		l.problem(node.Line, dotted, "%v", err)
		return nil
	}
	defer func() { _ = root.Close() }()
	compiled, err := schema.Compile(name, raw, root.FS())
	var problems schema.Error
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			line := node.Line
			if p.File == name && !file {
				line = lineAt(node, p.Pointer)
			}
			l.problem(line, dotted, "%v", p)
		}
		return nil
	case err != nil:
		l.problem(node.Line, dotted, "%v", err)
		return nil
	}
	return partChecker{schema: compiled, member: member}
}

// schemaFile finds the folder that a schema file's references are held to, and
// the file's path in it.
func schemaFile(planFolder, file string) (folder, name string) {
	file = filepath.FromSlash(file)
	if filepath.IsLocal(file) {
		return planFolder, filepath.Clean(file)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(planFolder, file)
	}
	return filepath.Dir(file), filepath.Base(file)
}

// pointerOf writes keys as the part of a schema's name that follows its file.
func pointerOf(key []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	s := "#"
	for _, k := range key {
		s += "/" + escape.Replace(k)
	}
	return s
}
