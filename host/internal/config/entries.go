package config

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Plugin is one plugin process.
type Plugin struct {
	Name string
	// Path is the executable.
	Path Path `yaml:"path"`
	// Listen is the address that the host binds for it; empty: none.
	Listen Address `yaml:"listen,omitempty"`
	TLS    *TLS    `yaml:"tls,omitempty"`
	// SHA256 is the lower-case hex digest that the executable must have; empty: any.
	SHA256 Digest `yaml:"sha256,omitempty"`
	// Env is all the environment that the process gets beside what every plugin gets.
	Env map[string]Secret `yaml:"env,omitempty"`
	// Config is checked against the plugin's own schema.
	Config  Section `yaml:"config,omitempty"`
	Enabled bool    `yaml:"enabled"`
}

// TLS names the files of a certificate, in PEM. They are read again when they
// change.
type TLS struct {
	Cert Path `yaml:"cert"`
	Key  Path `yaml:"key"`
}

// Digest is a SHA-256 in lower-case hex.
type Digest string

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// UnmarshalText reads 64 hex digits of either case.
func (d *Digest) UnmarshalText(b []byte) error {
	text := strings.ToLower(string(b))
	if !digestForm.MatchString(text) {
		return notA(string(b), d.want(), "wellhead plugin pin prints it")
	}
	*d = Digest(text)
	return nil
}

func (Digest) want() string { return "a SHA-256 of 64 hex digits" }

// Default turns the plugin on.
func (p *Plugin) Default() { *p = Plugin{Enabled: true} }

func (p *Plugin) complete(dir string) {
	if p.Path == "" {
		p.Path = Path(filepath.Join(dir, p.Name))
	}
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate reports what the plugin's own keys get wrong.
func (p *Plugin) Validate() error {
	var f findings
	if p.TLS != nil {
		if p.TLS.Cert == "" {
			f.add("tls.cert", Problem{Code: CodeMissingKey, What: "is missing", Hint: "name the file of the certificate chain, in PEM"})
		}
		if p.TLS.Key == "" {
			f.add("tls.key", Problem{Code: CodeMissingKey, What: "is missing", Hint: "name the file of the private key, in PEM"})
		}
		if p.Listen == "" {
			f.problems = append(f.problems, Problem{Path: "tls", needs: "listen", Code: CodeMissingKey,
				What: "there is no listen: for it", Hint: "add listen:, or remove tls:"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		path := joinPath("env", pathKey(name))
		switch {
		case !envName.MatchString(name):
			f.add(path, Problem{Code: CodeBadName, What: "a variable's name is of letters, digits and _, and begins with no digit"})
		case strings.HasPrefix(name, "WELLHEAD_"):
			f.add(path, Problem{Code: CodeConflict, What: "names that begin with WELLHEAD_ are the host's own", Hint: "name it otherwise"})
		case strings.ContainsRune(p.Env[name].Reveal(), 0):
			f.add(path, Problem{Code: CodeWrongValue, What: "the value holds a zero byte"})
		}
	}
	return f.problems.Err()
}

// OnViolation is what happens to an event that breaks its tracking plan.
type OnViolation string

// The choices of OnViolation.
const (
	OnViolationQuarantine OnViolation = "quarantine"
	OnViolationDrop       OnViolation = "drop"    // and it is counted
	OnViolationDeliver    OnViolation = "deliver" // with context.violations
)

// Values lists the choices.
func (OnViolation) Values() []string {
	return []string{string(OnViolationQuarantine), string(OnViolationDrop), string(OnViolationDeliver)}
}

// Source is a configured instance of a plugin.
type Source struct {
	Name   string
	Plugin string `yaml:"plugin"` // by its name
	// Keys are the API keys by which clients name the source.
	Keys []Secret `yaml:"keys,omitempty"`
	// Plan is the file of the tracking plan; empty: none.
	Plan        Path         `yaml:"plan,omitempty"`
	OnViolation OnViolation  `yaml:"on_violation"`
	Limits      SourceLimits `yaml:"limits,omitempty"`
	// Destinations are the names of those that get its events.
	Destinations []string `yaml:"destinations,omitempty"`
	// Config is checked against the plugin's own schema.
	Config  Section `yaml:"config,omitempty"`
	Enabled bool    `yaml:"enabled"`
}

// SourceLimits bounds how fast a source may send.
type SourceLimits struct {
	Rate Rate `yaml:"rate,omitempty"` // of events; zero: no limit
	// Burst is how many events may come at once; 0: those of one second of Rate,
	// and at least one.
	Burst int64 `yaml:"burst,omitempty"`
}

// EventsAtOnce is Burst with its default; 0: no limit.
func (l SourceLimits) EventsAtOnce() int64 {
	if l.Burst > 0 || l.Rate.IsZero() {
		return l.Burst
	}
	return max(1, int64(math.Ceil(l.Rate.PerSecond())))
}

// Default turns the source on, with quarantine for what breaks its plan.
func (s *Source) Default() { *s = Source{Enabled: true, OnViolation: OnViolationQuarantine} }

const minKey = 8 // characters

// Validate reports what the source's own keys get wrong.
func (s *Source) Validate() error {
	var f findings
	if s.Plugin == "" {
		f.add("plugin", Problem{Code: CodeMissingKey, What: "is missing", Hint: "name the entry under plugins: that this source is of"})
	}
	for i, key := range s.Keys {
		path := fmt.Sprintf("keys[%d]", i)
		switch text := key.Reveal(); {
		case text == "":
			f.add(path, Problem{Code: CodeWrongValue, What: "the key is empty", Hint: "make one with: wellhead keys new"})
		case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			f.add(path, Problem{Code: CodeWrongValue, What: "the key holds a space or a control character, which no client can send"})
		case len(text) < minKey:
			f.add(path, Problem{Code: CodeWrongValue, What: fmt.Sprintf("the key has fewer than %d characters and could be guessed", minKey),
				Hint: "make one with: wellhead keys new"})
		}
	}
	switch l := s.Limits; {
	case l.Burst < 0:
		f.add("limits.burst", Problem{Code: CodeWrongValue, What: fmt.Sprintf("%d is out of range", l.Burst), Hint: "want a number of events from 1"})
	case l.Burst > 0 && l.Rate.IsZero():
		f.problems = append(f.problems, Problem{Path: "limits.burst", needs: "limits.rate", Code: CodeMissingKey,
			What: "a burst means nothing without a rate", Hint: "add rate:, such as rate: 1000/s"})
	}
	return f.problems.Err()
}

// WhenBehind is what happens when a destination is further behind than MaxLag.
type WhenBehind string

// The choices of WhenBehind.
const (
	WhenBehindRefuse WhenBehind = "refuse" // the sources routed to it hear 503
	WhenBehindSkip   WhenBehind = "skip"   // it misses events: recorded, counted, and an alarm
)

// Values lists the choices.
func (WhenBehind) Values() []string {
	return []string{string(WhenBehindRefuse), string(WhenBehindSkip)}
}

// From is where a new destination begins. The zero From is the journal's end.
type From struct {
	Oldest bool
	Time   time.Time
}

// UnmarshalText reads "oldest", a date (in UTC) or an RFC 3339 time.
func (f *From) UnmarshalText(b []byte) error {
	if string(b) == "oldest" {
		*f = From{Oldest: true}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, string(b)); err == nil {
			*f = From{Time: t}
			return nil
		}
	}
	return notA(string(b), f.want(), "remove it to begin at the journal's end")
}

// IsZero reports whether it begins at the journal's end.
func (f From) IsZero() bool { return !f.Oldest && f.Time.IsZero() }

// String is what UnmarshalText reads; empty for the zero From.
func (f From) String() string {
	switch {
	case f.Oldest:
		return "oldest"
	case f.Time.IsZero():
		return ""
	}
	return f.Time.Format(time.RFC3339Nano)
}

// MarshalText is String.
func (f From) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

func (From) want() string { return `"oldest" or a time such as 2026-01-31T08:00:00Z` }

// Destination is where accepted events are delivered.
type Destination struct {
	Name    string
	Type    string     `yaml:"type"`
	MaxLag  MaxLag     `yaml:"max_lag"`
	AtLimit WhenBehind `yaml:"at_limit"`
	From    From       `yaml:"from,omitempty"`
	Enabled bool       `yaml:"enabled"`
	// Settings has the keys that are the type's own.
	Settings Section `yaml:"-" config:"rest"`
}

// MaxLag is how far behind the journal's end a destination may be, whichever is
// reached first. Load sets 90 % of the journal's own limits where the file says
// nothing.
type MaxLag struct {
	Bytes Size     `yaml:"bytes"`
	Age   Duration `yaml:"age"`
}

// Default turns the destination on; a lag beyond the limit refuses.
func (d *Destination) Default() { *d = Destination{Enabled: true, AtLimit: WhenBehindRefuse} }

// complete sets what the file does not say of a destination's lag.
func (m *MaxLag) complete(destination value, j Journal) {
	if !destination.has("max_lag.bytes") {
		m.Bytes = j.MaxBytes / 10 * 9
	}
	if !destination.has("max_lag.age") {
		m.Age = j.MaxAge / 10 * 9
	}
}

// Validate reports what the keys common to all types get wrong.
func (d *Destination) Validate() error {
	var f findings
	if d.Type == "" {
		f.add("type", Problem{Code: CodeMissingKey, What: "is missing", Hint: "say what kind it is, such as type: file"})
	}
	return f.problems.Err()
}

// checkLag reports a lag that the journal would not keep the events for.
func checkLag[T interface {
	~int64
	fmt.Stringer
}](f *findings, path string, lag, journal T) {
	limit := "journal.max_" + path[strings.LastIndexByte(path, '.')+1:]
	if lag > 0 && lag < journal {
		return
	}
	p := Problem{Path: path, needs: limit, Code: CodeWrongValue, Hint: "lower it, or remove it for 90 % of the journal's limit",
		What: fmt.Sprintf("%v is not below %s (%v): events would be removed before they are delivered", lag, limit, journal)}
	if lag <= 0 {
		p.What, p.Hint = fmt.Sprintf("%v is out of range", lag), "remove it for 90 % of the journal's limit"
	}
	f.problems = append(f.problems, p)
}
