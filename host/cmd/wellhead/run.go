package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/host/internal/config"
)

type runCommand struct {
	configFlag
	LogLevel  slog.Level `default:"info" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"How log lines look: text or json."`
}

// Run runs the host until it is told to stop.
func (c *runCommand) Run(s *shell) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	o := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(s.errs, o)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(s.errs, o)
	}
	h, err := host.New(host.Options{Config: conf, Log: slog.New(handler), Version: version()})
	if err != nil {
		return err
	}
	return h.Run(s.ctx)
}

type checkCommand struct {
	configFlag
}

// Run reports everything that is wrong.
func (c *checkCommand) Run(s *shell) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	if _, err := host.New(host.Options{Config: conf, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s is good\n", c.Config)
	return nil
}

type keysCommand struct {
	New keysNewCommand `cmd:"" help:"Print a new API key."`
}

type keysNewCommand struct{}

// keyBytes is the length of an API key's secret: 128 bits.
const keyBytes = 16

// Run prints a key that nobody can guess.
func (c *keysNewCommand) Run(s *shell) error {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	fmt.Fprintln(s.out, "wk_"+base64.RawURLEncoding.EncodeToString(b))
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (c *versionCommand) Run(s *shell) error {
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
