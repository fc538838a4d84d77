package schema

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	// maxViolations is the most that Check returns, the last of which then says
	// how many more there are. Alternatives count once.
	maxViolations = 1000
	// maxMessage is the most bytes of a message: messages quote the document.
	maxMessage = 512
	// maxPath is the most bytes of a violation's path. What would have a longer
	// one is named by the nearest value above it.
	maxPath = 1 << 10
	// falseSchema is what the library says where a schema is false.
	falseSchema = "not allowed"
)

// violations makes violations of what the library found. Of very many only
// those that are kept are made: they cost far more than what they are made of.
func (s *Schema) violations(ve *jsonschema.ValidationError) []event.Violation {
	found := leaves(nil, ve)
	more := 0
	if len(found) > maxViolations {
		slices.SortFunc(found, func(a, b *jsonschema.ValidationError) int {
			return cmp.Or(cmp.Compare(a.InstanceLocation, b.InstanceLocation),
				cmp.Compare(a.AbsoluteKeywordLocation, b.AbsoluteKeywordLocation), cmp.Compare(a.Message, b.Message))
		})
		more = len(found) - (maxViolations - 1)
		found = found[:maxViolations-1]
	}
	vs := s.convert(found)
	if more > 0 {
		vs = append(vs, event.Violation{Code: event.CodeSchema, Message: fmt.Sprintf("and %d more violations", more)})
	}
	return vs
}

// leaves appends the errors that have no cause of use to a reader, and those of
// alternatives, whose causes are judged together.
func leaves(to []*jsonschema.ValidationError, ve *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(ve.Causes) == 0 || isAlternatives(ve) || strings.HasSuffix(ve.KeywordLocation, "/minContains") {
		return append(to, ve)
	}
	for _, cause := range ve.Causes {
		to = leaves(to, cause)
	}
	return to
}

func isAlternatives(ve *jsonschema.ValidationError) bool {
	return ve.Message == "anyOf failed" || ve.Message == "oneOf failed"
}

// convert makes violations of leaves.
func (s *Schema) convert(found []*jsonschema.ValidationError) []event.Violation {
	vs := make([]event.Violation, 0, len(found))
	for _, ve := range found {
		if isAlternatives(ve) {
			vs = append(vs, s.alternatives(ve)...)
		} else {
			vs = append(vs, s.violation(ve))
		}
	}
	return sorted(vs)
}

func (s *Schema) violation(ve *jsonschema.ValidationError) event.Violation {
	name, pointer := s.locate(ve.AbsoluteKeywordLocation)
	return event.Violation{
		Code:    event.CodeSchema,
		Path:    clipPath(unescapeURL(ve.InstanceLocation)),
		Keyword: keywordAt(pointer, ve.Message == falseSchema),
		Message: message(ve),
		Schema:  name,
	}
}

// alternatives tells why none of the branches of an anyOf or oneOf fits. Where
// the document is clearly meant for one of them, only that one's complaints are
// of use.
func (s *Schema) alternatives(ve *jsonschema.ValidationError) []event.Violation {
	whole := s.violation(ve)
	var meant [][]event.Violation
	all := make([][]event.Violation, len(ve.Causes))
	for i, branch := range ve.Causes {
		found := s.convert(leaves(nil, branch))
		all[i] = found
		if !slices.ContainsFunc(found, func(v event.Violation) bool { return tellsApart(v, whole.Path) }) {
			meant = append(meant, found)
		}
	}
	if len(meant) == 1 {
		return meant[0]
	}
	if text, ok := mergedTypes(all); ok {
		whole.Message = text
		return []event.Violation{whole}
	}
	if path, text, ok := mergedValues(all, whole.Path); ok {
		whole.Path, whole.Message = path, text
		return []event.Violation{whole}
	}
	texts := make([]string, len(all))
	for i, found := range all {
		first := found[0]
		texts[i] = fmt.Sprintf("(%d) %s", i+1, first.Message)
		if first.Path != whole.Path {
			texts[i] = fmt.Sprintf("(%d) %s: %s", i+1, strings.TrimPrefix(first.Path, whole.Path), first.Message)
		}
		if more := len(found) - 1; more > 0 {
			texts[i] += fmt.Sprintf(" and %d more", more)
		}
	}
	whole.Message = clip("fits none of the alternatives: " + strings.Join(texts, "; "))
	return []event.Violation{whole}
}

// tellsApart tells whether a violation shows that the document at path is not
// meant for this branch: it is of another type, or a member of it, such as a
// kind, has another fixed value.
func tellsApart(v event.Violation, path string) bool {
	switch v.Keyword {
	case "type":
		return v.Path == path
	case "const", "enum":
		below := strings.TrimPrefix(v.Path, path)
		return strings.Count(below, "/") <= 1
	}
	return false
}

// mergedTypes makes one message of branches that differ only in the type that
// they ask for.
func mergedTypes(branches [][]event.Violation) (string, bool) {
	var wanted []string
	var got string
	for _, found := range branches {
		rest, ok := strings.CutPrefix(found[0].Message, "expected ")
		want, have, cut := strings.Cut(rest, ", but got ")
		if len(found) != 1 || found[0].Keyword != "type" || !ok || !cut || got != "" && have != got {
			return "", false
		}
		wanted, got = append(wanted, want), have
	}
	return "expected " + strings.Join(wanted, " or ") + ", but got " + got, true
}

// mergedValues makes one message of branches that are told apart by the value
// of one member, none of which the document has.
func mergedValues(branches [][]event.Violation, below string) (path, text string, ok bool) {
	var wanted []string
	for i, found := range branches {
		at := slices.IndexFunc(found, func(v event.Violation) bool {
			return v.Keyword != "type" && tellsApart(v, below)
		})
		if at < 0 || i > 0 && found[at].Path != path {
			return "", "", false
		}
		path = found[at].Path
		rest, fixed := strings.CutPrefix(found[at].Message, "value must be ")
		if !fixed {
			return "", "", false
		}
		wanted = append(wanted, strings.TrimPrefix(rest, "one of "))
	}
	return path, clip("value must be one of " + strings.Join(wanted, ", ")), true
}

// locate names the schema, and the place in it, of a location that the library
// gives as a URL.
func (s *Schema) locate(location string) (name, pointer string) {
	base, pointer, _ := strings.Cut(location, "#")
	pointer = unescapeURL(pointer)
	name, ok := s.names[base]
	if !ok {
		name = base
	}
	return joinName(name, pointer), pointer
}

// keywordAt finds the keyword that refuses in its place in the schema.
func keywordAt(pointer string, falseSchema bool) string {
	tokens := strings.Split(pointer, "/")
	n := len(tokens)
	last := tokens[n-1]
	if n < 3 {
		return last
	}
	switch parent := tokens[n-2]; parent {
	case "properties", "patternProperties", "prefixItems", "dependentSchemas":
		if falseSchema {
			return parent // last is a name
		}
	}
	switch grand := tokens[n-3]; grand {
	case "dependentRequired", "dependencies":
		if _, err := strconv.Atoi(last); err == nil {
			return grand // of dependentRequired/NAME/0
		}
	}
	return last
}

// message makes the library's message fit for reading: bounded, and always the
// same for the same fault.
func message(ve *jsonschema.ValidationError) string {
	switch text := ve.Message; {
	case text == "not failed":
		return "fits the schema that it must not fit"
	case text == falseSchema:
		return "must not be there"
	case strings.HasPrefix(text, "valid must be "):
		return "the number of items that fit contains" + strings.TrimPrefix(text, "valid")
	case strings.HasPrefix(text, "additionalProperties "):
		names := quotedNames(text)
		slices.Sort(names)
		return clip("members that the schema does not know: " + strings.Join(names, ", "))
	default:
		return clip(text)
	}
}

// quotedNames finds the 'names' of a message, with their quotes.
func quotedNames(text string) []string {
	var names []string
	start := -1
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '\'' && start < 0:
			start = i
		case text[i] == '\'':
			names = append(names, text[start:i+1])
			start = -1
		}
	}
	return names
}

// sorted puts violations in a fixed order: the library finds them in the random
// order of maps. The same one found twice is kept once.
func sorted(vs []event.Violation) []event.Violation {
	slices.SortFunc(vs, func(a, b event.Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Keyword, b.Keyword),
			cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(vs)
}

// clip cuts a message to maxMessage bytes, never within a character.
func clip(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// clipPath cuts a path to maxPath bytes, before a token.
func clipPath(path string) string {
	if len(path) <= maxPath {
		return path
	}
	return path[:strings.LastIndexByte(path[:maxPath+1], '/')]
}

// unescapeURL undoes the percent-encoding that the library adds to a JSON
// Pointer. A slash within a token is ~1 by then.
func unescapeURL(pointer string) string {
	if s, err := url.PathUnescape(pointer); err == nil {
		return s
	}
	return pointer
}
