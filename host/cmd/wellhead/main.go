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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	s := &shell{in: in, out: out, errs: errs}
	command, err := parse(ctx, s, args)
	if err != nil {
		s.complain(err)
		return exitUsage
	}
	if command == nil { // help was asked for
		return exitGood
	}
	switch err := command(); {
	case err == nil:
		return exitGood
	case errors.Is(err, errTold):
		return exitProblems
	default:
		s.complain(err)
		return exitProblems
	}
}
