package source

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

//go:embed config.schema.json
var configSchema []byte

// config is a source's.
type config struct {
	source   string
	stateDir string
	URL      string                `json:"url"`
	Interval duration              `json:"interval"`
	Overlap  duration              `json:"overlap"`
	Timeout  duration              `json:"timeout"`
	Syncs    map[string]syncConfig `json:"syncs"`

	Replication replicationConfig `json:"replication"`
}

type syncConfig struct {
	Call     string    `json:"call"`
	Event    string    `json:"event"`
	Query    string    `json:"query"`
	Mode     string    `json:"mode"`
	Key      []string  `json:"key"`
	Cursor   string    `json:"cursor"`
	Interval duration  `json:"interval"`
	Overlap  *duration `json:"overlap"`
	JSON     []string  `json:"json"`
	Deletes  deletes   `json:"deletes"`

	Table   string             `json:"table"`   // of modeCDC
	Columns map[string]*string `json:"columns"` // of modeCDC; nil: it is left out
}

// The modes of a sync.
const (
	modeIncremental = "incremental"
	modeFull        = "full"
	modeMirror      = "mirror"
	modeCDC         = "cdc"
)

func readConfig(s *sdk.Settings) (config, error) {
	c := defaults()
	c.source, c.stateDir = s.Source, s.StateDir
	err := s.Config(&c)
	return c, err
}

func defaults() config {
	c := config{Interval: duration(15 * time.Minute), Overlap: duration(time.Minute), Timeout: duration(time.Hour)}
	c.Replication.MaxLag = 10e9
	return c
}

func (c *config) names() []string { return slices.Sorted(maps.Keys(c.Syncs)) }

// leastInterval keeps a sync from asking a database without pause.
const leastInterval = time.Second

// spec is what one sync reads.
type spec struct {
	row.Mapping
	query    database.Query
	mode     string
	cursor   string // a column; empty: none
	interval time.Duration
	overlap  time.Duration
	deletes  bool
}

// order are the columns by which the rows of a run are read.
func (s *spec) order() []string {
	if s.cursor == "" || slices.Contains(s.Key, s.cursor) && s.cursor == s.Key[0] {
		return s.Key
	}
	return append([]string{s.cursor}, slices.DeleteFunc(slices.Clone(s.Key), func(k string) bool { return k == s.cursor })...)
}

// spec reads a sync's config; problems have their path within it.
func (c *config) spec(name string, parse func(string) (database.Query, error)) (spec, []sdk.Problem) {
	s := c.Syncs[name]
	out := spec{
		Mapping: row.Mapping{Source: c.source, Sync: name, Call: s.Call, Event: s.Event, Key: s.Key, JSON: s.JSON, Deleted: s.Deletes.event},
		mode:    s.Mode, cursor: s.Cursor, deletes: !s.Deletes.off,
		interval: time.Duration(c.Interval), overlap: time.Duration(c.Overlap),
	}
	var problems []sdk.Problem
	bad := func(path, message, fix string) {
		problems = append(problems, sdk.Problem{Code: "wrong_value", Path: path, Message: message, Fix: fix})
	}
	if s.Interval != 0 {
		out.interval = time.Duration(s.Interval)
	}
	if out.interval < leastInterval {
		bad("/interval", fmt.Sprintf("%s is too short", out.interval), fmt.Sprintf("write %s or more", leastInterval))
	}
	if s.Overlap != nil {
		out.overlap = time.Duration(*s.Overlap)
	}
	if s.Event != "" && s.Call != row.Track {
		bad("/event", "event is for call: track", "leave it out")
	}
	switch {
	case s.Mode == modeCDC:
		if p := c.cdcProblem(name); p != nil {
			problems = []sdk.Problem{*p}
		}
		return out, problems
	case s.Table != "" || len(s.Columns) > 0:
		bad("/table", "table and columns are for mode: cdc", "write mode: cdc, or a query")
	case s.Query == "" || len(s.Key) == 0:
		bad("/query", "query and key are needed", "write both, or table and mode: cdc")
	}
	var err error
	if out.query, err = parse(s.Query); err != nil {
		bad("/query", err.Error(), "mend the query")
		return out, problems
	}
	placed := out.query.Uses(database.Cursor) || out.query.Uses(database.LastSyncTime)
	if out.mode == "" {
		out.mode = modeFull
		if s.Cursor != "" || placed {
			out.mode = modeIncremental
		}
	}
	switch {
	case out.query.Uses(database.Cursor) && s.Cursor == "":
		bad("/cursor", "is missing, and the query has {{cursor}}", "name the column that grows when a row changes, such as updated_at")
	case out.mode == modeIncremental && s.Cursor == "" && !placed:
		bad("/cursor", "is missing", "name the column that grows when a row changes, such as updated_at, or write mode: full or mirror")
	case out.mode != modeIncremental && placed:
		bad("/query", "mode: "+out.mode+" reads all rows, and the query asks for new ones", "leave the placeholder out, or write mode: incremental")
	case out.mode != modeIncremental && s.Cursor != "":
		bad("/cursor", "is for mode: incremental", "leave it out")
	}
	return out, problems
}

// deletes is true, false, or the name of the event.
type deletes struct {
	off   bool
	event string
}

func (d *deletes) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", "null":
		*d = deletes{}
	case "false":
		*d = deletes{off: true}
	default:
		return json.Unmarshal(b, &d.event)
	}
	return nil
}

// duration is written as 5m, 24h or 7d.
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	if string(b) == "0" {
		*d = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 3650) { // NaN is neither
			return fmt.Errorf("%q is no duration", s)
		}
		*d = duration(n * 24 * float64(time.Hour))
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration", s)
	}
	*d = duration(v)
	return nil
}
