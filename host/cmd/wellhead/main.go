// Command wellhead is the host and everything that a person does with it.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	code := Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitGood     = 0
	exitProblems = 1
	exitUsage    = 2
)

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	results := &results{to: out}
	s := &shell{in: in, out: results, errs: errs}
	command, err := parse(ctx, s, args)
	if err != nil {
		s.complain(err)
		return exitUsage
	}
	err = command()
	if results.err != nil {
		err = results.err
	}
	switch {
	case err == nil:
		return exitGood
	case errors.Is(err, errTold):
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		s.complain(errors.New("interrupted"))
	default:
		s.complain(err)
	}
	return exitProblems
}
