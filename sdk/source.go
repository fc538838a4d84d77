package sdk

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Source is what an author writes. One plugin process serves many sources, so
// Run is called once for each and several calls run side by side.
//
// What else a plugin can do it says with further methods: see Checker,
// Discoverer and Listener.
type Source interface {
	// Run is the life of one source. It emits on s until it has nothing more
	// to do, ctx ends or s.Draining is closed, and returns nil then. An error
	// is shown to the operator, and Run is called again after a pause, with
	// the checkpoint that is durable by then.
	Run(ctx context.Context, s *Stream) error
}

// Checker is a Source that can look at its settings from outside: does the
// password work, may the user read. It must not change anything there.
type Checker interface {
	Source
	Check(ctx context.Context, s *Settings) []Problem
}

// Discoverer is a Source that can list what it could read, or tell of the one
// that Settings.Stream names. Discover must not change anything there.
type Discoverer interface {
	Source
	Discover(ctx context.Context, s *Settings) ([]StreamInfo, error)
}

// Listener is a Source that serves connections. HTTP makes one from a handler.
type Listener interface {
	Source
	// Listen serves the socket that the host bound until ctx ends. It is called
	// once in a process, when the host has said which sources there are. The
	// socket outlives the process: a connection that nobody has accepted waits
	// for the next one. Listen must answer the host's probe: see Sources.Probe.
	Listen(ctx context.Context, l net.Listener, sources *Sources) error
}

// Plugin is what Serve runs.
type Plugin struct {
	// Name and Version are shown to operators.
	Name    string
	Version string
	Source  Source
	// ConfigSchema is the JSON Schema (draft 2020-12) of a source's config, and
	// PluginSchema that of the config beside the plugin's path. The host
	// refuses a config that does not match. Empty: no config is taken.
	ConfigSchema []byte
	PluginSchema []byte
	// Events lists what the sources can emit, for those who write tracking plans.
	Events []EventSchema
	// Consent names the provider of the access tokens that a source needs
	// ("salesforce"); empty: none.
	Consent string
	// MaxSilence is the longest time for which a healthy Run says nothing
	// while it waits for no verdict. A Run that is silent for longer is ended
	// and called again. 0 means 60 s. Emit, Progress, Health and Alive speak.
	MaxSilence time.Duration
}

// EventSchema describes one kind of event that a plugin emits.
type EventSchema struct {
	Type   string // track, identify, page, screen, group or alias
	Event  string // the name of a track call
	Schema []byte // JSON Schema of its properties or traits
}

// StreamInfo is one thing that a source could read: a table, an object.
type StreamInfo struct {
	Name   string
	Title  string
	Schema json.RawMessage // JSON Schema of one record; nil: not told unless it is asked for
}

// Problem is something that a person can mend. As an error, or wrapped by one,
// it brings its code and fix to whoever sees the error.
type Problem struct {
	Code    string // stable, lower_case
	Path    string // JSON Pointer into the source's config; empty: the source as a whole
	Message string
	// Warning says that the source works all the same; of Check's problems.
	Warning bool
	Fix     string // the host puts the source's name into wellhead connect SOURCE
}

// Error writes everything on one line: place, what, remedy and code.
func (p Problem) Error() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	if p.Code != "" {
		s += " [" + p.Code + "]"
	}
	return s
}

// Settings are what the operator wrote for one source.
type Settings struct {
	// Source is the source's name.
	Source string
	// Keys are the source's API keys: several while they rotate.
	Keys []string
	// Token is there for Check and Discover where the plugin needs consent.
	Token Token
	// Stream is the one that Discover is asked about, with its schema. Empty: all
	// of them, and schemas only where they cost little.
	Stream string
	// StateDir is a folder of the source's own, for what it can make anew if it is
	// lost: it is not part of the checkpoint, and on another machine it is empty.
	// Empty: there is none, as in Check and Discover.
	StateDir string

	samples []*wire.Sample
	config  json.RawMessage
	plugin  json.RawMessage
}

// Config decodes the source's config into v, a pointer to a struct. Unknown
// members are an error. Relative paths in it are relative to the config file's
// folder, which is the process's working directory: a plugin just opens them.
func (s *Settings) Config(v any) error { return decodeStrict("config", s.config, v) }

// PluginConfig decodes the config that stands beside the plugin's path.
func (s *Settings) PluginConfig(v any) error { return decodeStrict("plugin config", s.plugin, v) }

// Bounds on what Show takes.
const (
	MaxSampleEvents = 10 // of one sync
	MaxSampleBytes  = 64 << 10
)

// Show tells, in Check, what a sync's first records would become, for a person
// to look at. What is beyond the bounds is left out.
func (s *Settings) Show(sync string, events ...Event) {
	sample := &wire.Sample{Name: sync}
	size := 0
	for _, e := range events[:min(len(events), MaxSampleEvents)] {
		if size += len(e); size > MaxSampleBytes {
			break
		}
		sample.Events = append(sample.Events, e)
	}
	s.samples = append(s.samples, sample)
}

// Token is a short-lived access token of a person's consent. The host keeps
// the refresh token to itself.
type Token struct {
	AccessToken string
	InstanceURL string
}
