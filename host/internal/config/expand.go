package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// expander finds what references stand for.
type expander struct {
	doc      *document
	env      func(name string) (string, bool)
	readFile func(path string) ([]byte, error)
	problems Problems
}

// expand resolves the references in every text at and below v.
func (e *expander) expand(v value) {
	if v.node.Kind != yaml.ScalarNode {
		for m := range v.members() {
			e.expand(m)
		}
		return
	}
	if v.node.Tag != tagString || !strings.Contains(v.node.Value, "${") {
		return
	}
	text, problems := e.text(v.node.Value)
	e.doc.text[v.node] = NewSecret(text)
	for _, p := range problems {
		p.Path = v.path
		p = e.doc.at(v, p)
		e.problems = append(e.problems, p)
		e.doc.unset[v.path] = append(e.doc.unset[v.path], p)
	}
}

// text resolves the references in s, from left to right and once: what they
// stand for is taken as it is.
func (e *expander) text(s string) (string, Problems) {
	var out strings.Builder
	var problems Problems
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			out.WriteString(s)
			return out.String(), problems
		}
		if start > 0 && s[start-1] == '$' {
			out.WriteString(s[:start-1] + "${")
			s = s[start+2:]
			continue
		}
		out.WriteString(s[:start])
		name, rest, closed := strings.Cut(s[start+2:], "}")
		if !closed {
			return out.String(), append(problems, Problem{Code: CodeBadReference,
				What: `"${" is not closed`, Hint: `add the "}", or write "$${" for a literal "${"`})
		}
		text, p := e.reference(name)
		if p != nil {
			problems = append(problems, *p)
		}
		out.WriteString(text)
		s = rest
	}
}

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// references names the variables and files that a text refers to.
func references(text string) []string {
	var names []string
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reference returns what stands between the braces stands for.
func (e *expander) reference(name string) (string, *Problem) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return e.file(path)
	}
	if !variableName.MatchString(name) {
		p := &Problem{Code: CodeBadReference, What: fmt.Sprintf("%q is neither a variable nor a file", "${"+name+"}"),
			Hint: `write "${NAME}" or "${file:path}", or "$${" for a literal "${"`}
		if strings.Contains(name, ":-") {
			p.Hint = "there are no defaults here: set the variable"
		}
		return "", p
	}
	text, ok := e.env(name)
	switch {
	case !ok:
		return "", &Problem{Code: CodeMissingVariable, What: "the environment has no " + name, Hint: "set it before the start, or take it from a file with ${file:path}"}
	case !utf8.ValidString(text):
		return "", &Problem{Code: CodeMissingVariable, What: "the environment's " + name + " is not UTF-8 text"}
	}
	return text, nil
}

func (e *expander) file(path string) (string, *Problem) {
	missing := func(what, hint string) (string, *Problem) {
		return "", &Problem{Code: CodeMissingFile, What: what, Hint: hint}
	}
	if path == "" {
		return "", &Problem{Code: CodeBadReference, What: `"${file:}" names no file`, Hint: `write "${file:path}"`}
	}
	resolved, p := resolvePath(e.doc.dir, path)
	if p != nil {
		return missing(fmt.Sprintf("the path in %q: %s", "${file:"+path+"}", p.What), p.Hint)
	}
	data, err := e.readFile(string(resolved))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint := ""
		if !filepath.IsAbs(path) {
			hint = "paths are relative to the config file's folder"
		}
		return missing("there is no file "+string(resolved), hint)
	case errors.Is(err, fs.ErrPermission):
		return missing("no permission to read "+string(resolved), "let the user that runs wellhead read it")
	case err != nil:
		return missing("reading "+string(resolved)+": "+err.Error(), "")
	case !utf8.Valid(data):
		return missing(string(resolved)+" is not UTF-8 text", "")
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}
