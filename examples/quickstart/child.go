package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a process that ends with the quickstart.
type child struct {
	cmd   *exec.Cmd
	ended context.Context // is done when the process is
	err   error           // then
}

func start(ctx context.Context, cmd *exec.Cmd, out io.Writer) (*child, error) {
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = diesWithParent()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd}
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	c.ended = ended
	go func() {
		defer end()
		c.err = cmd.Wait()
	}()
	return c, nil
}

// patience is how long a child may take to end.
const patience = time.Minute

// end asks the process to end, and waits until it has.
func (c *child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended.Done():
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.ended.Done()
	}
}
