package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a process that ends with the quickstart.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is over
	err   error         // then
}

func start(ctx context.Context, out io.Writer, binary string, args ...string) (*child, error) {
	// Not by ctx: children end in order.
	c := &child{cmd: exec.CommandContext(context.WithoutCancel(ctx), binary, args...), ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, os.Stderr
	c.cmd.SysProcAttr = diesWithParent()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: run make build", err)
	}
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

func (c *child) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// patience is how long a child may take to end.
const patience = time.Minute

// end asks the process to end, and waits until it has.
func (c *child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}
