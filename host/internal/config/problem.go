package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Codes of problems. They are stable: scripts match on them.
const (
	CodeFile               = "file"                // the file is missing, unreadable or empty
	CodeYAML               = "yaml"                // not YAML, or YAML of a kind that is refused
	CodeTooLarge           = "too_large"           // a bound on the file, its depth or its aliases
	CodeUnknownKey         = "unknown_key"         // nobody reads this key
	CodeDuplicateKey       = "duplicate_key"       // a key given twice in one mapping
	CodeMissingKey         = "missing_key"         // a key that must be given
	CodeWrongType          = "wrong_type"          // a list where a mapping belongs, …
	CodeWrongValue         = "wrong_value"         // of the right type, but not allowed
	CodeBadName            = "bad_name"            // the name of a plugin, source or destination
	CodeBadReference       = "bad_reference"       // a ${…} that is neither a variable nor a file
	CodeMissingVariable    = "missing_variable"    // ${NAME} is not in the environment
	CodeMissingFile        = "missing_file"        // ${file:…} cannot be read
	CodeUnknownPlugin      = "unknown_plugin"      // a source names a plugin that is not configured
	CodeUnknownDestination = "unknown_destination" // a source names a destination that is not configured
	CodeConflict           = "conflict"            // two entries claim the same thing
	CodeUnsupported        = "unsupported"         // understood, but not offered yet
)

// Problem is one thing that is wrong with a config, at its place. It is also
// what a Validate or an UnmarshalText method returns, with no place: whoever
// knows the file fills it in.
type Problem struct {
	File   string `json:"file,omitempty"`   // as it was named to Load
	Line   int    `json:"line,omitempty"`   // from 1; 0: no place in the file
	Column int    `json:"column,omitempty"` // from 1; 0: unknown
	// Path is the key path, such as sources.website.destinations[1]; empty is
	// the whole file. From Validate it is relative to the validated value.
	Path string `json:"path"`
	Code string `json:"code"`
	// What is wrong, as it reads after "path: ". It never holds a secret, nor
	// what a reference stands for.
	What string `json:"what"`
	// Hint is what to do about it; empty where What says it.
	Hint string `json:"hint,omitempty"`
	// Warning marks what works and is probably not meant.
	Warning bool `json:"warning,omitempty"`

	// needs is the path of what was compared with; where that is itself in
	// error the comparison means nothing and the problem is dropped.
	needs string
}

// Error is file:line:column: path: what; hint [code], without the parts that
// are not known.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
			if p.Column > 0 {
				fmt.Fprintf(&b, ":%d", p.Column)
			}
		}
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Code != "" {
		b.WriteString(" [" + p.Code + "]")
	}
	return b.String()
}

// Problems is everything that is wrong with a config.
type Problems []Problem

// Error is one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, or nil where there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Errors returns those that are no warnings.
func (ps Problems) Errors() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return p.Warning })
}

// Concerning returns those that spoil what stands at a key path: they are at it,
// below it, or about the file as a whole.
func (ps Problems) Concerning(path string) Problems {
	var out Problems
	for _, p := range ps {
		rest, ok := strings.CutPrefix(p.Path, path)
		if p.Path == "" || ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			out = append(out, p)
		}
	}
	return out
}

// Join gathers what several checks of one config found into one Problems, in
// the order of the file, each once; nil where all are nil. An error of another
// type becomes a problem without a place.
func Join(errs ...error) error {
	var all Problems
	for _, err := range errs {
		all = append(all, problemsOf(err)...)
	}
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.What, b.What),
		)
	})
	return slices.Compact(all).Err()
}

// problemsOf takes an error apart into problems; none for nil.
func problemsOf(err error) Problems {
	var many Problems
	var one Problem
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		for _, e := range joined.Unwrap() {
			many = append(many, problemsOf(e)...)
		}
		return many
	case errors.As(err, &many):
		return slices.Clone(many)
	case errors.As(err, &one):
		return Problems{one}
	}
	return Problems{{Code: CodeWrongValue, What: err.Error()}}
}

// findings collects what a Validate method finds.
type findings struct{ problems Problems }

func (f *findings) add(path string, p Problem) {
	p.Path = path
	f.problems = append(f.problems, p)
}

// under takes over what the Validate of a part found.
func (f *findings) under(path string, err error) {
	for _, p := range problemsOf(err) {
		p.Path = joinPath(path, p.Path)
		if p.needs != "" {
			p.needs = joinPath(path, p.needs)
		}
		f.problems = append(f.problems, p)
	}
}

// within reports a value outside [low, high].
func within[T interface {
	~int64
	fmt.Stringer
}](f *findings, path string, value, low, high T) {
	if value < low || value > high {
		f.add(path, Problem{
			Code: CodeWrongValue,
			What: fmt.Sprintf("%v is out of range", value),
			Hint: fmt.Sprintf("want %v to %v", low, high),
		})
	}
}
