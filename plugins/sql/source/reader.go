package source

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/schedule"
)

// reader reads one sync.
type reader struct {
	spec
	db     database.Database
	limits sdk.Limits
	// stateDir is the source's folder; empty: it has none.
	stateDir string
	timeout  time.Duration
}

// state is how far a sync has come.
type state struct {
	// Cursor is the greatest value of the cursor column that was read.
	Cursor database.Value `json:"cursor,omitzero"`
	// Began is when the last whole run began, by the database's clock.
	Began database.Value `json:"began,omitzero"`
	// Marks are values of Cursor with the time at which they were the greatest, for
	// cursors that are no times. They grow in both.
	Marks []mark `json:"marks,omitempty"`
	// Mirror is the id of the state of mode mirror.
	Mirror string `json:"mirror,omitempty"`
	// Run is the run that is under way.
	Run *progress `json:"run,omitempty"`
}

type mark struct {
	At    time.Time      `json:"at"`
	Value database.Value `json:"value"`
}

// progress is how far a run has come.
type progress struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Started time.Time `json:"started"`
	// Began is when it began by the database's clock; Reads when the state that it
	// reads now was that of the database: later, where it goes on after a restart.
	Began database.Value `json:"began"`
	Reads database.Value `json:"reads"`
	// From is the cursor from which it reads, and Since the time; none: all rows.
	From  database.Value `json:"from,omitzero"`
	Since database.Value `json:"since,omitzero"`
	// After is the last row that is stored: the values of the columns of order.
	After   []database.Value `json:"after,omitempty"`
	Read    uint64           `json:"read"`
	Emitted uint64           `json:"emitted"`
	Refused uint64           `json:"refused"`
}

const (
	pageRows  = 1000
	pageBytes = 1 << 20
)

// errSlow ends a read of which no row has come for long.
var errSlow = fmt.Errorf("no rows for longer than timeout: %w", context.DeadlineExceeded)

// run reads what is new.
func (r *reader) run(ctx context.Context, t *schedule.Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(r.timeout, func() { cancel(errSlow) })
	defer slow.Stop()
	err := r.read(ctx, t, slow)
	if context.Cause(ctx) == errSlow { //nolint:errorlint // it is itself the cause
		return errSlow
	}
	return err
}

func (r *reader) read(ctx context.Context, t *schedule.Task, slow *time.Timer) error {
	var s state
	if _, err := t.State(&s); err != nil {
		return fmt.Errorf("state of the sync: %w", err)
	}
	tx, err := r.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Close()
	columns, err := tx.Columns(ctx, r.query)
	if err != nil {
		return err
	}
	order, err := r.columns(columns)
	if err != nil {
		return err
	}
	mapper, problems := row.NewMapper(r.Mapping, names(columns))
	if len(problems) > 0 {
		return problems[0]
	}
	if s.Run == nil {
		s.Run = r.begin(s, tx.Now(), r.kind(s))
		if r.mode == modeFull { // its messages are told apart by the run
			if _, err := t.Store(ctx, s, nil); err != nil {
				return err
			}
		}
	}
	s.Run.Reads = tx.Now()
	p := &page{reader: r, task: t, mapper: mapper, slow: slow, state: &s}
	if r.mode == modeMirror {
		return p.mirror(ctx, tx, columns)
	}
	rows, err := tx.Rows(ctx, database.Read{
		Query: r.query, Values: r.placeholders(columns, s.Run), Columns: columns,
		Order: names(pick(columns, order)), From: s.Run.From, After: s.Run.After,
	})
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next(ctx) {
		if err := p.add(ctx, rows, order); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return p.finish(ctx)
}

// kind is what people call a run.
func (r *reader) kind(s state) string {
	if r.mode == modeIncremental && s.Began == (database.Value{}) {
		return "backfill"
	}
	return r.mode
}

// begin is a new run.
func (r *reader) begin(s state, now database.Value, kind string) *progress {
	p := &progress{ID: rand.Text()[:12], Kind: kind, Started: time.Now(), Began: now, Since: since(s, now, r.overlap)}
	if r.cursor == "" || s.Cursor == (database.Value{}) {
		return p
	}
	if from, ok := s.Cursor.Before(s.Began, r.overlap); ok {
		p.From, p.Since = from, from
	} else {
		p.From = from0(s, r.overlap)
	}
	return p
}

// since is when the last whole run began, less the overlap; none: there was none.
func since(s state, now database.Value, overlap time.Duration) database.Value {
	if s.Began == (database.Value{}) {
		return s.Began
	}
	v, _ := s.Began.Before(now, overlap)
	return v
}

// from0 is from where to read by a cursor that is no time, such as a growing
// number: from what was the greatest when the overlap before the last run began.
// A row that was not yet committed then has a greater one.
func from0(s state, overlap time.Duration) database.Value {
	if overlap == 0 {
		return s.Cursor
	}
	var from database.Value
	began, ok := s.Began.Instant()
	for _, m := range s.Marks {
		if ok && !m.At.After(began.Add(-overlap)) {
			from = m.Value
		}
	}
	return from
}

// maxMarks bounds the marks. Without one that is old enough all rows are read,
// so the second oldest goes first.
const maxMarks = 64

// ended is the state after a run that has read everything.
func (r *reader) ended(s state) state {
	p := s.Run
	s.Run = nil
	s.Began = p.Began
	if r.cursor == "" {
		return s
	}
	if len(p.After) > 0 {
		s.Cursor = p.After[0]
	}
	if _, isTime := s.Cursor.Before(p.Began, 0); isTime || s.Cursor == (database.Value{}) {
		s.Marks = nil
		return s
	}
	if at, ok := p.Reads.Instant(); ok {
		began, _ := p.Began.Instant()
		for len(s.Marks) > 1 && !s.Marks[1].At.After(began.Add(-r.overlap)) {
			s.Marks = s.Marks[1:]
		}
		s.Marks = append(s.Marks, mark{at, s.Cursor})
		if len(s.Marks) > maxMarks {
			s.Marks = append(s.Marks[:1], s.Marks[2:]...)
		}
	}
	return s
}

// placeholders are the values of the query's placeholders.
func (r *reader) placeholders(columns []database.Column, p *progress) map[string]database.Value {
	values := map[string]database.Value{database.LastSyncTime: p.Since, database.Cursor: p.From}
	if p.Since == (database.Value{}) {
		values[database.LastSyncTime] = r.db.Least(nil)
	}
	if p.From == (database.Value{}) && r.cursor != "" {
		values[database.Cursor] = r.db.Least(&columns[row.Find(names(columns), r.cursor)])
	}
	return values
}

// columns finds the columns of order.
func (r *reader) columns(columns []database.Column) ([]int, error) {
	var out []int
	for _, name := range r.order() {
		i := row.Find(names(columns), name)
		if i < 0 {
			p := sdk.Problem{Code: "columns", Path: "/key", Message: fmt.Sprintf("the result has no column %q", name), Fix: "select it"}
			if name == r.cursor {
				p.Path = "/cursor"
			}
			return nil, p
		}
		out = append(out, i)
	}
	return out, nil
}

func names(columns []database.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

func pick(columns []database.Column, which []int) []database.Column {
	var out []database.Column
	for _, i := range which {
		out = append(out, columns[i])
	}
	return out
}

// page gathers the events of some rows until they are stored.
type page struct {
	*reader
	task   *schedule.Task
	mapper *row.Mapper
	slow   *time.Timer
	state  *state

	events  []sdk.Event
	buffer  []byte // of the events
	starts  []int
	rows    int
	last    []database.Value // of the row added last
	key     []byte
	refused uint64 // rows that became no event, of which first is the reason of one
	first   string
}

// add takes in a row and stores the page when it is full.
func (p *page) add(ctx context.Context, rows database.Rows, order []int) error {
	values := rows.JSON()
	err := p.mapper.Read(values)
	for _, c := range order {
		if err == nil && values[c] == nil {
			err = errors.New("the cursor is null")
		}
	}
	if p.event(values, p.salt(), err); err != nil {
		// Without a place among the others; what follows it has one.
		return p.fill(ctx)
	}
	p.last = p.last[:0]
	for _, c := range order {
		p.last = append(p.last, rows.Value(c))
	}
	return p.fill(ctx)
}

// salt is what makes a message id beside the row's content.
func (p *page) salt() string {
	if p.mode == modeFull {
		return p.state.Run.ID
	}
	return ""
}

// event adds the event of the row that the mapper has read, or counts the row where
// err says why it has none or where it is too large; it reports which.
func (p *page) event(values [][]byte, salt string, err error) bool {
	p.rows++
	if most := p.limits.EventBytes; err == nil && most > 0 && p.mapper.Len() > most {
		err = fmt.Errorf("its event has %d bytes, limits.event is %d", p.mapper.Len(), most)
	}
	if err != nil {
		if p.refused++; p.first == "" {
			p.key = p.mapper.AppendKey(p.key[:0], values)
			p.first = fmt.Sprintf("%.100s: %s", p.key, err)
		}
		return false
	}
	p.starts = append(p.starts, len(p.buffer))
	p.buffer = p.mapper.AppendEvent(p.buffer, salt)
	return true
}

// fill stores the page if it is full.
func (p *page) fill(ctx context.Context) error {
	if p.rows < pageRows && len(p.buffer) < pageBytes {
		return nil
	}
	return p.store(ctx)
}

// store stores the page and how far the run has come.
func (p *page) store(ctx context.Context) error {
	run := p.state.Run
	if len(p.last) > 0 {
		run.After = p.last
	}
	p.slow.Stop()
	if err := p.send(ctx); err != nil {
		return err
	}
	err := p.task.Between(ctx)
	p.slow.Reset(p.timeout)
	return err
}

// send stores the page's events with the state.
func (p *page) send(ctx context.Context) error {
	run := p.state.Run
	p.cut()
	next := *run
	next.Read += uint64(p.rows)
	next.Emitted += uint64(len(p.events))
	next.Refused += p.refused
	s := *p.state
	s.Run = &next
	refused, err := p.task.Store(ctx, s, p.events)
	if err != nil {
		return err
	}
	next.Emitted -= uint64(refused)
	next.Refused += uint64(refused)
	*run = next
	p.rows, p.refused, p.buffer, p.starts = 0, 0, p.buffer[:0], p.starts[:0]
	p.report()
	return nil
}

// cut makes the events of the buffer.
func (p *page) cut() {
	p.events = p.events[:0]
	for i, from := range p.starts {
		to := len(p.buffer)
		if i+1 < len(p.starts) {
			to = p.starts[i+1]
		}
		p.events = append(p.events, p.buffer[from:to:to])
	}
}

func (p *page) report() {
	run := p.state.Run
	p.task.Report(sdk.SyncRun{ID: run.ID, Kind: run.Kind, Started: run.Started, Read: run.Read, Emitted: run.Emitted, Refused: run.Refused}, 0)
}

// finish ends a run that has read everything.
func (p *page) finish(ctx context.Context) error {
	if p.rows > 0 {
		if len(p.last) > 0 {
			p.state.Run.After = p.last
		}
		p.slow.Stop()
		if err := p.send(ctx); err != nil {
			return err
		}
	}
	p.report()
	p.warn()
	p.task.Keep(p.ended(*p.state))
	return nil
}

// warn names the rows that became no event.
func (p *page) warn() {
	if p.first == "" {
		p.task.Warn(nil)
		return
	}
	p.task.Warn(&sdk.Problem{
		Code: "rows_refused", Path: path(p.Sync),
		Message: cmp.Or("row "+p.first, "some rows became no call"),
		Fix:     "mend the row or the query; how many there are wellhead sync list tells",
	})
}
