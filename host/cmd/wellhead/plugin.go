package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

type pluginGroup struct {
	List     pluginListCommand     `cmd:"" help:"list the plugins of a config"`
	Describe pluginDescribeCommand `cmd:"" help:"launch a plugin and print what it says of itself"`
	Pin      pluginPinCommand      `cmd:"" help:"print the line that pins a plugin to its present executable"`
}

type pluginListCommand struct {
	configFlag
	jsonFlag
}

// listedPlugin is a plugin of the config.
type listedPlugin struct {
	Name    string   `json:"name"`
	Enabled bool     `json:"enabled"`
	Path    string   `json:"path"`
	Listen  string   `json:"listen,omitempty"`
	SHA256  string   `json:"sha256,omitempty"` // as pinned
	Sources []string `json:"sources"`
	// Code and Problem tell why the executable cannot be run.
	Code    string `json:"code,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Run lists the plugins of the config.
func (c *pluginListCommand) Run(s *shell) error {
	conf, err := c.load("")
	if err != nil {
		return err
	}
	list := []listedPlugin{}
	for i := range conf.Plugins {
		list = append(list, listed(conf, &conf.Plugins[i]))
	}
	if c.JSON {
		return s.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(s.out, "the config has no plugins")
		return nil
	}
	var rows [][]string
	for i := range list {
		p := &list[i]
		state, pinned := "good", "no"
		if !p.Enabled {
			state = "disabled"
		} else if p.Problem != "" {
			state = words(strings.TrimPrefix(p.Code, "plugin_"))
		}
		if p.SHA256 != "" {
			pinned = "yes"
		}
		rows = append(rows, []string{p.Name, state, strings.Join(p.Sources, ", "), p.Listen, pinned, p.Path})
	}
	return s.table("PLUGIN | EXECUTABLE | SOURCES | LISTEN | PINNED | PATH", rows)
}

func listed(conf *config.Config, p *config.Plugin) listedPlugin {
	out := listedPlugin{
		Name: p.Name, Enabled: p.Enabled, Path: string(p.Path), Listen: string(p.Listen), SHA256: string(p.SHA256), Sources: []string{},
	}
	for i := range conf.Sources {
		if conf.Sources[i].Plugin == p.Name {
			out.Sources = append(out.Sources, conf.Sources[i].Name)
		}
	}
	spec := specOf(p)
	var e *supervise.Error
	if p.Enabled && errors.As(spec.Verify(), &e) {
		out.Code, out.Problem = e.Code, e.Message
	}
	return out
}

func specOf(p *config.Plugin) supervise.Spec {
	spec := supervise.Spec{
		Name: event.PluginID(p.Name), Path: string(p.Path), SHA256: string(p.SHA256), Env: map[string]string{},
	}
	for name, value := range p.Env {
		spec.Env[name] = value.Reveal()
	}
	return spec
}

// plugin finds one plugin of the config.
func (f *configFlag) plugin(name string) (*config.Plugin, error) {
	conf, err := f.load("plugins." + name)
	if err != nil {
		return nil, err
	}
	p := conf.Plugin(name)
	if p == nil {
		var known []string
		for i := range conf.Plugins {
			known = append(known, conf.Plugins[i].Name)
		}
		hint := cmp.Or(config.Suggest(name, known), "add it under plugins:")
		return nil, fmt.Errorf("%s has no plugin %q; %s", f.Config, name, hint)
	}
	return p, nil
}

type pluginDescribeCommand struct {
	configFlag
	jsonFlag
	Name string `arg:"" help:"of the plugin, as in the config"`
}

// described is what a plugin says of itself.
type described struct {
	Name         string           `json:"name"`
	Version      string           `json:"version"`
	Path         string           `json:"path"`
	Listens      bool             `json:"listens"`
	Consent      string           `json:"consent,omitempty"`
	MaxSilence   string           `json:"max_silence"`
	PluginSchema json.RawMessage  `json:"plugin_schema,omitempty"`
	ConfigSchema json.RawMessage  `json:"config_schema,omitempty"`
	Events       []describedEvent `json:"events,omitempty"`
}

type describedEvent struct {
	Type   string          `json:"type"`
	Event  string          `json:"event,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`
}

// Run launches the plugin for a moment.
func (c *pluginDescribeCommand) Run(ctx context.Context, s *shell) error {
	p, err := c.plugin(c.Name)
	if err != nil {
		return err
	}
	wire, err := supervise.Describe(ctx, specOf(p), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	silence := supervise.DefaultTiming().Silence
	if ms := wire.GetMaxSilenceMs(); ms > 0 {
		silence = time.Duration(ms) * time.Millisecond
	}
	d := described{
		Name: wire.GetName(), Version: wire.GetVersion(), Path: string(p.Path), Listens: wire.GetListens(), Consent: wire.GetConsent(),
		MaxSilence: silence.String(), PluginSchema: rawSchema(wire.GetPluginSchema()), ConfigSchema: rawSchema(wire.GetConfigSchema()),
	}
	for _, e := range wire.GetEvents() {
		d.Events = append(d.Events, describedEvent{e.GetType(), e.GetEvent(), rawSchema(e.GetSchema())})
	}
	if c.JSON {
		return s.printJSON(d)
	}
	s.printDescribed(&d)
	return nil
}

// rawSchema leaves out what a plugin gives for a schema but is no JSON.
func rawSchema(b []byte) json.RawMessage {
	if !json.Valid(b) {
		return nil
	}
	return b
}

func (s *shell) printDescribed(d *described) {
	fmt.Fprintf(s.out, "%s %s\n", printable(d.Name), printable(d.Version))
	fmt.Fprintf(s.out, "  executable    %s\n", d.Path)
	needs := "no address"
	if d.Listens {
		needs = "listen: in the config, for its clients"
	}
	fmt.Fprintf(s.out, "  needs         %s\n", needs)
	if d.Consent != "" {
		fmt.Fprintf(s.out, "  consent       %s\n", printable(d.Consent))
	}
	fmt.Fprintf(s.out, "  max. silence  %s\n", d.MaxSilence)
	for _, e := range d.Events {
		fmt.Fprintf(s.out, "  emits         %s\n", printable(strings.TrimSpace(e.Type+" "+e.Event)))
	}
	for _, schema := range []struct {
		of  string
		raw json.RawMessage
	}{{"the plugin's config", d.PluginSchema}, {"a source's config", d.ConfigSchema}} {
		if schema.raw == nil {
			fmt.Fprintf(s.out, "\n%s: none\n", schema.of)
			continue
		}
		fmt.Fprintf(s.out, "\n%s:\n", schema.of)
		if err := s.printJSON(schema.raw); err != nil {
			return
		}
	}
}

type pluginPinCommand struct {
	configFlag
	jsonFlag
	Name string `arg:"" help:"of the plugin, as in the config"`
}

// pinnedPlugin is what pin tells programs.
type pinnedPlugin struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Run prints the line for the config.
func (c *pluginPinCommand) Run(s *shell) error {
	p, err := c.plugin(c.Name)
	if err != nil {
		return err
	}
	spec := specOf(p)
	spec.SHA256 = "" // that it differs is why a person pins again
	if err := spec.Verify(); err != nil {
		return err
	}
	sum, err := supervise.Checksum(spec.Path)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(pinnedPlugin{c.Name, spec.Path, sum})
	}
	fmt.Fprintf(s.out, "sha256: %s\n", sum)
	fmt.Fprintf(s.errs, "wellhead: put this line under plugins.%s in %s\n", c.Name, c.Config)
	return nil
}
