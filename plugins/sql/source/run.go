// Package source is the plugin behind its binaries: the config, the syncs and what
// they read. What it promises stands in the package documentation of plugins/sql.
package source

import (
	"context"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/schedule"
)

// Plugin is the plugin; name is that of its binary.
func Plugin(name string) sdk.Plugin {
	return sdk.Plugin{Name: name, Version: "1.0.0", Source: source{}, ConfigSchema: configSchema}
}

type source struct{}

// Run runs the syncs until the stream ends. New settings start them anew, from
// where they are.
func (source) Run(ctx context.Context, s *sdk.Stream) error {
	return run(ctx, s, func() (config, error) { return readConfig(s.Settings()) })
}

func run(ctx context.Context, s schedule.Stream, read func() (config, error)) error {
	all, err := schedule.Open(s)
	if err != nil {
		return err
	}
	for !all.Over(ctx) {
		if err := once(ctx, s, read, all); err != nil {
			return err
		}
	}
	return nil
}

// once runs until the settings change or the stream has to finish.
func once(ctx context.Context, s schedule.Stream, read func() (config, error), all *schedule.Schedule) error {
	updated := s.Updated()
	c, err := read()
	if err != nil {
		return unreadable(err)
	}
	db, err := database.Open(ctx, c.URL)
	if err != nil {
		return fault{url: c.URL}.problem(err)
	}
	defer func() { _ = db.Close() }()
	var jobs []schedule.Job
	for _, name := range c.names() {
		at := path(name)
		job := schedule.Job{Name: name, Interval: time.Duration(c.Interval)}
		sp, problems := c.spec(name, db.Parse)
		switch {
		case len(problems) > 0:
			problems[0].Path = at + problems[0].Path
			job.Problem = &problems[0]
		case sp.mode == modeCDC:
			continue // it is one of the group
		default:
			r := &reader{spec: sp, db: db, limits: s.Limits(), stateDir: c.stateDir, timeout: time.Duration(c.Timeout)}
			job.Interval, job.Run = sp.interval, r.run
			job.Explain = func(err error) (sdk.Problem, time.Duration) { return fault{c.URL, at}.problem(err), 0 }
			job.Silence = 2 * time.Duration(c.Timeout)
		}
		jobs = append(jobs, job)
	}
	var groups []schedule.Group
	if len(c.followed()) > 0 {
		groups = append(groups, c.group(s.Limits(), s.Log()))
	}
	return all.Run(ctx, updated, jobs, groups...)
}

// path is a sync's place in the config.
func path(name string) string {
	return "/syncs/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// unreadable is the problem of a config that the schema lets pass.
func unreadable(err error) sdk.Problem {
	return sdk.Problem{Code: "wrong_value", Message: strings.TrimPrefix(err.Error(), "config: "), Fix: "see wellhead plugin describe sql"}
}
