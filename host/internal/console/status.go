package console

import (
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Status is a host at one moment: what `wellhead status` prints, what /metrics
// counts and what decides /readyz.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Problems are why the host is not ready; none: it is.
	Problems     []Problem     `json:"problems"`
	Sources      []Source      `json:"sources"`
	Plugins      []Plugin      `json:"plugins"`
	Destinations []Destination `json:"destinations"`
	Journal      Journal       `json:"journal"`
}

// Problem is something that an operator should mend.
type Problem struct {
	Code  string `json:"code"`  // stable
	Where string `json:"where"` // plugin javascript, source website, …
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
}

// Source is one source. Its counts are of events since the host's start.
type Source struct {
	Name     event.SourceID `json:"name"`
	Plugin   event.PluginID `json:"plugin"`
	State    string         `json:"state"`
	Problem  string         `json:"problem,omitempty"`
	Restarts int            `json:"restarts"`
	Progress []Progress     `json:"progress,omitempty"`

	Accepted   uint64 `json:"accepted"` // new events, in the journal
	Duplicates uint64 `json:"duplicates"`
	Refused    uint64 `json:"refused"` // into the quarantine
	Dropped    uint64 `json:"dropped"`
	NotStored  uint64 `json:"not_stored"` // the client was told to come again
	// RefusedBy counts violations by code.
	RefusedBy map[string]uint64 `json:"refused_by,omitempty"`
	// ClockIgnored counts events whose sentAt was too absurd to correct a clock.
	ClockIgnored uint64 `json:"clock_ignored"`

	Quarantine Quarantine `json:"quarantine"`
}

// Progress tells how far a long read of a source has come.
type Progress struct {
	Stream  string `json:"stream"`
	Done    uint64 `json:"done"`
	Total   uint64 `json:"total,omitempty"` // 0: not known
	Message string `json:"message,omitempty"`
}

// Quarantine is what is kept of one source's refused events.
type Quarantine struct {
	Open    uint64 `json:"open"` // entries
	Bytes   int64  `json:"bytes"`
	Limit   int64  `json:"limit"` // bytes
	Full    bool   `json:"full"`
	Dropped uint64 `json:"dropped"` // entries, to make room
}

// Plugin is one plugin process.
type Plugin struct {
	Name       event.PluginID `json:"name"`
	State      string         `json:"state"`
	PID        int            `json:"pid,omitempty"`
	Version    string         `json:"version,omitempty"`
	Generation uint64         `json:"generation,omitempty"`
	Restarts   int            `json:"restarts"`
	Listen     string         `json:"listen,omitempty"`
	Problem    string         `json:"problem,omitempty"`
}

// Destination is one delivery loop.
type Destination struct {
	Name          event.DestinationID `json:"name"`
	Type          string              `json:"type"`
	State         string              `json:"state"`
	Full          bool                `json:"full"`
	Cursor        event.Position      `json:"cursor"`
	LagBytes      uint64              `json:"lag_bytes"`
	LagFrames     uint64              `json:"lag_frames"`
	LagSeconds    float64             `json:"lag_seconds"`
	Rate          float64             `json:"rate"` // events per second, lately
	Delivered     uint64              `json:"delivered"`
	Retried       uint64              `json:"retried"`
	Quarantined   uint64              `json:"quarantined"`
	Skipped       uint64              `json:"skipped"`
	GapFrames     uint64              `json:"gap_frames"`
	LastDelivered time.Time           `json:"last_delivered,omitzero"`
	Problem       string              `json:"problem,omitempty"`
	Hint          string              `json:"hint,omitempty"`
}

// Journal is the durable log.
type Journal struct {
	State  string    `json:"state"` // open, or why it takes nothing
	First  uint64    `json:"first"` // frames
	Last   uint64    `json:"last"`
	Bytes  uint64    `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	// BadFrames were damaged on disk and left out.
	BadFrames uint64 `json:"bad_frames"`
	// DedupIDs are the message ids that are remembered, and DedupWindow for how
	// many seconds the oldest of them has been.
	DedupIDs    int64   `json:"dedup_ids"`
	DedupWindow float64 `json:"dedup_window_seconds"`
}
