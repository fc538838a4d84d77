package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/wellhead-io/wellhead/plugins/sql/replication"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/schedule"
)

// replicationConfig is what all syncs of mode: cdc share.
type replicationConfig struct {
	Slot        string   `json:"slot"`
	Publication string   `json:"publication"`
	MaxLag      byteSize `json:"max_lag"`
	AtLimit     string   `json:"at_limit"`
}

// cdcProblem says what is wrong with a sync's settings for change data capture;
// nil: nothing is.
func (c *config) cdcProblem(name string) *sdk.Problem {
	s := c.Syncs[name]
	bad := func(path, message, fix string) *sdk.Problem {
		return &sdk.Problem{Code: "wrong_value", Path: path, Message: message, Fix: fix}
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		return bad("/mode", "cdc is for PostgreSQL", "read the rows by mode: incremental or mirror")
	case s.Table == "":
		return bad("/table", "is missing", "name the table, such as public.people")
	case s.Query != "" || s.Cursor != "" || s.Interval != 0 || s.Overlap != nil:
		return bad("", "query, cursor, interval and overlap are not for mode: cdc, which tells each change of a table as it happens", "leave them out")
	case s.Event != "" && s.Call != row.Track:
		return bad("/event", "event is for call: track", "leave it out")
	}
	return nil
}

// followed are the syncs of change data capture that can run.
func (c *config) followed() (names []string) {
	for _, name := range c.names() {
		if c.Syncs[name].Mode == modeCDC && c.cdcProblem(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// options say what to follow.
func (c *config) options() replication.Options {
	o := replication.Options{
		URL: c.URL, Source: c.source, Slot: c.Replication.Slot, Publication: c.Replication.Publication,
		MaxLag: uint64(c.Replication.MaxLag), Drop: c.Replication.AtLimit == "drop", Syncs: map[string]replication.Sync{},
	}
	if o.Slot == "" {
		o.Slot = slotName(c.source)
	}
	if o.Publication == "" {
		o.Publication = o.Slot
	}
	for _, name := range c.followed() {
		s := c.Syncs[name]
		of := replication.Sync{Table: s.Table, Columns: map[string]string{}, Silent: s.Deletes.off,
			Mapping: row.Mapping{Source: c.source, Sync: name, Call: s.Call, Event: s.Event, Key: s.Key, JSON: s.JSON, Deleted: s.Deletes.event}}
		for column, called := range s.Columns {
			of.Columns[column] = ""
			if called != nil {
				of.Columns[column] = *called
			}
		}
		o.Syncs[name] = of
	}
	return o
}

var notInSlots = regexp.MustCompile(`[^a-z0-9_]+`)

// slotName makes a replication slot's name of a source's.
func slotName(source string) string {
	const most = 63 // NAMEDATALEN - 1
	name := "wellhead_" + notInSlots.ReplaceAllString(strings.ToLower(source), "_")
	return name[:min(len(name), most)]
}

// group is the syncs of change data capture as one of the schedule's groups.
func (c *config) group(limits sdk.Limits, log *slog.Logger) schedule.Group {
	clean := fault{url: c.URL}.clean
	return schedule.Group{Name: "replication", Syncs: c.followed(), Run: func(ctx context.Context, m *schedule.Member) error {
		o := c.options()
		o.Limits, o.Log = limits, log
		if _, err := m.State(&o.State); err != nil {
			return sdk.Problem{Code: "checkpoint", Message: "the state of change data capture is not one that this version reads", Fix: "run the plugin's version that wrote it"}
		}
		o.Store = func(ctx context.Context, s replication.State, events []sdk.Event) (int, error) {
			return m.Store(ctx, s, events)
		}
		o.Note = func(part string, p *sdk.Problem) {
			if p != nil {
				scrubbed := clean(*p)
				p = &scrubbed
			}
			m.Note(part, p)
		}
		o.Tell, o.Report, o.Progress, o.Alive = m.Tell, m.Report, m.Progress, m.Alive
		commands := make(chan replication.Command)
		o.Commands = commands
		var passing sync.WaitGroup
		defer passing.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		passing.Go(func() { pass(ctx, m.Commands(), commands) })
		return replication.New(o).Run(ctx)
	}}
}

func pass(ctx context.Context, from <-chan *sdk.SyncCommand, to chan<- replication.Command) {
	for {
		select {
		case c := <-from:
			select {
			case to <- replication.Command{Sync: c.Sync, Action: c.Action, Done: c.Done}:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// byteSize is written as 500MB or 10GB.
type byteSize uint64

var sizes = map[string]float64{"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

func (b *byteSize) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	digits := strings.TrimRight(s, "kKMGTiB")
	n, err := strconv.ParseFloat(digits, 64)
	n *= sizes[s[len(digits):]]
	if err != nil || !(n >= 1 && n < math.MaxInt64) {
		return fmt.Errorf("%q is no size", s)
	}
	*b = byteSize(n)
	return nil
}
