package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// atOnce is how many plugins are asked at one time.
const atOnce = 4

// Check says everything that can be known to be wrong with a config before it
// runs or, where nothing is, what is probably not meant; as config.Problems. samples are what sources would emit. loaded is the error with which the config was
// loaded. Unless it is offline, each plugin is launched to say what it is and to
// look at its sources from outside; ctx ends that.
func Check(ctx context.Context, c *config.Config, loaded error, offline bool) (samples []Sample, err error) {
	_, built := build(c)
	if loaded != nil {
		built = placed(built) // what has no place follows from what is reported already
	}
	known := config.Join(loaded, built)
	var showing sync.Mutex
	found := askPlugins(ctx, c, known, func(ctx context.Context, a *ask) error {
		if err := a.spec.Verify(); err != nil || offline {
			return a.problem(err)
		}
		d, err := supervise.Describe(ctx, *a.spec, a.log)
		if err != nil {
			return a.problem(err)
		}
		if err := a.fits(d); err != nil {
			return err
		}
		shown, err := a.fromOutside(ctx, d)
		showing.Lock()
		defer showing.Unlock()
		samples = append(samples, shown...)
		return err
	})
	slices.SortFunc(samples, func(a, b Sample) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Sync, b.Sync))
	})
	if err := config.Join(known, found); err != nil {
		return samples, err
	}
	return samples, warnings(c).Err() // what is wrong may be why
}

// Sample is what the first records of a sync would become.
type Sample struct {
	Source string            `json:"source"`
	Sync   string            `json:"sync"`
	Events []json.RawMessage `json:"events"`
}

// fits compares the config with what a plugin says it takes. What does not fit
// at a plugin's first launch ends the host, as any other mistake in the config
// does; later the plugin's executable has changed, and that concerns it alone.
func (r *running) fits(s *stack) func(*supervise.Spec, *wire.Description) error {
	var mu sync.Mutex
	launched := map[event.PluginID]bool{}
	return func(spec *supervise.Spec, d *wire.Description) error {
		a := &ask{conf: r.Config, spec: spec}
		err := a.fits(d)
		if err == nil {
			err = a.configureConsents(r.keeper, d)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil && !launched[spec.Name] {
			s.fail(err)
		}
		launched[spec.Name] = true
		return err
	}
}

// ask is a question to one plugin.
type ask struct {
	conf *config.Config
	spec *supervise.Spec
	log  *slog.Logger
}

// askPlugins puts a question to every enabled plugin of which nothing that is
// known to be wrong spoils the answer.
func askPlugins(ctx context.Context, c *config.Config, known error, question func(context.Context, *ask) error) error {
	var problems config.Problems
	errors.As(known, &problems)
	errs := make([]error, len(c.Plugins))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range c.Plugins {
		p := &c.Plugins[i]
		if !p.Enabled || problems.Concerning("plugins."+p.Name) != nil {
			continue
		}
		// The error is known: the sources that it is about are not in the spec.
		spec, _ := pluginSpec(c, p)
		a := &ask{c, &spec, slog.New(slog.DiscardHandler)}
		g.Go(func() error {
			errs[i] = question(ctx, a)
			return nil
		})
	}
	_ = g.Wait() // the questions' errors are in errs
	return config.Join(errs...)
}

func placed(err error) error {
	var all, kept config.Problems
	errors.As(err, &all)
	for _, p := range all {
		if p.Path != "" {
			kept = append(kept, p)
		}
	}
	return kept.Err()
}

// problem puts what is wrong with a plugin at its place in the config.
func (a *ask) problem(err error) error {
	var e *supervise.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	path := "plugins." + string(a.spec.Name)
	switch e.Code {
	case supervise.CodeMissing, supervise.CodeNotExecutable:
		path += ".path"
	case supervise.CodeChecksum:
		path += ".sha256"
	}
	if e.Source != "" {
		path = "sources." + string(e.Source)
	}
	what := e.Message
	if e.Path != "" {
		what = e.Path + ": " + what
	}
	return a.conf.Problem(path, config.Problem{Code: e.Code, What: what, Hint: e.Hint})
}

// fromOutside lets the plugin look at those sources whose config is right.
func (a *ask) fromOutside(ctx context.Context, d *wire.Description) ([]Sample, error) {
	tokens, refused := a.tokens(ctx, d)
	if len(a.spec.Sources) == 0 {
		return nil, refused
	}
	found, err := supervise.Check(ctx, *a.spec, a.log, func(source event.SourceID) *wire.Token { return tokens[source] })
	errs := []error{refused, a.problems(err)}
	var shown []Sample
	for source, c := range found {
		for _, s := range c.Samples {
			sample := Sample{Source: string(source), Sync: s.Sync}
			for _, e := range s.Events {
				if json.Valid(e) {
					sample.Events = append(sample.Events, e)
				}
			}
			shown = append(shown, sample)
		}
		for _, p := range c.Problems {
			errs = append(errs, a.sourceConfig(source).Problem(p.Path, config.Problem{
				Code: cmp.Or(p.Code, "source_check"), What: p.Message, Hint: p.Fix, Warning: p.Warning,
			}))
		}
	}
	return shown, config.Join(errs...)
}

// problems takes apart what several sources may have joined.
func (a *ask) problems(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return a.problem(err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, a.problem(e))
	}
	return config.Join(errs...)
}

func (a *ask) sourceConfig(source event.SourceID) config.Section {
	return a.conf.Source(string(source)).Config
}
