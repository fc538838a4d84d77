package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/customerio"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
	"github.com/wellhead-io/wellhead/host/internal/destination/journeys"
	"github.com/wellhead-io/wellhead/host/internal/destination/webhook"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
	"github.com/wellhead-io/wellhead/host/internal/route"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"golang.org/x/time/rate"
)

// parts is what a config describes, made and checked, with nothing running.
type parts struct {
	gate    *gate.Gate
	sources []sourcePart
	plugins []supervise.Spec
	routes  *route.Table
	targets []targetPart
}

type sourcePart struct {
	id      event.SourceID
	judge   *gate.Source
	limiter *rate.Limiter
}

// targetPart is an enabled destination. open is called once, when the data
// directory is this host's.
type targetPart struct {
	conf *config.Destination
	open func() (destination.Destination, error)
}

// build makes the parts of a config, or says everything that is wrong with it,
// as config.Problems.
func build(c *config.Config) (*parts, error) {
	g, err := gate.New(gate.Options{MaxEvent: int(c.Limits.Event)})
	if err != nil {
		return nil, err
	}
	p := &parts{gate: g}
	routes := map[event.SourceID][]event.DestinationID{}
	errs := []error{checkDataDir(c)}
	written := files{}
	for i := range c.Sources {
		s := &c.Sources[i]
		if !s.Enabled {
			continue
		}
		part, err := buildSource(c, g, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.sources = append(p.sources, part)
		for _, d := range s.Destinations {
			routes[part.id] = append(routes[part.id], event.DestinationID(d))
		}
	}
	var known []event.DestinationID
	for i := range c.Destinations {
		d := &c.Destinations[i]
		known = append(known, event.DestinationID(d.Name))
		open, err := target(c, d)
		if err == nil {
			err = written.add(c, d)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if d.Enabled {
			p.targets = append(p.targets, targetPart{d, open})
		}
	}
	if p.routes, err = route.New(routes, known); err != nil {
		errs = append(errs, err)
	}
	for i := range c.Plugins {
		if !c.Plugins[i].Enabled {
			continue
		}
		spec, err := pluginSpec(c, &c.Plugins[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.plugins = append(p.plugins, spec)
	}
	return p, config.Join(errs...)
}

func buildSource(c *config.Config, g *gate.Gate, s *config.Source) (sourcePart, error) {
	o := gate.SourceOptions{ID: event.SourceID(s.Name), OnViolation: gate.OnViolation(s.OnViolation)}
	if s.Plan != "" {
		plan, err := gate.LoadPlan(string(s.Plan))
		if err != nil {
			return sourcePart{}, planProblems(c, s, err)
		}
		o.Plan = plan
	}
	part := sourcePart{id: o.ID, judge: g.Source(o)}
	if r := s.Limits.Rate; !r.IsZero() {
		burst := s.Limits.Burst
		if burst == 0 {
			burst = max(1, r.Count)
		}
		part.limiter = rate.NewLimiter(rate.Limit(r.PerSecond()), int(burst))
	}
	return part, nil
}

// planProblems places what is wrong in a plan: in the plan's own file and line.
func planProblems(c *config.Config, s *config.Source, err error) error {
	path := "sources." + s.Name + ".plan"
	var pe gate.PlanError
	if !errors.As(err, &pe) {
		return c.Problem(path, config.Problem{Code: codePlan, What: err.Error()})
	}
	var all config.Problems
	for _, p := range pe {
		hint := p.Hint
		p.Hint = ""
		all = append(all, c.Problem(path, config.Problem{Code: codePlan, What: p.String(), Hint: hint}))
	}
	return all
}

const (
	codePlan    = "plan"     // a tracking plan that cannot be used
	codeDataDir = "data_dir" // a data_dir that cannot be used
)

// target decodes a destination's own keys.
func target(c *config.Config, d *config.Destination) (func() (destination.Destination, error), error) {
	if decode, ok := kinds[d.Type]; ok {
		return decode(d.Settings)
	}
	return nil, c.Problem("destinations."+d.Name+".type", config.Problem{
		Code: config.CodeWrongValue,
		What: fmt.Sprintf("no destination type %q", d.Type),
		Hint: config.Suggest(d.Type, slices.Sorted(maps.Keys(kinds))),
	})
}

// kinds are the types of destinations.
var kinds = map[string]func(config.Section) (func() (destination.Destination, error), error){
	"customerio": kind(customerio.New),
	"file":       kind(file.New),
	"journeys":   kind(journeys.New),
	"webhook":    kind(webhook.New),
}

// kind decodes the config of a kind of destination, to open one.
func kind[C any, D destination.Destination](open func(C) (D, error)) func(config.Section) (func() (destination.Destination, error), error) {
	return func(settings config.Section) (func() (destination.Destination, error), error) {
		var conf C
		if err := settings.Decode(&conf); err != nil {
			return nil, err
		}
		return func() (destination.Destination, error) { return open(conf) }, nil
	}
}

func pluginSpec(c *config.Config, p *config.Plugin) (supervise.Spec, error) {
	conf, err := p.Config.JSON()
	if err != nil {
		return supervise.Spec{}, err
	}
	spec := supervise.Spec{
		Name: event.PluginID(p.Name), Path: string(p.Path), Dir: c.Dir(), SHA256: string(p.SHA256),
		Listen: string(p.Listen), Config: conf, Env: map[string]string{},
		Limits: supervise.Limits{EventBytes: uint32(c.Limits.Event), BatchBytes: uint32(c.Limits.Request)},
	}
	for name, value := range p.Env {
		spec.Env[name] = value.Reveal()
	}
	if p.TLS != nil {
		spec.TLS = &supervise.TLSFiles{Cert: string(p.TLS.Cert), Key: string(p.TLS.Key)}
	}
	errs := []error{checkTLS(c, p)}
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Plugin != p.Name || !s.Enabled {
			continue
		}
		conf, err := s.Config.JSON()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		withoutAuth, err := s.Config.Without("auth").JSON()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		source := supervise.SourceSpec{ID: event.SourceID(s.Name), Config: conf, WithoutAuth: withoutAuth, StateDir: stateDir(string(c.DataDir), s.Name)}
		for _, key := range s.Keys {
			source.Keys = append(source.Keys, key.Reveal())
		}
		spec.Sources = append(spec.Sources, source)
	}
	return spec, config.Join(errs...)
}

// loopOptions are a destination's, without what only a running host has.
func loopOptions(d *config.Destination, dir string) deliver.Options {
	return deliver.Options{
		Name:    event.DestinationID(d.Name),
		Dir:     deliver.StateDir(destinationsDir(dir), event.DestinationID(d.Name)),
		MaxLag:  d.MaxLag,
		AtLimit: d.AtLimit,
		From:    d.From,
	}
}
