package host

import (
	"os"
	"slices"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// stateRemoved is the state of a source that the config has no more but the
// quarantine has.
const stateRemoved = "removed"

// snapshot is what the rooms say of themselves at one moment.
type snapshot struct {
	plugins    []supervise.Status
	loops      []loopStatus
	quarantine map[event.SourceID]quarantine.SourceStatus
	gate       map[event.SourceID]gate.Counts
}

type loopStatus struct {
	*deliver.Loop
	deliver.Status
}

func (r *running) snapshot() *snapshot {
	s := &snapshot{
		plugins:    r.supervisor.Status(),
		quarantine: map[event.SourceID]quarantine.SourceStatus{},
		gate:       map[event.SourceID]gate.Counts{},
	}
	for _, loop := range r.loops {
		s.loops = append(s.loops, loopStatus{loop, loop.Status()})
	}
	for _, q := range r.quarantine.Status() {
		s.quarantine[q.Source] = q
	}
	for _, c := range r.parts.gate.Counts() {
		s.gate[c.Source] = c
	}
	return s
}

// Status implements console.Host.
func (r *running) Status() console.Status {
	s := r.snapshot()
	problems := r.problems(s)
	return console.Status{
		Version: r.Version, PID: os.Getpid(), Started: r.started,
		DataDir: string(r.Config.DataDir), Console: string(r.Config.Console.Listen),
		Ready:        !slices.ContainsFunc(problems, func(p console.Problem) bool { return p.Unready }),
		Problems:     problems,
		Sources:      r.sourceStatus(s),
		Plugins:      pluginStatus(s),
		Destinations: r.destinationStatus(s),
		Journal:      r.journalStatus(),
	}
}

func (r *running) sourceStatus(s *snapshot) []console.Source {
	out := make([]console.Source, 0, len(r.parts.sources))
	for i := range s.plugins {
		for j := range s.plugins[i].Sources {
			out = append(out, r.oneSource(s, s.plugins[i].Plugin, &s.plugins[i].Sources[j]))
		}
	}
	for id := range s.quarantine {
		if r.intake.lanes[id] == nil {
			out = append(out, console.Source{Name: id, State: stateRemoved, Quarantine: r.quarantineStatus(s.quarantine[id])})
		}
	}
	slices.SortFunc(out, func(a, b console.Source) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

func (r *running) oneSource(s *snapshot, plugin event.PluginID, st *supervise.SourceStatus) console.Source {
	out := console.Source{
		Name: st.Source, Plugin: plugin, State: string(st.State), Restarts: st.Restarts,
		Quarantine: r.quarantineStatus(s.quarantine[st.Source]),
	}
	out.Syncs = r.syncsOf(st, 1)
	for _, p := range st.Progress {
		if !isSync(out.Syncs, p.Stream) { // they have their own
			out.Progress = append(out.Progress, console.Progress(p))
		}
	}
	if l := r.intake.lanes[st.Source]; l != nil {
		c := &l.counts
		out.Accepted, out.Duplicates, out.Refused = c.accepted.Load(), c.duplicates.Load(), c.refused.Load()
		out.Dropped, out.NotStored = c.dropped.Load(), c.notStored.Load()
	}
	g := s.gate[st.Source]
	out.Violating, out.RefusedBy, out.ClockIgnored = g.Violating, g.Refused, g.AbsurdSentAt
	return out
}

func (r *running) quarantineStatus(q quarantine.SourceStatus) console.Quarantine {
	return console.Quarantine{
		Open: q.Entries, Count: q.Count, Bytes: q.Bytes, Limit: int64(r.Config.Quarantine.MaxBytes), Full: q.Full,
		Expired: q.Expired, Dropped: q.Dropped,
	}
}

func pluginStatus(s *snapshot) []console.Plugin {
	out := make([]console.Plugin, 0, len(s.plugins))
	for i := range s.plugins {
		p := &s.plugins[i]
		c := console.Plugin{
			Name: p.Plugin, State: string(p.State), RetryAt: p.RetryAt, Path: p.Path, PID: p.PID,
			Version: p.Version, Generation: p.Generation, Restarts: p.Restarts, Listen: p.Listen, ErrorAt: p.ErrorAt,
		}
		if p.Error != nil {
			c.LastError = p.Error.Message + " [" + p.Error.Code + "]"
		}
		out = append(out, c)
	}
	return out
}

func (r *running) destinationStatus(s *snapshot) []console.Destination {
	out := make([]console.Destination, 0, len(s.loops))
	for i := range s.loops {
		d := &s.loops[i].Status
		c := console.Destination{
			Name: d.Name, Type: r.Config.Destination(string(d.Name)).Type, State: string(d.State), Full: d.Full,
			Cursor: d.Cursor, LagBytes: d.LagBytes, LagFrames: d.LagFrames, LagSeconds: d.LagAge.Seconds(),
			Rate: d.Rate, Delivered: d.Counters.Delivered, Retried: d.Counters.Retried,
			Quarantined: d.Counters.Quarantined, Skipped: d.Counters.Skipped, GapFrames: d.Counters.GapFrames,
			LastDelivered: d.LastDelivered,
		}
		if n := d.Notice; n != nil {
			c.Notice, c.NoticeAt = n.Text+" ["+n.Code+"]", n.Time
		}
		out = append(out, c)
	}
	return out
}

func (r *running) journalStatus() console.Journal {
	s, ids := r.journal.Stats(), r.journal.Remembered()
	return console.Journal{
		Open: s.Closed == nil, First: s.First, Last: s.Last, Bytes: s.Bytes, Oldest: s.Oldest, Queued: s.Queued,
		LostFrames: s.LostFrames, CutBytes: s.CutBytes,
		SyncP50: s.SyncP50.Seconds(), SyncP99: s.SyncP99.Seconds(), Free: s.Free, Reserve: s.Reserve,
		DedupIDs: ids.IDs, DedupWindow: ids.Window.Seconds(),
	}
}
