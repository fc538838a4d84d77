package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Codes of problems that no room has a code for. They are stable.
const (
	codeJournalClosed   = "journal_closed"
	codeDiskFull        = "disk_full"
	codeFramesLost      = "journal_frames_lost"
	codeDedupStalled    = "dedup_stalled"
	codeNeedsConsent    = "needs_consent"
	codeDestinationFull = "destination_full"
	codeQuarantineFull  = "quarantine_full"
	codeQuarantineNear  = "quarantine_nearly_full"
	codeQuarantine      = "quarantine_unreadable"
)

// problems is everything that an operator should mend.
//
// What turns events away makes the host unready: a closed journal, a plugin
// with a listener or a source of it that does not run, a destination at max_lag
// that refuses, a full quarantine. So does, at the host's start, what has not
// been tried yet. The rest does not, however bad: a destination that is down has its
// events in the journal, and a host that is not asked any more would only add
// the loss of the next ones.
func (r *running) problems(s *snapshot) []console.Problem {
	out := r.journalProblems()
	for i := range s.plugins {
		p := &s.plugins[i]
		if e := p.Unready(); e != nil {
			out = append(out, pluginProblem(e, p.Listen != "" || p.Error == nil))
		}
		if p.State != supervise.Running {
			continue // so are its sources, and why is said
		}
		for j := range p.Sources {
			st := &p.Sources[j]
			out = append(out, consentProblems(st, r.noToken(st.Source))...)
			out = append(out, sourceProblems(st, p.Listen != "")...)
			out = append(out, syncProblems(st.Source, r.syncs.Syncs(st.Source, 1))...)
		}
	}
	for i := range s.loops {
		l := &s.loops[i]
		out = append(out, loopProblems(&l.Status, r.sourcesOf(l.Loop))...)
	}
	return append(out, r.quarantineProblems(s)...)
}

func pluginProblem(e *supervise.Error, unready bool) console.Problem {
	p := console.Problem{Code: e.Code, Where: "plugin " + string(e.Plugin), What: e.Message, Hint: e.Hint, Unready: unready}
	if e.Path != "" {
		p.What = e.Path + ": " + p.What
	}
	return p
}

func (r *running) journalProblems() []console.Problem {
	out := []console.Problem{}
	stats := r.journal.Stats()
	switch err := stats.Closed; {
	case errors.Is(err, journal.ErrDiskFull):
		out = append(out, console.Problem{Code: codeDiskFull, Where: "journal", What: err.Error(), Unready: true,
			Hint: "make room on the disk of data_dir; intake resumes by itself"})
	case err != nil:
		out = append(out, console.Problem{Code: codeJournalClosed, Where: "journal", What: err.Error(), Unready: true,
			Hint: "check the disk of data_dir; the journal is opened again by itself"})
	}
	if n := stats.LostFrames; n > 0 {
		out = append(out, console.Problem{Code: codeFramesLost, Where: "journal",
			What: fmt.Sprintf("%d of its frames are damaged or missing, and what a destination lacked of them cannot be delivered", n),
			Hint: "check the disk of data_dir, and that nothing else removes files in it"})
	}
	if err := r.journal.Remembered().Stalled; err != nil {
		out = append(out, console.Problem{Code: codeDedupStalled, Where: "journal", What: "message ids cannot be written: " + err.Error(),
			Hint: "check the disk of data_dir; until then a restart takes longer"})
	}
	return out
}

func sourceProblems(st *supervise.SourceStatus, listens bool) []console.Problem {
	unready := listens || st.Error == nil
	where := "source " + string(st.Source)
	var out []console.Problem
	switch {
	case st.State == supervise.NeedsConsent: // consentProblems says why
	case st.Error != nil && (st.State == supervise.BackingOff || st.State == supervise.Running && st.Failures > 0):
		// One that fails within seconds of each start is not well in between.
		out = append(out, console.Problem{Code: st.Error.Code, Where: where, What: st.Error.Message, Hint: st.Error.Hint,
			Unready: unready && st.State != supervise.Running})
	case st.State != supervise.Running:
		out = append(out, console.Problem{Code: "source_" + string(st.State), Where: where, What: "it is " + words(st.State), Unready: unready})
	}
	for _, p := range st.Problems {
		if p.Code == wire.NeedsConsent {
			continue // as above
		}
		what := p.Message
		if p.Path != "" {
			what = p.Path + ": " + what
		}
		out = append(out, console.Problem{Code: p.Code, Where: where, What: what, Hint: forSource(p.Fix, st.Source)})
	}
	return out
}

// forSource puts a source's name into a remedy that says wellhead connect SOURCE.
func forSource(hint string, source event.SourceID) string {
	return strings.ReplaceAll(hint, "wellhead connect SOURCE", "wellhead connect "+string(source))
}

func words[S ~string](state S) string { return strings.ReplaceAll(string(state), "_", " ") }

// loopProblems tells what is wrong with a destination; sources are those that are
// routed to it.
func loopProblems(d *deliver.Status, sources string) []console.Problem {
	where := "destination " + string(d.Name)
	var out []console.Problem
	if d.Full {
		out = append(out, console.Problem{
			Code: codeDestinationFull, Where: where, Unready: true,
			What: fmt.Sprintf("it is at its max_lag, %d bytes and %v behind, so %s get 503", d.LagBytes, d.LagAge.Round(time.Second), sources),
			Hint: "mend the destination, raise its max_lag, or set at_limit: skip",
		})
	}
	if f := d.Failure; f != nil {
		out = append(out, console.Problem{
			Code: f.Code, Where: where, Hint: f.Hint,
			What: fmt.Sprintf("%s (%s since %s)", f.Error, tries(f.Tries), f.Since.UTC().Format(time.RFC3339)),
		})
	}
	return out
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// sourcesOf names the sources that are routed to a destination.
func (r *running) sourcesOf(l *deliver.Loop) string {
	var names []string
	for _, s := range r.parts.sources {
		if r.parts.routes.Wants(l.Name, s.id) {
			names = append(names, string(s.id))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (r *running) quarantineProblems(s *snapshot) []console.Problem {
	out := make([]console.Problem, 0, len(s.quarantine))
	for _, q := range s.quarantine {
		p := console.Problem{Where: "source " + string(q.Source)}
		configured := r.intake.lanes[q.Source] != nil // else no event comes
		switch {
		case q.Problem != "":
			p.Code, p.Unready = codeQuarantine, configured
			p.What = "its quarantine cannot be used, so refused events get 503: " + q.Problem
			p.Hint = "check the disk of data_dir"
		case q.Full:
			p.Code, p.Unready = codeQuarantineFull, configured
			p.What = fmt.Sprintf("its quarantine is full with %d entries (%d bytes), so refused events get 503", q.Entries, q.Bytes)
			p.Hint = "mend what is refused, raise quarantine.max_bytes, or set quarantine.at_limit: drop_oldest"
		case q.Nearing:
			p.Code = codeQuarantineNear
			p.What = fmt.Sprintf("its quarantine has %d of %d bytes", q.Bytes, q.Limit)
			p.Hint = fmt.Sprintf("look at what is refused: wellhead quarantine list --source %s --group", q.Source)
		default:
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b console.Problem) int { return strings.Compare(a.Where, b.Where) })
	return out
}
