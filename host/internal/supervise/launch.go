package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// launch is what it takes to start a plugin's process.
type launch struct {
	spec     *Spec
	launcher *launcher
	listener *Socket // nil: none
	// sockets is a folder with a short path: the plugin's gRPC socket goes below.
	sockets string
	timeout time.Duration // from fork to the end of the handshake
	mark    string        // by which a successor knows the process and its children
	logs    *logSink
	// launched is called with the process number before the plugin can serve.
	launched func(pid int)
}

// process is a launched plugin that has finished the handshake.
type process struct {
	rpc    wire.SourceClient
	conn   *grpc.ClientConn
	child  *child
	client *plugin.Client
}

// start launches the process and finishes the handshake. The error is an *Error,
// or the cause by which ctx ended.
func (l *launch) start(ctx context.Context) (*process, error) {
	if err := l.spec.Verify(); err != nil {
		return nil, err
	}
	// Cleaners of temporary folders may have taken it away.
	if err := os.MkdirAll(l.sockets, 0o700); err != nil {
		e := l.spec.fault(CodeLaunch, fmt.Sprintf("folder for its socket: %v", err), "let the host's user write there, or set TMPDIR")
		e.Err = err
		return nil, e
	}
	handshake, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	run := &pluginRunner{launcher: l.launcher, logs: l.logs, launched: l.launched}
	var folder string
	client := plugin.NewClient(l.clientConfig(func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
		folder = dir
		// Of go-plugin's command only what it adds to the environment is wanted.
		run.program = program{
			path: l.spec.Path, argv: append([]string{l.spec.Path}, l.spec.Args...), dir: l.spec.Dir,
			env: environ(l.spec.Env, append(cmd.Env, envMark+"="+l.mark)), listener: l.listener,
		}
		return run, nil
	}))
	// go-plugin's calls take no context: the end of the process ends them.
	stop := context.AfterFunc(handshake, func() { _ = run.Kill(handshake) })
	p, err := connect(client)
	if p.child = run.started(); stop() && err == nil {
		return p, nil
	}
	if p.child != nil {
		p.end(0)
	}
	// go-plugin leaves its folder behind where the process could not be started.
	_ = os.RemoveAll(folder)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, l.explain(p.child, err, handshake.Err() != nil)
}

func (l *launch) clientConfig(run func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error)) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: wire.Plugins(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc:       run,
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     l.timeout + time.Second, // the context of start comes first
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: l.sockets},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(int(l.spec.Limits.BatchBytes)+wire.Overhead),
			grpc.ForceCodecV2(wire.Codec()),
		)},
		Logger:     hclog.NewNullLogger(),
		SyncStdout: l.logs.writer("stdout"),
		SyncStderr: l.logs.writer("stderr"),
	}
}

func connect(client *plugin.Client) (*process, error) {
	p := &process{client: client}
	protocol, err := client.Client()
	if err != nil {
		return p, err
	}
	c, ok := protocol.(*plugin.GRPCClient)
	if !ok {
		return p, errors.New("it speaks no gRPC")
	}
	p.conn = c.Conn
	p.rpc, err = wire.Dispense(protocol)
	return p, err
}

// end asks the process to exit, kills its group when grace is over, and returns
// when it is gone.
func (p *process) end(grace time.Duration) {
	// go-plugin's Kill asks without a time bound, and a stopped process never
	// answers: only the end of the process ends it for sure.
	timer := time.AfterFunc(grace, p.child.kill)
	defer timer.Stop()
	p.client.Kill()
	p.child.kill()
	p.child.wait()
}
