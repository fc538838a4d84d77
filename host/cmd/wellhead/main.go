// Command wellhead is the host and everything that a person does with it.
package main

import (
	"context"
	"fmt"
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
	s := &shell{ctx: ctx, in: in, out: out, errs: errs}
	command, err := parse(s, args)
	if err != nil {
		fmt.Fprintf(errs, "wellhead: %v\n", err)
		return exitUsage
	}
	if command == nil { // help was asked for
		return exitGood
	}
	if err := command(); err != nil {
		s.complain(err)
		return exitProblems
	}
	return exitGood
}
