package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/host/internal/syncs"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// codeSyncFailed marks a sync whose source gives no code of its own.
const codeSyncFailed = "sync_failed"

func (r *running) openSyncs(s *stack, dir string) error {
	store, err := journal.OpenState(filepath.Join(dir, "syncs"))
	if err != nil {
		return err
	}
	o := syncs.Options{Store: store, Log: r.Log}
	for i := range r.Config.Sources {
		o.Sources = append(o.Sources, event.SourceID(r.Config.Sources[i].Name))
	}
	if r.syncs, err = syncs.Open(o); err != nil {
		return err
	}
	s.run("syncs", stopSyncs, r.syncs.Run)
	return nil
}

// syncSession is a session whose source may have syncs.
type syncSession struct {
	*session
	syncs *syncs.Stream
}

// Report implements supervise.Syncs.
func (s *syncSession) Report(r *wire.SyncReport) { s.syncs.Report(r) }

// Close implements supervise.Session.
func (s *syncSession) Close() {
	s.syncs.Close()
	s.session.Close()
}

// Syncs implements console.Host.
func (r *running) Syncs(source event.SourceID) (console.Syncs, error) {
	st := r.sourceState(source)
	if st == nil {
		return console.Syncs{}, r.unknownSource(source)
	}
	return console.Syncs{Source: source, State: string(st.State), Syncs: r.syncsOf(st, syncs.MaxRuns)}, nil
}

// SyncCommand implements console.Host.
func (r *running) SyncCommand(ctx context.Context, source event.SourceID, sync string, action console.SyncAction) ([]console.SyncAnswer, error) {
	if !slices.Contains([]string{wire.SyncRunNow, wire.SyncPause, wire.SyncResume, wire.SyncReset}, string(action)) {
		return nil, &console.Error{Code: console.CodeBadRequest, Message: fmt.Sprintf("no such action: %s", action), Hint: "run, pause, resume or reset"}
	}
	if r.sourceState(source) == nil {
		return nil, r.unknownSource(source)
	}
	names, err := r.chosen(source, sync)
	if err != nil {
		return nil, err
	}
	answers := make([]console.SyncAnswer, len(names))
	var g errgroup.Group
	for i, name := range names {
		answers[i].Sync = name
		g.Go(func() error {
			answers[i].Error = commandError(r.supervisor.SyncCommand(ctx, source, name, string(action)))
			return nil
		})
	}
	return answers, g.Wait()
}

// chosen are the syncs of a source that a command is about.
func (r *running) chosen(source event.SourceID, sync string) ([]string, error) {
	var names []string
	for _, s := range r.syncs.Syncs(source, 0) {
		names = append(names, s.Name)
	}
	switch {
	case len(names) == 0:
		return nil, &console.Error{Code: console.CodeUnknownSync, Message: fmt.Sprintf("source %s has no syncs", source),
			Hint: "if it should have some, look at wellhead status: a source tells of them once it runs"}
	case sync == "":
		return names, nil
	case !slices.Contains(names, sync):
		return nil, &console.Error{Code: console.CodeUnknownSync, Message: fmt.Sprintf("source %s has no sync %q", source, sync),
			Hint: cmp.Or(config.Suggest(sync, names), "wellhead sync list tells which there are")}
	}
	return []string{sync}, nil
}

func commandError(err error) *console.Error {
	var e *supervise.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return &console.Error{Code: e.Code, Message: e.Message, Hint: e.Hint}
	default:
		return &console.Error{Code: console.CodeInternal, Message: err.Error()}
	}
}

// sourceState finds a source of the running host; nil: there is none.
func (r *running) sourceState(source event.SourceID) *supervise.SourceStatus {
	for _, p := range r.supervisor.Status() {
		for i := range p.Sources {
			if p.Sources[i].Source == source {
				return &p.Sources[i]
			}
		}
	}
	return nil
}

// syncsOf are a source's syncs, each with at most so many runs.
func (r *running) syncsOf(st *supervise.SourceStatus, runs int) []console.Sync {
	out := []console.Sync{}
	for _, s := range r.syncs.Syncs(st.Source, runs) {
		c := console.Sync{
			Name: s.Name, State: string(s.State), Due: s.Due, Succeeded: s.Succeeded, Runs: []console.SyncRun{},
			Done: s.Counts.Done, Failed: s.Counts.Failed,
			RowsRead: s.Counts.Read, RowsEmitted: s.Counts.Emitted, RowsRefused: s.Counts.Refused,
		}
		for _, run := range s.Runs {
			c.Runs = append(c.Runs, console.SyncRun{
				ID: run.ID, Kind: run.Kind, State: string(run.State), Started: run.Started, Ended: run.Ended,
				Read: run.Read, Emitted: run.Emitted, Refused: run.Refused, Error: (*console.SyncError)(run.Error),
			})
		}
		// A source says no more how far it is once it has come to the end.
		if at := slices.IndexFunc(st.Progress, func(p supervise.Progress) bool { return p.Stream == s.Name }); at >= 0 && s.State == syncs.Running {
			p := console.Progress(st.Progress[at])
			c.Progress = &p
		}
		out = append(out, c)
	}
	return out
}

func isSync(list []console.Sync, name string) bool {
	return slices.ContainsFunc(list, func(s console.Sync) bool { return s.Name == name })
}

// syncProblems tells which syncs have failed.
func syncProblems(source event.SourceID, list []syncs.Sync) []console.Problem {
	var out []console.Problem
	for _, s := range list {
		if s.State != syncs.Failed {
			continue
		}
		p := console.Problem{Code: codeSyncFailed, Where: "source " + string(source), What: "sync " + s.Name + " has failed",
			Hint: fmt.Sprintf("wellhead sync list %s %s tells more", source, s.Name)}
		if len(s.Runs) > 0 && s.Runs[0].Error != nil {
			e := s.Runs[0].Error
			p.Code, p.Hint = cmp.Or(e.Code, p.Code), cmp.Or(e.Fix, p.Hint)
			p.What = "sync " + s.Name + ": " + e.Message
			if e.Path != "" {
				p.What = e.Path + ": " + p.What
			}
		}
		out = append(out, p)
	}
	return out
}
