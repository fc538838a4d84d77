package supervise

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-plugin/runner"
)

// pluginRunner lets go-plugin use a child that it did not fork. go-plugin's own
// runner would pass on the host's standard input and kill one process instead of
// the group; and its reader of standard error panics on some lines.
type pluginRunner struct {
	launcher *launcher
	program  program
	logs     *logSink
	launched func(pid int) // called before the plugin can serve

	mu     sync.Mutex
	child  *child // nil: not started
	killed bool
}

var _ runner.Runner = (*pluginRunner)(nil)

// errKilled is the answer where Kill came before Start.
var errKilled = errors.New("the launch was given up")

// Start forks the plugin.
func (r *pluginRunner) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errKilled
	}
	c, err := startChild(ctx, r.launcher, r.program, r.logs)
	if err != nil {
		return err
	}
	r.child = c
	r.launched(c.pid)
	return nil
}

// started returns the child, nil where there is none.
func (r *pluginRunner) started() *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.child
}

// Wait returns when the process has ended. Why it ended, the supervisor knows
// by itself.
func (r *pluginRunner) Wait(context.Context) error {
	<-r.started().done
	return nil
}

// Kill ends the process group.
func (r *pluginRunner) Kill(context.Context) error {
	r.mu.Lock()
	r.killed = true
	c := r.child
	r.mu.Unlock()
	if c != nil {
		c.kill()
	}
	return nil
}

// Stdout is the handshake line and nothing else.
func (r *pluginRunner) Stdout() io.ReadCloser { return r.started().greeting }

// Stderr is empty: the child's standard error is read by the supervisor.
func (r *pluginRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the executable's path.
func (r *pluginRunner) Name() string { return r.program.path }

// ID is the process number; empty: not started.
func (r *pluginRunner) ID() string {
	if c := r.started(); c != nil {
		return strconv.Itoa(c.pid)
	}
	return ""
}

// Diagnose adds nothing: package supervise says by itself what is wrong.
func (r *pluginRunner) Diagnose(context.Context) string { return "" }

// PluginToHost leaves an address as it is: both live on one machine.
func (r *pluginRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin leaves an address as it is.
func (r *pluginRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
