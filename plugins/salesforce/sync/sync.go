// Package sync is one sync's machine: it reads an object once as a whole and
// then what changes, in closed windows of time. Where it has come is a State,
// which becomes durable with the events that were read up to there.
//
// A Sync is one goroutine's: what it reads it has told before it reads again,
// so an old state never follows a newer one. It knows the client and a function
// that stores events; of time it knows Salesforce's.
package sync

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

const (
	// Lag keeps a window's end away from seconds that are not over.
	Lag = 5 * time.Second
	// overlap is read again with each window: rows become visible after later
	// ones, by up to some minutes. Transactions that take longer hold back
	// latestDateCovered, and with it the cursor.
	overlap = 10 * time.Minute
	// describeAnew is how long a describe is good for while Salesforce says that
	// the object has not changed: whether that tells of a field that the user may
	// see only now, its reference does not say.
	describeAnew = time.Hour
	// describeMargin is for changes within the second of a describe, and for
	// servers of the org whose clocks differ.
	describeMargin = time.Minute
)

// Spec is what a sync reads and what it makes of it.
type Spec struct {
	object.Mapping
	Object    string
	Where     string        // a SOQL condition; empty: every record
	Deletes   bool          // tell of deleted records
	Refresh   time.Duration // between two reads of all records for the sake of formulas; 0: never
	Reconcile time.Duration // between two comparisons of ids; 0: never
}

// State is how far a sync has come.
type State struct {
	Paused bool `json:"paused,omitempty"`
	// Full is the read of the whole object that is under way.
	Full *Full `json:"full,omitempty"`
	// Cursor is Salesforce's time up to which every change has been told.
	Cursor time.Time `json:"cursor,omitzero"`
	// Place is within an open window: everything up to it has been told.
	Place *Place `json:"place,omitempty"`
	// Fields is the digest of what the records were told as.
	Fields string `json:"fields,omitempty"`
	// Refreshed is when all records were last read.
	Refreshed time.Time `json:"refreshed,omitzero"`
	Sweep     *Sweep    `json:"sweep,omitempty"`
}

// Place is a record's, in the order of changes.
type Place struct {
	Time time.Time `json:"time"`
	ID   string    `json:"id"`
}

// The kinds of runs.
const (
	Backfill    = "backfill"
	Refresh     = "refresh"
	Incremental = "incremental"
)

// Options of a Sync. All but Between and Warn are required.
type Options struct {
	Spec
	Client *client.Client
	State  State
	// Emit stores events and then the state, and returns how many events were
	// refused.
	Emit func(ctx context.Context, s State, events []sdk.Event) (refused int, err error)
	// Progress is called as a run goes on.
	Progress func(Progress)
	// Between is called between two pages: the place for what cannot wait for
	// the end of a long read. Its error ends the read at a durable place.
	Between func(ctx context.Context) error
	// Warn takes a problem in spite of which the sync goes on.
	Warn func(sdk.Problem)
}

// Progress is how far a run has come.
type Progress struct {
	Run                    string // unique in the sync, the same after a restart
	Kind                   string
	Read, Emitted, Refused uint64
	Total                  uint64 // records to read; 0: not known
}

// Sync reads one object.
type Sync struct {
	Options
	state     State
	mapper    *object.Mapper
	described time.Time // of mapper, by Salesforce's clock; zero: it is not good any more
	all       bool      // queries see deleted records
	chunks    [][]string
	uriLimit  int
	recent    recent
	told      map[[15]byte]object.Print // nil: not needed
	progress  Progress

	bulkFrom, bulkPage int
}

// New returns a sync that goes on from a state. It reads nothing yet.
func New(o Options) *Sync {
	if o.Between == nil {
		o.Between = func(context.Context) error { return nil }
	}
	if o.Warn == nil {
		o.Warn = func(sdk.Problem) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return &Sync{Options: o, state: o.State, uriLimit: client.MaxURI, recent: recent{}, bulkFrom: bulkFrom, bulkPage: bulkPage}
}

// State returns how far the sync has come, durably.
func (s *Sync) State() State { return s.state }

// Live reports whether a record can be refetched: the object has been read as
// a whole.
func (s *Sync) Live() bool {
	return s.mapper != nil && !s.state.Cursor.IsZero() && (s.state.Full == nil || s.state.Full.Kind != Backfill)
}

// Problems is an error of the config, found out from Salesforce.
type Problems []sdk.Problem

func (p Problems) Error() string { return p[0].Message }

// Poll reads what is due: the whole object the first time, then what has
// changed, who is gone, and now and then more. It returns when all of it is
// durable.
func (s *Sync) Poll(ctx context.Context) error {
	err := s.poll(ctx)
	for client.Is(err, client.URITooLong) && s.narrower() {
		err = s.poll(ctx)
	}
	if client.Is(err, client.UnknownField) {
		s.described = time.Time{}
		err = s.poll(ctx) // the object changed between its describe and the query
	}
	return err
}

func (s *Sync) poll(ctx context.Context) error {
	now, err := s.describe(ctx)
	if err != nil {
		return err
	}
	if s.mapper.Object().Clock() == "" {
		return s.snapshot(ctx, now)
	}
	deletions, err := s.deletions(ctx, now)
	if err != nil {
		return err
	}
	if s.state.Cursor.IsZero() || s.state.Full != nil && s.state.Full.Kind == Backfill {
		if err := s.backfill(ctx, now, deletions.covered); err != nil {
			return err
		}
		if now, err = s.Client.Now(ctx); err != nil {
			return err
		}
		if deletions, err = s.deletions(ctx, now); err != nil {
			return err
		}
	}
	s.begin(Incremental, now)
	if err := s.windows(ctx, now.Add(-Lag).Truncate(time.Second)); err != nil {
		return err
	}
	if err := s.tellDeletions(ctx, deletions); err != nil {
		return err
	}
	next := s.state
	next.Place = nil
	if c := earliest(now.Add(-Lag).Truncate(time.Second), deletions.covered); c.After(next.Cursor) {
		next.Cursor = c
	}
	if err := s.emit(ctx, next, nil); err != nil {
		return err
	}
	s.recent.forget(next.Cursor.Add(-2 * overlap))
	if err := s.sweepIfDue(ctx, now, deletions.gap); err != nil {
		return err
	}
	return s.refreshIfDue(ctx, now)
}

func (s *Sync) begin(kind string, at time.Time) {
	s.progress = Progress{Run: kind + "-" + strconv.FormatInt(at.Unix(), 36), Kind: kind}
}

// describe takes in what the object looks like now and returns Salesforce's
// time.
func (s *Sync) describe(ctx context.Context) (time.Time, error) {
	var since time.Time
	if last := s.Client.LastDate(); !s.described.IsZero() && last.Sub(s.described) < describeAnew {
		since = s.described.Add(-describeMargin)
	}
	b, err := s.Client.Describe(ctx, s.Object, since)
	if client.Is(err, client.NotFound) {
		return time.Time{}, Problems{{Code: string(client.UnknownObject), Path: "/object",
			Message: fmt.Sprintf("there is no object %q that the connected user may read", s.Object),
			Fix:     client.Problem(&client.Error{Kind: client.UnknownObject}, "").Fix}}
	}
	if err != nil {
		return time.Time{}, err
	}
	now := s.Client.LastDate()
	if b == nil {
		return now, nil
	}
	o, err := object.Parse(b)
	if err != nil {
		return time.Time{}, err
	}
	m, err := s.newMapper(o)
	if err != nil {
		return time.Time{}, err
	}
	before := s.mapper
	s.mapper, s.described, s.all = m, now, s.Deletes && o.Field("IsDeleted") != nil
	if before == nil || m.Digest() != before.Digest() {
		s.recent = recent{}
		s.chunks = s.divide(m.Columns())
		s.told = nil
		if o.Clock() == "" || s.Refresh > 0 && m.Calculated() {
			s.told = map[[15]byte]object.Print{}
		}
	}
	return now, nil
}

// newMapper leaves out fields that the object has lost since the sync began.
func (s *Sync) newMapper(o *object.Object) (*object.Mapper, error) {
	m, problems := object.NewMapper(o, s.Mapping)
	if len(problems) == 0 {
		return m, nil
	}
	if s.state.Fields == "" {
		return nil, Problems(problems)
	}
	rest := s.Mapping
	rest.Fields = nil
	for _, name := range s.Fields {
		if o.Field(name) != nil {
			rest.Fields = append(rest.Fields, name)
		}
	}
	m, problems2 := object.NewMapper(o, rest)
	if len(problems2) > 0 || len(rest.Fields) == 0 {
		return nil, Problems(problems)
	}
	for _, p := range problems {
		p.Message += "; the sync goes on without it"
		s.Warn(p)
	}
	return m, nil
}

// emit stores events and then the state.
func (s *Sync) emit(ctx context.Context, next State, events []sdk.Event) error {
	refused, err := s.Emit(ctx, next, events)
	if err != nil {
		s.recent = recent{} // what became of the events is not known
		if s.told != nil {
			s.told = map[[15]byte]object.Print{}
		}
		return err
	}
	s.state = next
	s.progress.Emitted += uint64(len(events) - refused)
	s.progress.Refused += uint64(refused)
	s.Progress(s.progress)
	return nil
}

// tell appends the events that a record becomes, unless it was told the same
// the last time. salt is for states that may have been told before.
func (s *Sync) tell(events []sdk.Event, r *object.Record, n object.Note) []sdk.Event {
	id, at := s.mapper.ID(r), s.mapper.Time(r)
	before := len(events)
	plain := n
	plain.Salt = ""
	out, print := s.mapper.Append(events, r, plain)
	salt, same := s.recent.see(id, at, print, s.mapper.Deleted(r))
	was, known := object.Print(0), false
	if key, ok := idKey(id); ok && s.told != nil {
		if was, known = s.told[key]; known || len(s.told) < maxTold {
			s.told[key] = print
		}
	}
	if n.Salt != "" {
		// What was told before the process began is not known: a state of then is
		// told again, but not something that is said to have happened.
		same = same || known && was == print
		if known || s.Call != object.Track {
			salt = n.Salt
		}
	}
	switch {
	case same:
		return events[:before]
	case salt == "":
		return out
	}
	n.Salt = salt
	out, _ = s.mapper.Append(events[:before], r, n)
	return out
}

// maxTold bounds the records of which the last told state is remembered, at
// some 40 bytes each. Of further ones a refresh tells again what may be known.
const maxTold = 500_000

func idKey(id string) (k [15]byte, ok bool) {
	if len(id) < len(k) {
		return k, false
	}
	copy(k[:], id)
	return k, true
}

func earliest(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// recent remembers what was told of records that a window reads again. A
// record that returns to an earlier state within a second gets a salt, since
// its messageId would be that of the earlier event.
type recent map[string]*seen

type seen struct {
	at      time.Time
	prints  []object.Print // in the order told
	deleted bool
}

// maxRecent bounds the records that are remembered. Beyond it a re-read is told
// again, and dropped by the host.
const maxRecent = 100_000

func (r recent) see(id string, at time.Time, p object.Print, deleted bool) (salt string, same bool) {
	e := r[id]
	if e == nil || !e.at.Equal(at) {
		if len(r) >= maxRecent {
			clear(r)
		}
		r[id] = &seen{at: at, prints: []object.Print{p}, deleted: deleted}
		return "", false
	}
	last := e.prints[len(e.prints)-1]
	if last == p {
		return "", true
	}
	for _, was := range e.prints {
		if was == p {
			salt = strconv.Itoa(len(e.prints))
		}
	}
	if len(e.prints) == 64 {
		e.prints = e.prints[1:]
	}
	e.prints, e.deleted = append(e.prints, p), deleted
	return salt, false
}

// gone reports whether the record was told to be deleted at this time or later.
func (r recent) gone(id string, at time.Time) bool {
	e := r[id]
	return e != nil && e.deleted && !e.at.Before(at)
}

func (r recent) forget(before time.Time) {
	for id, e := range r {
		if e.at.Before(before) {
			delete(r, id)
		}
	}
}

var errNoID = errors.New("salesforce answered a record without an Id")

// SetPaused notes what was made durable elsewhere.
func (s *Sync) SetPaused(paused bool) { s.state.Paused = paused }
