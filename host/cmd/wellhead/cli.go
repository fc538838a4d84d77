package main

// The voice of the command line: lower case, no full stop, what is wrong, then
// what to do. Results go to standard output, everything else to standard error.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// shell is what a command reads and writes.
type shell struct {
	in   io.Reader
	out  *results
	errs io.Writer
}

// results is where results go. It remembers what could not be written, so that
// a command need not look after each line.
type results struct {
	to  io.Writer
	err error
}

func (r *results) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.to.Write(p)
	if err != nil {
		r.err = fmt.Errorf("write the result: %w", err)
	}
	return n, err
}

// errTold ends a command whose problems are printed already.
var errTold = errors.New("there are problems")

// cli is every command, with its flags and arguments.
type cli struct {
	Run        runCommand      `cmd:"" help:"run the host"`
	Check      checkCommand    `cmd:"" help:"tell everything that is wrong with a config, before running it"`
	Status     statusCommand   `cmd:"" help:"show what flows in the running host, and what is wrong (exit code 1 where it is not ready)"`
	Send       sendCommand     `cmd:"" help:"hand the events of a file to a source of the running host"`
	Tail       tailCommand     `cmd:"" help:"show events as they are accepted or refused"`
	Sync       syncGroup       `cmd:"" help:"look at what sources read by themselves, and tell them what to do"`
	Quarantine quarantineGroup `cmd:"" help:"look at refused events"`
	Discover   discoverCommand `cmd:"" help:"list what a source could read, or print the JSON Schema of one of it"`
	Connect    connectCommand  `cmd:"" help:"let a person grant a source access to their Salesforce org"`
	Consent    consentGroup    `cmd:"" help:"look at what people granted to sources, or revoke it"`
	Validate   validateCommand `cmd:"" help:"check the events of a file against the common schema and a tracking plan, without a host"`
	Plugin     pluginGroup     `cmd:"" help:"look at the configured plugins"`
	Keys       keysGroup       `cmd:"" help:"make API keys"`
	Schema     schemaGroup     `cmd:"" help:"print JSON Schemas"`
	Version    versionCommand  `cmd:"" help:"print the version"`
}

// configFlag is on every command that reads the config.
type configFlag struct {
	Config string `short:"c" required:"" env:"WELLHEAD_CONFIG" placeholder:"FILE" help:"the config file"`
}

// jsonFlag is on every listing.
type jsonFlag struct {
	JSON bool `name:"json" help:"print JSON, for programs"`
}

// parse reads the command line and returns what to do.
func parse(ctx context.Context, s *shell, args []string) (func() error, error) {
	var c cli
	helped := false
	parser, err := kong.New(&c,
		kong.Name("wellhead"),
		kong.Description("the head of a customer-data pipeline: sources in, judged events out"),
		kong.Writers(s.out, s.errs),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(printHelp),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(asCommand(args))
	if helped {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, explainUsage(err)
	}
	return func() error { return parsed.Run() }, nil
}

// asCommand reads what people write for a command that is called otherwise.
func asCommand(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// printHelp puts kong's own words into the voice of the rest.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	var text strings.Builder
	out := ctx.Stdout
	ctx.Stdout = &text
	err := kong.DefaultHelpPrinter(o, ctx)
	ctx.Stdout = out
	if err != nil {
		return err
	}
	_, err = strings.NewReplacer(
		"Show context-sensitive help.", "show this help",
		`Run "wellhead <command> --help" for more information on a command.`, "wellhead COMMAND --help tells more of a command",
	).WriteString(out, text.String())
	return err
}

var (
	missingFlags = regexp.MustCompile(`^missing flags: (.*)$`)
	missingGroup = regexp.MustCompile(`^expected ("[a-z].*")$`)
	missingWords = regexp.MustCompile(`^expected "(.*)"$`)
	oneOf        = regexp.MustCompile(`^expected one of (.*)$`)
	badEnum      = regexp.MustCompile(`^(--\S+?)(?:=\S*)? must be one of (.*) but got (.*)$`)
	badNumber    = regexp.MustCompile(`expected a valid \d+ bit u?int but got`)
	noCommand    = regexp.MustCompile(`^unexpected argument ([^,]*)`)
)

// explainUsage says what is wrong with the command line, and where help is.
func explainUsage(err error) error {
	command := "wellhead"
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		for _, p := range parse.Context.Path {
			if p.Command != nil {
				command += " " + p.Command.Name
			}
		}
	}
	text := err.Error()
	for _, r := range []struct {
		form *regexp.Regexp
		say  string
	}{
		{missingFlags, "missing $1"},
		{missingGroup, "which one? say one of $1"},
		{missingWords, "missing $1"},
		{oneOf, "which one? say one of $1"},
		{badEnum, "$1 is $3, want one of $2"},
		{badNumber, "want a whole number, got"},
	} {
		text = r.form.ReplaceAllString(text, r.say)
	}
	if command == "wellhead" {
		text = noCommand.ReplaceAllString(text, `there is no command "$1"`)
	}
	text = strings.ReplaceAll(text, `","`, `", "`)
	text = strings.ReplaceAll(text, `one of "", `, "one of ") // it may be left out
	text = strings.ReplaceAll(text, "--config=FILE", "-c FILE, the config file")
	if strings.Contains(text, "did you mean") {
		return errors.New(text)
	}
	return fmt.Errorf("%s; see %s --help", text, command)
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
