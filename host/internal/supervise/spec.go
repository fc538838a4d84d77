package supervise

import (
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Spec is one entry under plugins: with the sources that use it. It carries
// secrets (Env, Config, the sources' keys): it is never printed.
type Spec struct {
	Name event.PluginID
	Path string   // of the executable, absolute
	Args []string // after the executable's name
	// Dir is the process's working directory: what relative paths in a config are
	// relative to. Empty: the host's own.
	Dir string
	// Env is added to the few variables that every plugin gets.
	Env    map[string]string
	SHA256 string // of the executable, in hex; empty: not pinned
	// Listen is the address, host:port, of the socket that the host binds for
	// the plugin; empty: none.
	Listen string
	TLS    *TLSFiles // nil: connections are plain
	Config []byte    // the plugin's own config as JSON; empty: none
	// Sources are the enabled sources of this plugin.
	Sources []SourceSpec
	Limits  Limits
}

// TLSFiles names the PEM files of a listener's certificate. They are read again
// when they change.
type TLSFiles struct {
	Cert string
	Key  string
}

// SourceSpec is one enabled source.
type SourceSpec struct {
	ID     event.SourceID
	Config []byte // as JSON; empty: none
	// WithoutAuth is Config without its auth. A plugin that needs consent gets it
	// instead: what proves who asks for consent is the host's alone.
	WithoutAuth []byte
	Keys        []string
	// StateDir is a folder of the source's own, made when it starts; empty: none.
	StateDir string
}

// Limits bound what a source may hand over.
type Limits struct {
	EventBytes  uint32 // a larger event is refused by the gate
	BatchBytes  uint32 // a Batch with more bytes of events ends the stream
	BatchEvents uint32 // a Batch with more events ends the stream
	Window      uint32 // batches without a verdict at one time
}

// DefaultLimits are used for every field of a Spec's Limits that is 0.
func DefaultLimits() Limits {
	return Limits{EventBytes: 1 << 20, BatchBytes: 4 << 20, BatchEvents: 10_000, Window: 64}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, want *uint32 }{
		{&l.EventBytes, &d.EventBytes}, {&l.BatchBytes, &d.BatchBytes},
		{&l.BatchEvents, &d.BatchEvents}, {&l.Window, &d.Window},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	return l
}

func (l Limits) wire() *wire.Limits {
	return &wire.Limits{
		EventBytes: l.EventBytes, BatchBytes: l.BatchBytes,
		BatchEvents: l.BatchEvents, Window: l.Window,
	}
}

// sourceConfig is what a plugin that describes itself as d gets for a source.
func (s *Spec) sourceConfig(source *SourceSpec, d *wire.Description) *wire.SourceConfig {
	config := source.Config
	if d.GetConsent() != "" {
		config = source.WithoutAuth
	}
	return &wire.SourceConfig{
		Source: string(source.ID), Config: config, Plugin: s.Config, Keys: source.Keys,
	}
}

// Timing holds the package's periods and bounds. A zero field takes its
// default; tests shorten them.
type Timing struct {
	Handshake time.Duration // from fork to the end of the handshake; 10 s
	Call      time.Duration // one Describe or Serve; 10 s
	// Answers is how long the first Serve waits for sources that have neither
	// started nor failed; 10 s.
	Answers time.Duration
	// Silence is the longest silence of a stream whose plugin names none; 60 s.
	Silence time.Duration

	ProbeEvery    time.Duration // between two probes of a listener; 5 s
	ProbeTimeout  time.Duration // of one probe; 3 s
	ProbeFailures int           // in a row, after which the process is restarted; 3

	Healthy    time.Duration // after so long without a fault the back-off begins anew; 5 s
	BackoffMin time.Duration // before the second try (the first is at once); 250 ms
	BackoffMax time.Duration // 30 s

	// Command is how long a source may take to answer a command; 30 s.
	Command time.Duration

	Drain time.Duration // from Drain to the end of a source's stream; 10 s
	// Grace is what a process gets to exit by itself before it is killed; 2 s,
	// which is also the most that go-plugin gives.
	Grace time.Duration
	// Bind is how long a busy address is tried again; 2 s.
	Bind time.Duration
	// CertificateEvery is how often TLS files are looked at; 5 s.
	CertificateEvery time.Duration
}

// DefaultTiming is what production uses.
func DefaultTiming() Timing {
	return Timing{
		Handshake: 10 * time.Second, Call: 10 * time.Second,
		Answers: 10 * time.Second, Silence: time.Minute,
		ProbeEvery: 5 * time.Second, ProbeTimeout: 3 * time.Second, ProbeFailures: 3,
		Healthy: 5 * time.Second, BackoffMin: 250 * time.Millisecond, BackoffMax: 30 * time.Second,
		Command: 30 * time.Second, Drain: 10 * time.Second, Grace: 2 * time.Second, Bind: 2 * time.Second,
		CertificateEvery: 5 * time.Second,
	}
}

func (t Timing) orDefault() Timing {
	d := DefaultTiming()
	for _, f := range []struct{ have, want *time.Duration }{
		{&t.Handshake, &d.Handshake}, {&t.Call, &d.Call}, {&t.Answers, &d.Answers},
		{&t.Silence, &d.Silence}, {&t.ProbeEvery, &d.ProbeEvery}, {&t.ProbeTimeout, &d.ProbeTimeout},
		{&t.Healthy, &d.Healthy}, {&t.BackoffMin, &d.BackoffMin}, {&t.BackoffMax, &d.BackoffMax},
		{&t.Command, &d.Command},
		{&t.Drain, &d.Drain}, {&t.Grace, &d.Grace}, {&t.Bind, &d.Bind},
		{&t.CertificateEvery, &d.CertificateEvery},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	if t.ProbeFailures == 0 {
		t.ProbeFailures = d.ProbeFailures
	}
	return t
}
