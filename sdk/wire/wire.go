// Package wire is the one room that the host and a plugin share: the handshake,
// the protocol of source.proto and both of its ends.
//
// An author of a plugin has no need of it: package sdk hides it.
package wire

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative source.proto

// ProtocolVersion is the newest version of source.proto that this package
// speaks. Host and plugin settle on the newest that both know.
const ProtocolVersion = 1

// Handshake tells a plugin that it was started by a host, not by a person. It
// protects no secret.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "WELLHEAD_PLUGIN",
	MagicCookieValue: "source",
}

// What a plugin process inherits beside its standard streams. The host puts the
// descriptors into exec.Cmd.ExtraFiles in this order, so their numbers are fixed.
const (
	// EnvLifeline names the descriptor of a pipe that ends when the host does.
	// The plugin reads it and exits at its end.
	EnvLifeline = "WELLHEAD_LIFELINE_FD"
	// EnvListeners names the descriptors of the bound, listening sockets, as
	// comma-separated numbers; empty or absent: none.
	EnvListeners = "WELLHEAD_LISTENER_FDS"

	// FirstFD is the number of the first inherited descriptor: the lifeline.
	FirstFD = 3
)

// ProbePath is answered on a plugin's listener with a Probe as JSON.
const ProbePath = "/.well-known/wellhead"

// Probe says who serves a listener.
type Probe struct {
	Plugin     string `json:"plugin"`
	Version    string `json:"version"`
	Generation uint64 `json:"generation"`
	Protocol   int    `json:"protocol"`
}

// Reasons of a NotStored. They are stable.
const (
	RateLimited     = "rate_limited"
	JournalBehind   = "journal_behind"
	DiskFull        = "disk_full"
	DestinationFull = "destination_full"
	QuarantineFull  = "quarantine_full"
	Closed          = "closed"
)

// Reasons of a Token without a token. They are stable.
const (
	NeedsConsent = "needs_consent"
	Unavailable  = "unavailable"
)

// States of a Sync. They are stable.
const (
	SyncIdle    = "idle"
	SyncRunning = "running"
	SyncPaused  = "paused"
	SyncFailed  = "failed"
)

// Actions of a SyncCommand. They are stable.
const (
	SyncRunNow = "run"
	SyncPause  = "pause"
	SyncResume = "resume"
	SyncReset  = "reset"
)

// Bounds on what a source tells of its syncs. A SyncReport within them is smaller
// than Overhead.
const (
	MaxSyncs    = 256     // of one source
	MaxSyncRuns = 256     // in one SyncReport
	MaxSyncName = 128     // bytes of a sync's name
	MaxSyncWord = 64      // bytes of a run's id and kind, and of an error's code
	MaxSyncText = 1 << 10 // bytes of an error's message, path and fix

	// SyncReportEvery is the least time between two SyncReports, on the average of
	// a minute.
	SyncReportEvery = 250 * time.Millisecond
	// MaxSyncCommands bounds the commands of a stream without an answer.
	MaxSyncCommands = MaxSyncs
)

// Bounds on gRPC messages, in bytes. The host raises its own from limits.request.
const (
	// MaxToSource bounds what a plugin takes from the host: a verdict that
	// lists every violation of a full batch, or a large config.
	MaxToSource = 32 << 20
	// Overhead is what a Batch may need beyond its events.
	Overhead = 1 << 20
	// MaxCheckpoint bounds a source's checkpoint. It fits into Overhead with
	// room for the rest.
	MaxCheckpoint = 512 << 10
)

const pluginName = "source"

// Plugins is what the host passes to go-plugin's client.
func Plugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{ProtocolVersion: {pluginName: &grpcPlugin{}}}
}

// Serve runs a plugin's side until the host ends it. It prints the handshake on
// standard output and must be the only one to print there.
func Serve(source SourceServer) {
	if os.Getenv(Handshake.MagicCookieKey) != Handshake.MagicCookieValue {
		fmt.Fprintln(os.Stderr, "this is a wellhead plugin, which the host starts: name it under plugins: in a config; wellhead plugin describe NAME -c FILE shows what it takes")
		os.Exit(1)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{
			ProtocolVersion: {pluginName: &grpcPlugin{source: source}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(MaxToSource), grpc.ForceServerCodecV2(Codec()))...)
		},
	})
}

// Dispense returns the plugin behind a started go-plugin client.
func Dispense(c plugin.ClientProtocol) (SourceClient, error) {
	raw, err := c.Dispense(pluginName)
	if err != nil {
		return nil, fmt.Errorf("dispense source: %w", err)
	}
	return raw.(SourceClient), nil
}

type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	source SourceServer // nil in the host
}

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	RegisterSourceServer(s, p.source)
	return nil
}

func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return NewSourceClient(c), nil
}
