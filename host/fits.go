package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// codePluginSchema marks a plugin whose own schema is wrong.
const codePluginSchema = "plugin_schema"

// fits compares the plugin's config, and those of its sources, with the schemas
// that the plugin gives for them, and with what their consent needs.
func (a *ask) fits(d *wire.Description) error {
	name := string(a.spec.Name)
	errs := make([]error, 0, 2+len(a.spec.Sources))
	errs = append(errs, a.listens(d), a.section(given{
		a.conf.Plugin(name).Config, a.spec.Config, d.GetPluginSchema(),
		fmt.Sprintf("the plugin %s takes no config of its own", name),
	}))
	for i := range a.spec.Sources {
		s := &a.spec.Sources[i]
		errs = append(errs, a.section(given{
			a.sourceConfig(s.ID), s.Config, d.GetConfigSchema(),
			fmt.Sprintf("sources of the plugin %s take no config", name),
		}))
	}
	if err := config.Join(errs...); err != nil {
		return err
	}
	_, err := a.consentSettings(d)
	return err
}

// listens compares listen: with what the plugin does. A socket of systemd's takes
// the place of the one that the host would bind, and wants the key too.
func (a *ask) listens(d *wire.Description) error {
	path := "plugins." + string(a.spec.Name) + ".listen"
	switch {
	case d.GetListens() && a.spec.Listen == "":
		return a.conf.Problem(path, config.Problem{Code: config.CodeMissingKey,
			What: "is missing: the plugin takes events from clients", Hint: "add it, such as listen: 127.0.0.1:8080"})
	case !d.GetListens() && a.spec.Listen != "":
		return a.conf.Problem(path, config.Problem{Code: config.CodeUnsupported,
			What: "the plugin takes nothing from clients: nobody would answer there", Hint: "remove it"})
	}
	return nil
}

// given is a config of which a plugin has the schema.
type given struct {
	section config.Section
	json    []byte
	schema  []byte // empty: there must be no config
	none    string // says so
}

func (a *ask) section(p given) error {
	if len(p.schema) == 0 {
		if p.section.IsZero() {
			return nil
		}
		return p.section.Problem("", config.Problem{Code: config.CodeUnknownKey, What: p.none, Hint: "remove it"})
	}
	s, err := schema.Compile("config", p.schema, nil)
	if err != nil {
		return a.conf.Problem("plugins."+string(a.spec.Name), config.Problem{
			Code: codePluginSchema, What: fmt.Sprintf("%s: the schema of its config is wrong: %v", a.spec.Path, err),
			Hint: "tell the plugin's author",
		})
	}
	violations, err := s.CheckJSON(p.json)
	if err != nil {
		return err
	}
	meant := p.meant(violations)
	var all config.Problems
	for _, v := range violations {
		all = append(all, p.problems(v, meant)...)
	}
	return all.Err()
}

// meant are the members, by their pointer, that a person seems to have given
// under a mistaken name: that they are missing needs no saying.
func (p given) meant(violations []event.Violation) map[string]bool {
	meant := map[string]bool{}
	for _, v := range violations {
		if refusesMembers(v) {
			known := p.known(v.Schema)
			for _, name := range quotedNames(v.Message) {
				for _, k := range known {
					if config.Suggest(name, known) == config.Suggest(k, []string{k}) {
						meant[v.Path+"/"+escape(k)] = true
					}
				}
			}
		}
	}
	return meant
}

func refusesMembers(v event.Violation) bool {
	return v.Keyword == "additionalProperties" || v.Keyword == "unevaluatedProperties"
}

// problems says in the config's words what a schema says in its own.
func (p given) problems(v event.Violation, meant map[string]bool) config.Problems {
	names := quotedNames(v.Message)
	var all config.Problems
	switch {
	case refusesMembers(v):
		for _, name := range names {
			all = append(all, p.section.Problem(v.Path+"/"+escape(name), config.Problem{
				Code: config.CodeUnknownKey, What: "unknown key", Hint: config.Suggest(name, p.known(v.Schema)),
			}))
		}
	case v.Keyword == "required" && len(names) > 0:
		for _, name := range names {
			if meant[v.Path+"/"+escape(name)] {
				continue
			}
			missing := p.section.Problem(v.Path, config.Problem{Code: config.CodeMissingKey, What: "is missing", Hint: p.example(name+": ", v.Schema, "properties", name)})
			missing.Path += "." + name
			all = append(all, missing)
		}
		return all
	case v.Keyword == "type":
		all = append(all, p.section.Problem(v.Path, config.Problem{Code: config.CodeWrongType, What: discreet(v.Message)}))
	}
	if hint := p.example("", v.Schema); hint != "" && (v.Keyword == "pattern" || v.Keyword == "anyOf") {
		// What a pattern or several alternatives say is no remedy.
		return config.Problems{p.section.Problem(v.Path, config.Problem{Code: config.CodeWrongValue, What: "has not the form that is wanted here", Hint: hint})}
	}
	if len(all) == 0 {
		all = append(all, p.section.Problem(v.Path, config.Problem{Code: config.CodeWrongValue, What: discreet(v.Message)}))
	}
	return all
}

var (
	quoted       = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)
	quotedFormat = regexp.MustCompile(`'(?:[^'\\]|\\.)*' is not valid '([^']*)'`)
)

// discreet leaves values out of a schema's message: they may be secrets.
func discreet(message string) string {
	return quotedFormat.ReplaceAllString(message, "it is not a valid $1")
}

func quotedNames(message string) []string {
	found := quoted.FindAllStringSubmatch(message, -1)
	names := make([]string, 0, len(found))
	for _, m := range found {
		names = append(names, strings.ReplaceAll(m[1], `\'`, `'`))
	}
	return names
}

// known lists the members that a schema knows where its keyword refuses others.
func (p given) known(place string) []string {
	properties, _ := p.around(place)["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// example says what to write, after a prefix, by the examples of the schema whose
// keyword refuses, or of one below it; empty: it has none.
func (p given) example(prefix, place string, below ...string) string {
	in := p.around(place)
	for _, token := range below {
		in, _ = in[token].(map[string]any)
	}
	list, _ := in["examples"].([]any)
	var texts []string
	for _, e := range list {
		text, ok := e.(string)
		if _, err := strconv.ParseFloat(text, 64); !ok || err == nil { // YAML would read "67.0" as a number
			b, err := json.Marshal(e)
			if err != nil {
				return ""
			}
			text = string(b)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return ""
	}
	return "write, for example, " + prefix + strings.Join(texts, " or ")
}

// around is the schema in which a keyword stands.
func (p given) around(place string) map[string]any {
	var doc any
	if json.Unmarshal(p.schema, &doc) != nil {
		return nil
	}
	_, pointer, _ := strings.Cut(place, "#")
	for token := range strings.SplitSeq(pointer[:strings.LastIndexByte(pointer, '/')+1], "/") {
		if token == "" {
			continue
		}
		switch in := doc.(type) {
		case map[string]any:
			doc = in[unescape(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			doc = in[i]
		default:
			return nil
		}
	}
	object, _ := doc.(map[string]any)
	return object
}

func escape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

func unescape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}
