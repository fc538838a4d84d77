package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
	var all config.Problems
	for _, v := range violations {
		all = append(all, p.problems(v)...)
	}
	return all.Err()
}

// problems says in the config's words what a schema says in its own.
func (p given) problems(v event.Violation) config.Problems {
	names := quotedNames(v.Message)
	var all config.Problems
	switch v.Keyword {
	case "additionalProperties", "unevaluatedProperties":
		for _, name := range names {
			all = append(all, p.section.Problem(v.Path+"/"+escape(name), config.Problem{
				Code: config.CodeUnknownKey, What: "unknown key", Hint: config.Suggest(name, p.known(v.Schema)),
			}))
		}
	case "required":
		for _, name := range names {
			missing := p.section.Problem(v.Path, config.Problem{Code: config.CodeMissingKey, What: "is missing"})
			missing.Path += "." + name
			all = append(all, missing)
		}
	case "type":
		all = append(all, p.section.Problem(v.Path, config.Problem{Code: config.CodeWrongType, What: discreet(v.Message)}))
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
	var doc any
	if json.Unmarshal(p.schema, &doc) != nil {
		return nil
	}
	_, pointer, _ := strings.Cut(place, "#")
	for token := range strings.SplitSeq(pointer[:strings.LastIndexByte(pointer, '/')+1], "/") {
		if token == "" {
			continue
		}
		object, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = object[unescape(token)]
	}
	object, _ := doc.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

func escape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

func unescape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}
