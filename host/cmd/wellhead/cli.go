package main

// The voice of the command line: lower case, no full stop, what is wrong, then
// what to do. Results go to standard output, everything else to standard error.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/wellhead-io/wellhead/host/internal/config"
)

// shell is where a command runs.
type shell struct {
	ctx       context.Context
	in        io.Reader
	out, errs io.Writer
}

// cli is every command, with its flags and arguments.
type cli struct {
	Run     runCommand     `cmd:"" help:"Run the host."`
	Check   checkCommand   `cmd:"" help:"Tell everything that is wrong with a config, before running it."`
	Keys    keysCommand    `cmd:"" help:"Make API keys."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// configFlag is on every command that reads the config.
type configFlag struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"The config file."`
}

// parse reads the command line; a nil command means that help was printed.
func parse(s *shell, args []string) (func() error, error) {
	var c cli
	helped := false
	parser, err := kong.New(&c,
		kong.Name("wellhead"),
		kong.Description("The head of a customer-data pipeline: sources in, judged events out."),
		kong.Writers(s.out, s.errs),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(s),
	)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; see wellhead --help", err)
	}
	return func() error { return parsed.Run() }, nil
}

// complain prints an error, one line for each thing that is wrong.
func (s *shell) complain(err error) {
	var ps config.Problems
	if errors.As(err, &ps) {
		for _, p := range ps {
			fmt.Fprintln(s.errs, p.Error())
		}
		fmt.Fprintf(s.errs, "wellhead: %s\n", plural(len(ps), "problem"))
		return
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(s.errs, "wellhead: %s\n", strings.TrimSuffix(line, "\n"))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
