package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/host/internal/config"
)

type runCommand struct {
	configFlag
	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"least level that is logged: debug, info, warn or error"`
	LogFormat string `default:"text" enum:"text,json" help:"how log lines look: text or json"`
}

// Run runs the host until it is told to stop.
func (c *runCommand) Run(ctx context.Context, s *shell) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(s.errs, o)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(s.errs, o)
	}
	// The log's reader may end before the host, as where a terminal is closed: a
	// write that fails then must not end it.
	signal.Ignore(syscall.SIGPIPE)
	h, err := host.New(host.Options{Config: conf, Log: slog.New(handler), Version: version()})
	if err != nil {
		return err
	}
	return h.Run(ctx)
}

type checkCommand struct {
	configFlag
	jsonFlag
	Offline bool `help:"launch no plugin, and ask nobody outside"`
}

// checked is what check tells programs.
type checked struct {
	Good     bool             `json:"good"`
	Problems []config.Problem `json:"problems"`
	// Samples are what sources would emit.
	Samples []host.Sample `json:"samples,omitempty"`
}

// Run reports everything that is wrong.
func (c *checkCommand) Run(ctx context.Context, s *shell) error {
	conf, loaded := config.Load(c.Config)
	err := loaded
	var samples []host.Sample
	if conf.Dir() != "" { // else there is no file
		samples, err = host.Check(ctx, conf, loaded, c.Offline)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.JSON {
		return s.printChecked(err, samples)
	}
	for _, sample := range samples {
		fmt.Fprintf(s.out, "sources.%s, sync %s: its first rows would be\n", sample.Source, sample.Sync)
		for _, e := range sample.Events {
			fmt.Fprintf(s.out, "  %s\n", printable(string(e)))
		}
	}
	found := problemsIn(err)
	if len(found.Errors()) > 0 {
		return err
	}
	for _, warning := range found {
		fmt.Fprintln(s.errs, warning.Error())
	}
	fmt.Fprintf(s.out, "%s is good: %s, %s, %s\n", c.Config, plural(len(conf.Plugins), "plugin"),
		plural(len(conf.Sources), "source"), plural(len(conf.Destinations), "destination"))
	return nil
}

func (s *shell) printChecked(err error, samples []host.Sample) error {
	result := checked{Good: len(problemsIn(err).Errors()) == 0, Problems: []config.Problem{}, Samples: samples}
	if err != nil {
		result.Problems = problemsIn(err)
	}
	if err := s.printJSON(result); err != nil || result.Good {
		return err
	}
	return errTold
}

type versionCommand struct{ jsonFlag }

// Run prints the version.
func (c *versionCommand) Run(s *shell) error {
	if c.JSON {
		return s.printJSON(map[string]string{"version": version()})
	}
	fmt.Fprintln(s.out, "wellhead", version())
	return nil
}

// version is that of the module or, of a build from a checkout, its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = "devel " + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return v
}
