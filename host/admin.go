package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/gate"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// startConsole lets people and machines look at the host.
func (r *running) startConsole(ctx context.Context, s *stack, dir string) error {
	server, err := console.Listen(ctx, console.Options{
		Host: r, Dir: dir, Address: string(r.Config.Console.Listen), Log: r.Log,
	})
	var p config.Problem
	if errors.As(err, &p) {
		return config.Problems{r.Config.Problem(p.Path, p)}
	}
	if err != nil {
		return err
	}
	s.run("console", stopConsole, server.Run)
	return nil
}

// Send implements console.Host: the events go the way of those that the
// source's plugin hands over.
func (r *running) Send(ctx context.Context, source event.SourceID, events [][]byte) (console.Verdict, error) {
	l := r.intake.lanes[source]
	if l == nil {
		return console.Verdict{}, r.unknownSource(source)
	}
	s := &session{lane: l}
	b, err := s.submit(ctx, &wire.Batch{Seq: 1, Events: events})
	if err != nil {
		return console.Verdict{}, err
	}
	v, err := b.wait(ctx)
	if err != nil {
		return console.Verdict{}, err
	}
	if ns := v.GetNotStored(); ns != nil {
		return console.Verdict{}, notStoredError(ns)
	}
	return verdictOf(b, v.GetStored()), nil
}

func (r *running) unknownSource(source event.SourceID) error {
	known := make([]string, 0, len(r.intake.lanes))
	for _, id := range slices.Sorted(maps.Keys(r.intake.lanes)) {
		known = append(known, string(id))
	}
	return unknown(console.CodeUnknownSource, "source", string(source), known)
}

// unknown says that the host has nothing of this kind with this name.
func unknown(code, kind, name string, known []string) error {
	return &console.Error{
		Code: code, Message: fmt.Sprintf("the running host has no %s %q", kind, name), Hint: config.Suggest(name, known),
	}
}

// checkNames refuses names of which there can be no event. A source that is
// removed from the config has one while it has a quarantine. Empty: any.
func (r *running) checkNames(source event.SourceID, destination event.DestinationID) error {
	kept := func(q quarantine.SourceStatus) bool { return q.Source == source }
	if source != "" && r.intake.lanes[source] == nil && !slices.ContainsFunc(r.quarantine.Status(), kept) {
		return r.unknownSource(source)
	}
	if destination == "" || r.Config.Destination(string(destination)) != nil {
		return nil
	}
	known := make([]string, len(r.Config.Destinations))
	for i := range r.Config.Destinations {
		known[i] = r.Config.Destinations[i].Name
	}
	return unknown(console.CodeUnknownDestination, "destination", string(destination), known)
}

func notStoredError(ns *wire.NotStored) error {
	what := map[string]string{
		wire.RateLimited:     "the source is at its rate limit",
		wire.JournalBehind:   "the journal is behind",
		wire.DiskFull:        "the disk of data_dir is full",
		wire.DestinationFull: "a destination of the source is at its max_lag",
		wire.QuarantineFull:  "the source's quarantine is full",
		wire.Closed:          "the journal takes nothing at present",
	}
	return &console.Error{
		Code: ns.GetReason(), Message: "nothing was stored: " + what[ns.GetReason()], Hint: "look at wellhead status",
		RetryAfter: time.Duration(ns.GetRetryAfterSeconds()) * time.Second,
	}
}

func verdictOf(b *batch, stored *wire.Stored) console.Verdict {
	v := console.Verdict{Events: len(b.Events), Duplicates: b.duplicates, Refused: []console.Refusal{}}
	for _, w := range stored.GetViolations() {
		n := len(v.Refused)
		if n == 0 || v.Refused[n-1].Index != int(w.GetIndex()) {
			action := gate.Quarantined
			if slices.Contains(stored.GetDropped(), w.GetIndex()) {
				action = gate.Dropped
			}
			v.Refused = append(v.Refused, console.Refusal{Index: int(w.GetIndex()), MessageID: w.GetMessageId(), Action: string(action)})
			n++
		}
		v.Refused[n-1].Violations = append(v.Refused[n-1].Violations, event.Violation{
			Code: w.GetCode(), Path: w.GetPath(), Keyword: w.GetKeyword(), Message: w.GetMessage(), Schema: w.GetSchema(),
		})
	}
	v.Accepted = v.Events - len(v.Refused) - v.Duplicates
	return v
}

// Quarantine implements console.Host.
func (r *running) Quarantine(ctx context.Context, f console.QuarantineFilter) (console.Page, error) {
	q, err := quarantineFilter(f)
	if err != nil {
		return console.Page{}, err
	}
	if err := r.checkNames(f.Source, ""); err != nil {
		return console.Page{}, err
	}
	page := console.Page{Entries: []console.Entry{}}
	var last quarantine.Entry
	for e, err := range r.quarantine.List(ctx, q) {
		if err != nil {
			return console.Page{}, err
		}
		last = e
		shown := entryOf(&e)
		shown.Claim, shown.Attachment = console.Claim{}, nil
		page.Entries = append(page.Entries, shown)
	}
	if len(page.Entries) == 0 {
		// One that is removed may have refused events that are still there.
		return page, r.checkNames("", f.Destination)
	}
	if len(page.Entries) == q.Limit {
		page.Next = string(last.Cursor())
	}
	return page, nil
}

// QuarantineGroups implements console.Host.
func (r *running) QuarantineGroups(ctx context.Context, f console.QuarantineFilter) ([]console.Group, error) {
	q, err := quarantineFilter(f)
	if err != nil {
		return nil, err
	}
	if err := r.checkNames(f.Source, ""); err != nil {
		return nil, err
	}
	groups, err := r.quarantine.Groups(ctx, q)
	if err == nil && len(groups) == 0 {
		err = r.checkNames("", f.Destination)
	}
	if err != nil {
		return nil, err
	}
	out := make([]console.Group, len(groups))
	for i, g := range groups {
		out[i] = console.Group(g)
	}
	return out, nil
}

// QuarantineEntry implements console.Host.
func (r *running) QuarantineEntry(ctx context.Context, id string) (console.Entry, error) {
	parsed, err := quarantine.ParseID(id)
	if err != nil {
		return console.Entry{}, &console.Error{Code: console.CodeBadRequest, Message: err.Error()}
	}
	e, err := r.quarantine.Show(ctx, parsed)
	if errors.Is(err, quarantine.ErrNotFound) {
		return console.Entry{}, &console.Error{Code: console.CodeNotFound, Message: err.Error(),
			Hint: "it may have been too old; wellhead quarantine list --state any shows what is kept"}
	}
	if err != nil {
		return console.Entry{}, err
	}
	return entryOf(&e), nil
}

func quarantineFilter(f console.QuarantineFilter) (quarantine.Filter, error) {
	q := quarantine.Filter{
		Source: f.Source, Destination: f.Destination, Code: f.Code, Event: f.Event, Since: f.Since,
		OldestFirst: f.OldestFirst, After: quarantine.Cursor(f.After), Limit: f.Limit,
	}
	if err := q.After.Err(); err != nil {
		return q, &console.Error{Code: console.CodeBadRequest, Message: err.Error()}
	}
	if q.Limit < 1 || q.Limit > console.MaxPage {
		q.Limit = console.MaxPage
	}
	if f.State != "" {
		state, err := quarantine.ParseState(f.State)
		if err != nil {
			return q, &console.Error{Code: console.CodeBadRequest, Message: err.Error()}
		}
		q.State = state
	}
	return q, nil
}

func entryOf(e *quarantine.Entry) console.Entry {
	return console.Entry{
		ID: e.ID.String(), Source: e.ID.Source, Destination: e.Destination, MessageID: e.MessageID, Event: e.Event,
		Violations: e.Violations, MoreViolations: e.MoreViolations, Size: e.Size, Hash: e.Hash,
		ReceivedAt: e.ReceivedAt, SentAt: e.SentAt, Count: e.Count, FirstSeen: e.FirstSeen, LastSeen: e.LastSeen,
		State: e.State.String(), StateAt: e.StateAt, StateBy: e.StateBy,
		AttachmentSize: e.AttachmentSize, Attachment: e.Attachment, Claim: claimOf(e.Claim),
	}
}
