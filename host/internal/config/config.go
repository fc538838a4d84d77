package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Config is the whole config file.
type Config struct {
	// DataDir holds the journal, checkpoints and tokens.
	DataDir    Path       `yaml:"data_dir"`
	Console    Console    `yaml:"console"`
	Journal    Journal    `yaml:"journal"`
	Dedup      Dedup      `yaml:"dedup"`
	Quarantine Quarantine `yaml:"quarantine"`
	Limits     Limits     `yaml:"limits"`
	// Plugins, Sources and Destinations are in the order of the file.
	Plugins      []Plugin      `yaml:"plugins" config:"named"`
	Sources      []Source      `yaml:"sources" config:"named"`
	Destinations []Destination `yaml:"destinations" config:"named"`

	doc *document
}

// Default sets what holds where the file says nothing.
func (c *Config) Default() {
	doc := c.doc
	*c = Config{doc: doc, DataDir: "data"}
	if doc != nil {
		c.DataDir, _ = resolvePath(doc.dir, "data")
	}
	c.Console.Default()
	c.Journal.Default()
	c.Dedup.Default()
	c.Quarantine.Default()
	c.Limits.Default()
}

// complete sets the defaults that hang on other parts of the config.
func (c *Config) complete(pluginDir string) {
	for i := range c.Plugins {
		c.Plugins[i].complete(pluginDir)
	}
	i := 0
	for written := range c.doc.root.find("destinations").members() {
		if i < len(c.Destinations) {
			c.Destinations[i].MaxLag.complete(written, c.Journal)
		}
		i++
	}
}

// Dir is the config file's folder, which relative paths are relative to; empty
// where the Config came from no file.
func (c *Config) Dir() string {
	if c.doc == nil {
		return ""
	}
	return c.doc.dir
}

// Plugin returns the plugin of this name, or nil.
func (c *Config) Plugin(name string) *Plugin {
	return entry(c.Plugins, func(p *Plugin) bool { return p.Name == name })
}

// Source returns the source of this name, or nil.
func (c *Config) Source(name string) *Source {
	return entry(c.Sources, func(s *Source) bool { return s.Name == name })
}

// Destination returns the destination of this name, or nil.
func (c *Config) Destination(name string) *Destination {
	return entry(c.Destinations, func(d *Destination) bool { return d.Name == name })
}

func entry[T any](all []T, is func(*T) bool) *T {
	for i := range all {
		if is(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

// Problem fills the place of a key path, such as "sources.website.plan", into
// p. It serves checks that only others can make: a plan that does not compile,
// a destination type that nobody offers.
func (c *Config) Problem(path string, p Problem) Problem {
	p.Path = path
	if c.doc == nil {
		return p
	}
	return c.doc.at(c.doc.root.find(path), p)
}

// Validate reports everything that is wrong, with key paths.
func (c *Config) Validate() error {
	var f findings
	f.under("console", c.Console.Validate())
	f.under("journal", c.Journal.Validate())
	f.under("dedup", c.Dedup.Validate())
	f.under("quarantine", c.Quarantine.Validate())
	f.under("limits", c.Limits.Validate())
	for _, p := range c.Plugins {
		path := joinPath("plugins", pathKey(p.Name))
		checkName(&f, path, p.Name)
		f.under(path, p.Validate())
	}
	for _, s := range c.Sources {
		path := joinPath("sources", pathKey(s.Name))
		checkName(&f, path, s.Name)
		f.under(path, s.Validate())
	}
	for _, d := range c.Destinations {
		path := joinPath("destinations", pathKey(d.Name))
		checkName(&f, path, d.Name)
		f.under(path, d.Validate())
		checkLag(&f, path+".max_lag.bytes", d.MaxLag.Bytes, c.Journal.MaxBytes)
		checkLag(&f, path+".max_lag.age", d.MaxLag.Age, c.Journal.MaxAge)
	}
	c.checkReferences(&f)
	c.checkListeners(&f)
	c.checkKeys(&f)
	return f.problems.Err()
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	notInName  = regexp.MustCompile(`[^a-z0-9_-]+`)
	beforeName = regexp.MustCompile(`^[^a-z0-9]+`)
)

// checkName bounds what becomes a file name, a label of metrics and a part of
// URLs.
func checkName(f *findings, path, name string) {
	if nameForm.MatchString(name) {
		return
	}
	p := Problem{Code: CodeBadName,
		What: "not a name: it is 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit, since it becomes a file name, a metric label and a part of URLs"}
	like := notInName.ReplaceAllString(strings.ToLower(name), "-")
	like = strings.TrimRight(beforeName.ReplaceAllString(like, ""), "-")
	if nameForm.MatchString(like) {
		p.Hint = fmt.Sprintf("write %q", like)
	}
	f.add(path, p)
}

// checkReferences reports what sources name but the config has not.
func (c *Config) checkReferences(f *findings) {
	plugins := names(c.Plugins, func(p Plugin) string { return p.Name })
	destinations := names(c.Destinations, func(d Destination) string { return d.Name })
	for _, s := range c.Sources {
		path := joinPath("sources", pathKey(s.Name))
		if s.Plugin != "" && !slices.Contains(plugins, s.Plugin) {
			f.problems = append(f.problems, Problem{
				Path: path + ".plugin", needs: "plugins", Code: CodeUnknownPlugin,
				What: fmt.Sprintf("no plugin is named %q", s.Plugin), Hint: suggestEntry(s.Plugin, plugins, "plugins:"),
			})
		}
		for i, name := range s.Destinations {
			at := fmt.Sprintf("%s.destinations[%d]", path, i)
			switch {
			case slices.Contains(s.Destinations[:i], name):
				f.add(at, Problem{Code: CodeConflict, What: fmt.Sprintf("%q is given twice", name), Hint: "remove one"})
			case !slices.Contains(destinations, name):
				f.problems = append(f.problems, Problem{
					Path: at, needs: "destinations", Code: CodeUnknownDestination,
					What: fmt.Sprintf("no destination is named %q", name), Hint: suggestEntry(name, destinations, "destinations:"),
				})
			}
		}
	}
}

func suggestEntry(name string, known []string, under string) string {
	if hint := Suggest(name, known); hint != "" {
		return hint
	}
	return "add it under " + under
}

func names[T any](all []T, name func(T) string) []string {
	out := make([]string, len(all))
	for i, t := range all {
		out[i] = name(t)
	}
	return out
}

// checkListeners reports two sockets for one address.
func (c *Config) checkListeners(f *findings) {
	type listener struct {
		path    string
		address Address
	}
	taken := []listener{{"console.listen", c.Console.Listen}}
	for _, p := range c.Plugins {
		if !p.Enabled || p.Listen == "" {
			continue
		}
		path := joinPath(joinPath("plugins", pathKey(p.Name)), "listen")
		for _, other := range taken {
			if p.Listen.overlaps(other.address) {
				f.problems = append(f.problems, Problem{
					Path: path, needs: other.path, Code: CodeConflict,
					What: fmt.Sprintf("%s is taken by %s (%s)", p.Listen, other.path, other.address),
					Hint: "give it another port",
				})
				break
			}
		}
		taken = append(taken, listener{path, p.Listen})
	}
}

// checkKeys reports an API key that would name two sources of one plugin.
func (c *Config) checkKeys(f *findings) {
	type use struct{ plugin, key string }
	type place struct{ source, path string }
	taken := map[use]place{}
	for _, s := range c.Sources {
		for i, key := range s.Keys {
			if key.IsZero() {
				continue
			}
			at := place{s.Name, fmt.Sprintf("%s.keys[%d]", joinPath("sources", pathKey(s.Name)), i)}
			u := use{s.Plugin, key.Reveal()}
			first, twice := taken[u]
			switch {
			case !twice:
				taken[u] = at
			case first.source == s.Name:
				f.add(at.path, Problem{Code: CodeConflict, What: "the same key as " + first.path, Hint: "remove one"})
			default:
				f.add(at.path, Problem{Code: CodeConflict, What: "the same key as " + first.path + ", and a key names one source",
					Hint: "make another with: wellhead keys new"})
			}
		}
	}
}
