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
	DataDir string    `json:"data_dir"`
	// Console is the address of /readyz and /metrics.
	Console string `json:"console"`
	// Ready is false while one of Problems is Unready.
	Ready        bool          `json:"ready"`
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
	// Unready tells that events which come now are turned away, or that nobody is
	// there to take them. Everything else can wait for its mending.
	Unready bool `json:"unready"`
}

// Error writes everything on one line: place, what, remedy and code.
func (p Problem) Error() string {
	s := p.Where + ": " + p.What
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s + " [" + p.Code + "]"
}

// Source is one source. Its counts are of events since the host's start.
type Source struct {
	Name   event.SourceID `json:"name"`
	Plugin event.PluginID `json:"plugin,omitempty"`
	// State is running, starting, backing_off, needs_consent, draining or
	// stopped; removed: it is not in the config, but there is a quarantine of it.
	State    string     `json:"state"`
	Restarts int        `json:"restarts"`
	Progress []Progress `json:"progress,omitempty"`
	// Syncs are what the source reads by itself, each with its last run.
	Syncs []Sync `json:"syncs,omitempty"`

	Accepted   uint64 `json:"accepted"` // new events, in the journal
	Duplicates uint64 `json:"duplicates"`
	Refused    uint64 `json:"refused"` // into the quarantine
	Dropped    uint64 `json:"dropped"`
	NotStored  uint64 `json:"not_stored"` // the client was told to come again
	// Violating were accepted although the tracking plan has something against
	// them.
	Violating uint64 `json:"violating"`
	// RefusedBy counts refused and dropped events by the code of their first
	// violation.
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

// Quarantine is what is kept of one source's refused events. Its counts go on
// across restarts of the host.
type Quarantine struct {
	Open    int    `json:"open"`  // entries
	Count   uint64 `json:"count"` // how often these were refused
	Bytes   int64  `json:"bytes"`
	Limit   int64  `json:"limit"` // bytes
	Full    bool   `json:"full"`
	Expired uint64 `json:"expired"` // entries, by age
	Dropped uint64 `json:"dropped"` // entries, to make room
}

// Plugin is one plugin process.
type Plugin struct {
	Name event.PluginID `json:"name"`
	// State is running, starting, backing_off, crash_loop, draining or stopped.
	State      string    `json:"state"`
	RetryAt    time.Time `json:"retry_at,omitzero"`
	Path       string    `json:"path"`
	PID        int       `json:"pid,omitempty"`
	Version    string    `json:"version,omitempty"` // as it describes itself
	Generation uint64    `json:"generation,omitempty"`
	Restarts   int       `json:"restarts"`
	Listen     string    `json:"listen,omitempty"`
	// LastError stays when the plugin runs again.
	LastError string    `json:"last_error,omitempty"`
	ErrorAt   time.Time `json:"error_at,omitzero"`
}

// Destination is one delivery loop.
type Destination struct {
	Name event.DestinationID `json:"name"`
	Type string              `json:"type"`
	// State is running, starting, retrying, attention, quarantine_full or
	// stopped.
	State         string         `json:"state"`
	Full          bool           `json:"full"` // at max_lag, and its sources hear 503
	Cursor        event.Position `json:"cursor"`
	LagBytes      uint64         `json:"lag_bytes"`
	LagFrames     uint64         `json:"lag_frames"`
	LagSeconds    float64        `json:"lag_seconds"`
	Rate          float64        `json:"rate"` // events per second, lately
	Delivered     uint64         `json:"delivered"`
	Retried       uint64         `json:"retried"`
	Quarantined   uint64         `json:"quarantined"`
	Skipped       uint64         `json:"skipped"`
	GapFrames     uint64         `json:"gap_frames"`
	LastDelivered time.Time      `json:"last_delivered,omitzero"`
	// Notice is the last thing that an operator should know although nothing
	// failed.
	Notice   string    `json:"notice,omitempty"`
	NoticeAt time.Time `json:"notice_at,omitzero"`
}

// Journal is the durable log.
type Journal struct {
	Open   bool      `json:"open"`
	First  uint64    `json:"first"` // frames
	Last   uint64    `json:"last"`
	Bytes  uint64    `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	Queued int       `json:"queued"` // bytes that wait to be durable
	// LostFrames were stored and are damaged or missing now, as far as a reader has
	// come across them; CutBytes are what recoveries have cut off.
	LostFrames uint64 `json:"lost_frames"`
	CutBytes   int64  `json:"cut_bytes"`
	// SyncP50 and SyncP99 are of the last syncs to disk, in seconds.
	SyncP50 float64 `json:"sync_p50_seconds"`
	SyncP99 float64 `json:"sync_p99_seconds"`
	// Free is what the disk has free, and Reserve what is kept free; in bytes.
	Free    uint64 `json:"free"`
	Reserve uint64 `json:"reserve"`
	// DedupIDs are the message ids that are remembered, and DedupWindow for how
	// many seconds the oldest of them has been.
	DedupIDs    int64   `json:"dedup_ids"`
	DedupWindow float64 `json:"dedup_window_seconds"`
}
