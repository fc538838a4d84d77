package fast

import (
	"encoding/json"
	"math/big"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// sortsOf are the sorts of each type that a schema can name.
var sortsOf = map[string]uint8{
	"null": 1 << null, "boolean": 1<<isFalse | 1<<isTrue, "integer": 1 << integer, "number": numbers,
	"string": 1 << text, "array": 1 << array, "object": 1 << object,
}

const numbers = 1<<integer | 1<<fraction

// ofAll adds what holds whatever the value is.
func (n *nodeBuilder) ofAll(s *jsonschema.Schema, bit uint64) {
	if len(s.Types) > 0 {
		var allowed uint8
		for _, t := range s.Types {
			allowed |= sortsOf[t]
		}
		n.fail(every&^allowed, bit)
	}
	if len(s.Constant) > 0 {
		n.oneOf(s.Constant[:1], bit)
	}
	if len(s.Enum) > 0 {
		n.oneOf(s.Enum, bit)
	}
}

// oneOf adds that the value is one of several.
func (n *nodeBuilder) oneOf(all []any, bit uint64) {
	var found uint8
	var texts []string
	var decimals []decimal
	for _, v := range all {
		switch v := v.(type) {
		case nil:
			found |= 1 << null
		case bool:
			if v {
				found |= 1 << isTrue
			} else {
				found |= 1 << isFalse
			}
		case string:
			texts = append(texts, v)
		case json.Number:
			r, ok := new(big.Rat).SetString(v.String())
			if !ok {
				n.cannot(numbers)
				continue
			}
			d, ok := decimalOf(r)
			if !ok {
				n.cannot(numbers)
			}
			decimals = append(decimals, d)
		case []any:
			found |= 1 << array
			n.cannot(1 << array)
		case map[string]any:
			found |= 1 << object
			n.cannot(1 << object)
		default:
			n.cannot(every)
		}
	}
	if len(decimals) > 0 {
		found |= numbers
		n.node.numbers = append(n.node.numbers, numberCheck{op: numberIn, oneOf: decimals, bit: bit})
	}
	if len(texts) > 0 {
		found |= 1 << text
		n.allowed = append(n.allowed, allowed{texts, bit})
	}
	n.fail(every&^found, bit)
}

// allowed are the strings that a schema allows, and no others.
type allowed struct {
	texts []string
	bit   uint64
}

// finishTexts puts together which strings the schemas allow.
func (n *nodeBuilder) finishTexts() {
	w := &n.node.words
	all := make(map[string]uint64)
	for _, a := range n.allowed {
		w.others |= a.bit
		for _, text := range a.texts {
			all[text] = 0
		}
	}
	for text := range all {
		for _, a := range n.allowed {
			if !slices.Contains(a.texts, text) {
				all[text] |= a.bit
			}
		}
	}
	if len(all) >= manyWords {
		w.many = all
	} else {
		for _, text := range sorted(all) {
			w.few = append(w.few, word{text, all[text]})
		}
	}
	n.node.readsTexts = len(n.allowed) > 0 || len(n.node.texts) > 0
}

// ofTexts adds what holds of strings.
func (n *nodeBuilder) ofTexts(s *jsonschema.Schema, bit uint64) {
	if s.MinLength != -1 || s.MaxLength != -1 {
		n.node.texts = append(n.node.texts, textCheck{op: lengthIs, min: s.MinLength, max: n.bound(s.MaxLength, 1<<text), bit: bit})
	}
	if s.Format != "" {
		if surely := formats[s.Format]; surely != nil {
			n.node.texts = append(n.node.texts, textCheck{op: hasFormat, surely: surely, bit: bit})
		} else if jsonschema.Formats[s.Format] != nil {
			n.cannot(1 << text)
		}
	}
	if s.Pattern != nil {
		n.node.texts = append(n.node.texts, textCheck{op: matches, pattern: s.Pattern, bit: bit})
	}
	if s.ContentEncoding != "" || s.ContentMediaType != "" || s.ContentSchema != nil {
		n.cannot(1 << text)
	}
}

// bound reads an upper bound as v5 has it: -1 is none. Less is what became of a
// number that is too large, and nothing is within that.
func (n *nodeBuilder) bound(limit int, of uint8) int {
	if limit < -1 {
		n.cannot(of)
	}
	return limit
}

// ofNumbers adds what holds of numbers.
func (n *nodeBuilder) ofNumbers(s *jsonschema.Schema, bit uint64) {
	for _, c := range []struct {
		op    numberOp
		limit *big.Rat
	}{
		{atLeast, s.Minimum}, {moreThan, s.ExclusiveMinimum}, {atMost, s.Maximum}, {lessThan, s.ExclusiveMaximum},
		{multipleOf, s.MultipleOf},
	} {
		if c.limit == nil {
			continue
		}
		limit, ok := decimalOf(c.limit)
		if !ok {
			n.cannot(numbers)
			continue
		}
		n.node.numbers = append(n.node.numbers, numberCheck{op: c.op, limit: limit, bit: bit})
	}
}

// ofArrays looks for what the program does not know of arrays.
func (n *nodeBuilder) ofArrays(s *jsonschema.Schema) {
	if s.Contains != nil || s.UnevaluatedItems != nil {
		n.cannot(1 << array)
	}
}

// finishArray adds what holds of items.
func (n *nodeBuilder) finishArray() {
	rules, longest := &arrayRules{}, 0
	for _, a := range n.list {
		s := a.schema
		if s.MinItems != -1 || s.MaxItems != -1 {
			rules.counts = append(rules.counts, countCheck{min: s.MinItems, max: n.bound(s.MaxItems, 1<<array), bit: a.bit})
		}
		if s.UniqueItems {
			rules.unique |= a.bit
		}
		longest = max(longest, len(s.PrefixItems))
		if items, ok := s.Items.([]*jsonschema.Schema); ok {
			longest = max(longest, len(items))
			if more, ok := s.AdditionalItems.(bool); ok && !more {
				rules.counts = append(rules.counts, countCheck{max: len(items), bit: a.bit})
			}
		}
	}
	if longest > maxFirst {
		n.cannot(1 << array)
		return
	}
	for i := range longest {
		rules.first = append(rules.first, n.child(n.itemsAt(i), nil))
	}
	rules.rest = n.child(n.itemsAt(longest), nil)
	if longest > 0 || rules.rest.node != anything || rules.counts != nil || rules.unique != 0 {
		n.node.array = rules
	}
}

// maxFirst is the most items that a schema may say different things of.
const maxFirst = 64

// itemsAt are the schemas of the item with index i.
func (n *nodeBuilder) itemsAt(i int) []applied {
	var all []applied
	add := func(s *jsonschema.Schema, bit uint64) {
		if s != nil {
			all = append(all, applied{s, bit})
		}
	}
	for _, a := range n.list {
		s := a.schema
		switch items := s.Items.(type) {
		case *jsonschema.Schema:
			add(items, a.bit)
		case []*jsonschema.Schema:
			if i < len(items) {
				add(items[i], a.bit)
			} else if more, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
				add(more, a.bit)
			}
		}
		if i < len(s.PrefixItems) {
			add(s.PrefixItems[i], a.bit)
		} else {
			add(s.Items2020, a.bit)
		}
	}
	return all
}

// ofObjects adds what holds of objects, but for their members.
func (n *nodeBuilder) ofObjects(s *jsonschema.Schema, bit uint64) {
	if s.RegexProperties || s.UnevaluatedProperties != nil {
		n.cannot(1 << object)
	}
	if len(s.Required) > 0 {
		n.needs = append(n.needs, need{s.Required, bit})
	}
	for _, name := range sorted(s.DependentRequired) {
		n.dependent(name, n.all(s.DependentRequired[name]), bit)
	}
	for _, name := range sorted(s.DependentSchemas) {
		n.dependent(name, n.judged(s.DependentSchemas[name]), bit)
	}
	for _, name := range sorted(s.Dependencies) {
		switch d := s.Dependencies[name].(type) {
		case []string:
			n.dependent(name, n.all(d), bit)
		case *jsonschema.Schema:
			n.dependent(name, n.judged(d), bit)
		}
	}
}

// dependent adds that an object which has a member must hold other.
func (n *nodeBuilder) dependent(name string, other, bit uint64) {
	there := n.all([]string{name})
	n.fail(every&^(1<<object), there)
	n.rule(thenHolds, there, other, bit)
}

// all gives a bit to the members that may be missing of an object.
func (n *nodeBuilder) all(names []string) uint64 {
	bit := n.alternative()
	n.needs = append(n.needs, need{names, bit})
	return bit
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
