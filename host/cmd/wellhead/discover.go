package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/host/internal/config"
)

type discoverCommand struct {
	sourceFlag
	jsonFlag
	Fresh  bool   `help:"ask again what was asked in the last ten minutes"`
	Stream string `arg:"" optional:"" help:"one of what it could read, such as an object of Salesforce: its JSON Schema is printed"`
}

// stream is what a source could read, as programs see it.
type stream struct {
	Name   string          `json:"name"`
	Title  string          `json:"title,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"` // of one record
}

// Run asks the source's plugin.
func (c *discoverCommand) Run(ctx context.Context, s *shell) error {
	conf, err := config.Load(c.Config)
	var all config.Problems
	errors.As(err, &all)
	about := []error{all.Concerning("data_dir").Err(), all.Concerning("sources." + c.Source).Err()}
	if source := conf.Source(c.Source); source != nil {
		about = append(about, all.Concerning("plugins."+source.Plugin).Err())
	}
	if err := config.Join(about...); err != nil {
		return err
	}
	found, err := host.Discover(ctx, conf, c.Source, c.Stream, c.Fresh)
	if err != nil {
		return err
	}
	if !found.Asked.IsZero() {
		fmt.Fprintf(s.errs, "as of %s; --fresh asks again\n", ago(found.Asked))
	}
	list := make([]stream, 0, len(found.Streams))
	rows := make([][]string, 0, len(found.Streams))
	for _, f := range found.Streams {
		list = append(list, stream{f.Name, f.Title, f.Schema})
		rows = append(rows, []string{f.Name, f.Title})
	}
	switch {
	case c.Stream != "" && len(list) == 0:
		return fmt.Errorf("source %s has no %s to read; wellhead discover %s lists what it has", c.Source, c.Stream, c.Source)
	case c.JSON:
		return s.printJSON(list)
	case c.Stream != "" && len(list) == 1:
		return s.printJSON(list[0].Schema)
	case len(list) == 0:
		fmt.Fprintf(s.out, "source %s has nothing to read\n", c.Source)
		return nil
	}
	return s.table("NAME | TITLE", rows)
}
