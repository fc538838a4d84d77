package config

import (
	"fmt"
	"time"
)

// Console is the web console, with the health and metrics endpoints.
type Console struct {
	Listen Address `yaml:"listen"`
}

// Default sets the address 127.0.0.1:8090.
func (c *Console) Default() { *c = Console{Listen: "127.0.0.1:8090"} }

// Validate reports an address that others than this machine could reach.
func (c *Console) Validate() error {
	var f findings
	switch {
	case c.Listen == "":
		f.add("listen", Problem{Code: CodeMissingKey, What: "is missing"})
	case !c.Listen.Loopback():
		f.add("listen", Problem{Code: CodeUnsupported,
			What: fmt.Sprintf("%s can be reached from other machines, and the console has no passwords yet", c.Listen),
			Hint: "listen on 127.0.0.1 and reach it by ssh -L, or by a proxy that asks for a password"})
	}
	return f.problems.Err()
}

// Sync says when accepted events are on disk. The zero Sync is always: before a
// client hears 200. Else it is at the latest after Interval, and a power cut
// may lose what was accepted in it.
type Sync struct{ Interval Duration }

// UnmarshalText reads "always" or a duration.
func (s *Sync) UnmarshalText(b []byte) error {
	if string(b) == "always" {
		*s = Sync{}
		return nil
	}
	d, err := ParseDuration(string(b))
	if err != nil {
		return notA(string(b), s.want(), "")
	}
	if std := d.Std(); std < time.Millisecond || std > 10*time.Minute {
		return Problem{Code: CodeWrongValue, What: fmt.Sprintf("%v is out of range", d), Hint: "want always, or 1ms to 10m"}
	}
	*s = Sync{Interval: d}
	return nil
}

// Always reports whether an event is on disk before its client hears 200.
func (s Sync) Always() bool { return s.Interval == 0 }

// String is what UnmarshalText reads.
func (s Sync) String() string {
	if s.Always() {
		return "always"
	}
	return s.Interval.String()
}

// MarshalText is String.
func (s Sync) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (Sync) want() string { return `"always" or a duration such as 100ms` }

// Journal is the durable log of accepted events. What is older than MaxAge or
// beyond MaxBytes is removed, the oldest first.
type Journal struct {
	Sync     Sync     `yaml:"sync"`
	MaxBytes Size     `yaml:"max_bytes"`
	MaxAge   Duration `yaml:"max_age"`
	// NATS would put the journal into a cluster. It is refused until that exists.
	NATS Section `yaml:"nats,omitempty"`
}

// Default sets sync: always, 50GB and 7 days.
func (j *Journal) Default() {
	*j = Journal{MaxBytes: 50 * GB, MaxAge: Duration(7 * day)}
}

// Validate reports limits out of range.
func (j *Journal) Validate() error {
	var f findings
	within(&f, "max_bytes", j.MaxBytes, 2*maxEvent, 1024*TiB)
	within(&f, "max_age", j.MaxAge, Duration(time.Minute), maxDuration)
	if !j.NATS.IsZero() {
		f.add("nats", Problem{Code: CodeUnsupported, What: "a journal in a cluster is not offered yet",
			Hint: "remove it: the journal is then in data_dir"})
	}
	return f.problems.Err()
}

// Dedup is how long, and for how many events, a repeated messageId is
// recognised, whichever ends first.
type Dedup struct {
	Window Duration `yaml:"window"`
	MaxIDs int64    `yaml:"max_ids"`
}

// Default sets 24 hours and 20 million.
func (d *Dedup) Default() {
	*d = Dedup{Window: Duration(day), MaxIDs: 20_000_000}
}

// Validate reports bounds out of range.
func (d *Dedup) Validate() error {
	var f findings
	within(&f, "window", d.Window, Duration(time.Minute), Duration(365*day))
	if d.MaxIDs < 1 || d.MaxIDs > 10_000_000_000 {
		f.add("max_ids", Problem{Code: CodeWrongValue, What: fmt.Sprintf("%d is out of range", d.MaxIDs), Hint: "want 1 to 10000000000"})
	}
	return f.problems.Err()
}

// WhenFull is what happens to a refused event when its source's quarantine is
// full.
type WhenFull string

// The choices of WhenFull.
const (
	WhenFullRefuse     WhenFull = "refuse"      // the source hears 503
	WhenFullDropOldest WhenFull = "drop_oldest" // and the drop is counted
)

// Values lists the choices.
func (WhenFull) Values() []string {
	return []string{string(WhenFullRefuse), string(WhenFullDropOldest)}
}

// Quarantine bounds the refused events of each source.
type Quarantine struct {
	MaxBytes Size     `yaml:"max_bytes"`
	MaxAge   Duration `yaml:"max_age"`
	AtLimit  WhenFull `yaml:"at_limit"`
}

// Default sets 1GiB, 30 days and refuse.
func (q *Quarantine) Default() {
	*q = Quarantine{MaxBytes: GiB, MaxAge: Duration(30 * day), AtLimit: WhenFullRefuse}
}

// Validate reports limits out of range.
func (q *Quarantine) Validate() error {
	var f findings
	within(&f, "max_bytes", q.MaxBytes, MiB, 1024*TiB)
	within(&f, "max_age", q.MaxAge, Duration(time.Minute), maxDuration)
	return f.problems.Err()
}

const maxEvent = 8 * MiB

// Limits bounds what a client may send.
type Limits struct {
	Event   Size `yaml:"event"`   // one event
	Request Size `yaml:"request"` // one request, after decompression
}

// Default sets 1MiB and 4MiB.
func (l *Limits) Default() { *l = Limits{Event: MiB, Request: 4 * MiB} }

// Validate reports limits out of range.
func (l *Limits) Validate() error {
	var f findings
	within(&f, "event", l.Event, KiB, maxEvent)
	within(&f, "request", l.Request, KiB, 64*MiB)
	if l.Request < l.Event {
		f.problems = append(f.problems, Problem{Path: "request", needs: "event", Code: CodeWrongValue,
			What: fmt.Sprintf("%v is less than limits.event (%v): no request could carry the largest event", l.Request, l.Event),
			Hint: fmt.Sprintf("make it %v or more", l.Event)})
	}
	return f.problems.Err()
}
