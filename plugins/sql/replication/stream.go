package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/wellhead-io/wellhead/plugins/sql/row"
	"github.com/wellhead-io/wellhead/sdk"
)

// statusEvery is the time between two words to the server about what is stored.
// It ends connections of which it hears nothing for wal_sender_timeout, 60 s by
// default.
const statusEvery = time.Second

// placeEvery is the time between two checkpoints while nothing of the tables
// changes: the rest of the server's WAL has to be let go too.
const placeEvery = 10 * time.Second

// checkpointWithin is how long after its verdict a batch's checkpoint may come to
// the host's disk. What is acknowledged is older: after a crash of the host a slot
// that is ahead of the checkpoint would look as if somebody else had read it.
const checkpointWithin = 2 * time.Second

// place is how far everything is stored, and how far the server hears of it.
type place struct {
	stored        atomic.Uint64
	waiting, told LSN
	turned        time.Time
}

func newPlace(at LSN) *place {
	p := &place{waiting: at, told: at}
	p.stored.Store(uint64(at))
	return p
}

// acknowledge returns what the server may hear of. It is for one goroutine.
func (p *place) acknowledge() LSN {
	if time.Since(p.turned) >= checkpointWithin {
		p.told, p.waiting, p.turned = p.waiting, LSN(p.stored.Load()), time.Now()
	}
	return p.told
}

// message is one of the server's: a change, or how far it has sent.
type message struct {
	data []byte // of pgoutput; nil: there is no change up to lsn that was not sent
	lsn  LSN
	now  bool // the server waits for an answer
}

// receive passes on what the server sends, in its own time, and tells the server
// what is stored, until ctx ends.
func receive(ctx context.Context, conn *pgconn.PgConn, at *place, to chan<- message) error {
	due := time.Now()
	status := func() error {
		due = time.Now().Add(statusEvery)
		return pglogrepl.SendStandbyStatusUpdate(ctx, conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: at.acknowledge()})
	}
	for {
		if !time.Now().Before(due) {
			if err := status(); err != nil {
				return err
			}
		}
		m, err := receiveOne(ctx, conn, due)
		if err != nil {
			return err
		}
		for m != nil {
			late := time.NewTimer(time.Until(due))
			select {
			case to <- *m:
				m = nil
			case <-late.C:
				err = status()
			case <-ctx.Done():
				err = ctx.Err()
			}
			late.Stop()
			if err != nil {
				return err
			}
		}
	}
}

// receiveOne returns a message; nil: none came in time, or none of interest.
func receiveOne(ctx context.Context, conn *pgconn.PgConn, until time.Time) (*message, error) {
	inTime, cancel := context.WithDeadline(ctx, until)
	raw, err := conn.ReceiveMessage(inTime)
	cancel()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case pgconn.Timeout(err):
		return nil, nil //nolint:nilnil // none
	case err != nil:
		return nil, err
	}
	switch raw := raw.(type) {
	case *pgproto3.ErrorResponse:
		return nil, pgconn.ErrorResponseToPgError(raw)
	case *pgproto3.CopyDone:
		return nil, errors.New("the server ended the replication")
	case *pgproto3.CopyData:
		if len(raw.Data) == 0 {
			return nil, nil //nolint:nilnil // none
		}
		switch raw.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			k, err := pglogrepl.ParsePrimaryKeepaliveMessage(raw.Data[1:])
			return &message{lsn: k.ServerWALEnd, now: k.ReplyRequested}, err
		case pglogrepl.XLogDataByteID:
			x, err := pglogrepl.ParseXLogData(raw.Data[1:])
			return &message{data: bytes.Clone(x.WALData), lsn: x.WALStart}, err
		}
	}
	return nil, nil //nolint:nilnil // none of interest
}

// stream tells changes as they are committed, until ctx ends.
func (f *Follower) stream(ctx context.Context, q *pgx.Conn, tables map[string]*table) error {
	conn, err := f.connectReplication(ctx)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = pglogrepl.StartReplication(ctx, conn, `"`+f.Slot+`"`, f.state.LSN, pglogrepl.StartReplicationOptions{PluginArgs: []string{
		"proto_version '1'", "publication_names '" + strings.ReplaceAll(pgx.Identifier{f.Publication}.Sanitize(), "'", "''") + "'",
	}})
	if err != nil {
		return f.busy(ctx, q, err)
	}
	f.Note("replication", nil)
	f.tellAll("", sdk.Problem{}, time.Time{})
	at := newPlace(f.state.LSN)
	messages, lost := make(chan message), make(chan error, 1)
	running.Go(func() { lost <- receive(ctx, conn, at, messages) })
	a := &assembler{Follower: f, types: &types{q: q}, tables: tables, relations: map[uint32]*relation{}, batch: batch{limits: f.Limits}, place: at}
	return a.run(ctx, messages, lost)
}

// busy says who has the slot.
func (f *Follower) busy(ctx context.Context, q *pgx.Conn, err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Code != objectInUse {
		return err
	}
	if s, lookErr := f.slot(ctx, q); lookErr == nil && s != nil && s.holder != "" {
		return bad("slot_in_use", "replication slot %s is in use by %s", "give each source a slot of its own: replication: {slot: NAME}", f.Slot, s.holder)
	}
	return err
}

// assembler makes batches of what the server sends. While one is stored the next
// is filled; when that is full too, nothing is taken from the server.
type assembler struct {
	*Follower
	types     *types
	tables    map[string]*table
	relations map[uint32]*relation
	batch     batch
	place     *place

	inside bool // a transaction
	xid    uint32
	time   string
	at     LSN // of the change
	nth    int // of the changes at this place: a COPY writes many rows at once
	idle   LSN // nothing that is not in a batch was committed before
}

func (a *assembler) run(ctx context.Context, messages <-chan message, lost <-chan error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(placeEvery / 2)
	defer tick.Stop()
	type outcome struct {
		lsn LSN
		err error
	}
	stored := make(chan outcome, 1)
	storing, placed := false, time.Now()
	for {
		if b := &a.batch; !storing && (b.full() || len(b.events) > 0 && b.lsn != 0 || time.Since(placed) >= placeEvery && a.idle > a.state.LSN) {
			next := a.state.clone()
			next.LSN = max(next.LSN, b.lsn)
			if len(b.events) == 0 && !a.inside {
				next.LSN = max(next.LSN, a.idle)
			}
			events := b.events
			a.batch, storing, placed = batch{limits: a.Limits}, true, time.Now()
			go func() {
				_, err := a.Store(ctx, next, events)
				stored <- outcome{next.LSN, err}
			}()
		}
		from := messages
		if storing && a.batch.full() {
			from = nil
		}
		var err error
		select {
		case m := <-from:
			if m.data == nil && m.now {
				placed = time.Time{}
			}
			err = a.take(ctx, m)
		case done := <-stored:
			storing = false
			if err = done.err; err == nil {
				a.state.LSN = done.lsn
				a.stored++
				a.place.stored.Store(uint64(done.lsn))
			}
		case err = <-lost:
		case <-tick.C:
			a.Alive()
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			cancel() // so that Store ends too
			if storing {
				<-stored
			}
			return err
		}
	}
}

// relation is a table as the server last told of it.
type relation struct {
	schema, name string
	columns      []string
	types        []row.Postgres
	key          []int
	old, new     rowOf
	shapes       []*shape
}

// rowOf is a row: its values as JSON, and what they are made from.
type rowOf struct {
	values, buffers, texts [][]byte
	absent                 []int // large values that did not change, which the server leaves out
}

func (r *relation) full() string { return r.schema + "." + r.name }

// take takes one message in.
func (a *assembler) take(ctx context.Context, m message) error {
	if m.data == nil {
		if !a.inside {
			a.idle = max(a.idle, m.lsn)
		}
		return nil
	}
	parsed, err := pglogrepl.Parse(m.data)
	if err != nil {
		return err
	}
	// Other messages are sent again, or not, as a connection has it.
	switch parsed.(type) {
	case *pglogrepl.InsertMessage, *pglogrepl.UpdateMessage, *pglogrepl.DeleteMessage, *pglogrepl.TruncateMessage:
		if a.nth++; m.lsn != a.at {
			a.at, a.nth = m.lsn, 0
		}
	}
	switch p := parsed.(type) {
	case *pglogrepl.BeginMessage:
		a.inside, a.xid, a.time = true, p.Xid, p.CommitTime.UTC().Format("2006-01-02T15:04:05.000000Z")
	case *pglogrepl.CommitMessage:
		a.inside = false
		a.batch.lsn = p.TransactionEndLSN
		a.idle = max(a.idle, p.TransactionEndLSN)
	case *pglogrepl.RelationMessage:
		return a.relation(ctx, p)
	case *pglogrepl.InsertMessage:
		if r := a.relations[p.RelationID]; r != nil {
			r.read(&r.new, p.Tuple)
			return a.tell(r, false)
		}
	case *pglogrepl.UpdateMessage:
		if r := a.relations[p.RelationID]; r != nil {
			return a.update(ctx, r, p)
		}
	case *pglogrepl.DeleteMessage:
		if r := a.relations[p.RelationID]; r != nil {
			r.read(&r.old, p.OldTuple)
			a.gone(r)
		}
	case *pglogrepl.TruncateMessage:
		for _, id := range p.RelationIDs {
			if r := a.relations[id]; r != nil {
				if err := a.truncated(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// salt tells a change from every other.
func (a *assembler) salt() string {
	return fmt.Sprintf("%s %s %s %d", a.state.System, a.state.Epoch, a.at, a.nth)
}

// follows reports whether a sync hears of changes. One that is paused, while
// others are not, misses this one, and reads its table anew.
func (a *assembler) follows(s *shape) bool {
	state := a.state.Syncs[s.sync]
	if state.Paused && state.Run != "" {
		state.restart()
	}
	return state.Done && !state.Paused
}

// relation learns of a table's columns, which are sent before its first change
// and after each change of theirs.
func (a *assembler) relation(ctx context.Context, p *pglogrepl.RelationMessage) error {
	r := &relation{schema: p.Namespace, name: p.RelationName}
	var identity []string
	for i, c := range p.Columns {
		r.columns = append(r.columns, c.Name)
		t, err := a.types.of(ctx, c.DataType)
		if err != nil {
			return err
		}
		r.types = append(r.types, t)
		if c.Flags&1 != 0 {
			identity, r.key = append(identity, c.Name), append(r.key, i)
		}
	}
	for _, o := range []*rowOf{&r.old, &r.new} {
		o.values, o.buffers, o.texts = make([][]byte, len(r.columns)), make([][]byte, len(r.columns)), make([][]byte, len(r.columns))
	}
	for _, name := range a.names {
		t := a.tables[name]
		if t == nil || t.oid != p.RelationID && (t.schema != r.schema || t.name != r.name) {
			continue
		}
		key := identity
		if p.ReplicaIdentity == 'f' && all(t.key, r.columns) {
			key = t.key
		}
		s, problems := a.newShape(name, r.columns, key)
		if len(problems) > 0 {
			return a.problemAt(name, problems[0])
		}
		r.shapes = append(r.shapes, s)
	}
	delete(a.relations, p.RelationID)
	if len(r.shapes) > 0 {
		a.relations[p.RelationID] = r
	}
	return nil
}

// read takes a row in. What the server leaves out is absent.
func (r *relation) read(to *rowOf, t *pglogrepl.TupleData) {
	to.absent = to.absent[:0]
	for i := range r.columns {
		to.values[i], to.texts[i] = nil, nil
		if t == nil || i >= len(t.Columns) {
			continue
		}
		switch c := t.Columns[i]; c.DataType {
		case pglogrepl.TupleDataTypeText:
			r.set(to, i, c.Data)
		case pglogrepl.TupleDataTypeToast:
			to.absent = append(to.absent, i)
		}
	}
}

func (r *relation) set(to *rowOf, i int, text []byte) {
	to.texts[i] = text
	to.buffers[i] = r.types[i].Append(to.buffers[i][:0], text)
	to.values[i] = to.buffers[i]
}

// update tells of a row that was changed. One whose key was changed is another.
func (a *assembler) update(ctx context.Context, r *relation, p *pglogrepl.UpdateMessage) error {
	r.read(&r.old, p.OldTuple)
	r.read(&r.new, p.NewTuple)
	for _, i := range r.new.absent {
		if text := r.old.texts[i]; text != nil {
			r.set(&r.new, i, text)
		}
	}
	r.new.absent = keepIf(r.new.absent, func(i int) bool { return r.new.texts[i] == nil })
	if len(r.new.absent) > 0 && p.OldTupleType != pglogrepl.UpdateMessageTupleTypeOld {
		there, err := a.fetch(ctx, r)
		if err == nil && !there {
			if err = a.visible(ctx); err == nil {
				there, err = a.fetch(ctx, r)
			}
		}
		if err != nil {
			return err
		}
		if !there {
			if p.OldTuple != nil {
				a.gone(r)
			}
			return nil // what became of it is told later
		}
	}
	return a.tell(r, p.OldTuple != nil)
}

// visible returns when queries see the transaction: a server sends it as soon as
// it is in the WAL, which is a moment before. Its lock is let go after that.
func (a *assembler) visible(ctx context.Context) error {
	for {
		var under bool
		err := a.types.q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND transactionid = $1::text::xid)`, strconv.FormatUint(uint64(a.xid), 10)).Scan(&under)
		if err != nil || !under {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gone tells that the old row is no more.
func (a *assembler) gone(r *relation) {
	for _, s := range r.shapes {
		if a.follows(s) {
			a.batch.add(s.deletion(a.batch.events, r.old.values, a.time, a.salt()))
		}
	}
}

// tell tells of the new row, and that the old one is gone where it is another.
func (a *assembler) tell(r *relation, old bool) error {
	for _, s := range r.shapes {
		if !a.follows(s) {
			continue
		}
		if old && r.moved(s) {
			a.batch.add(s.deletion(a.batch.events, r.old.values, a.time, a.salt()))
		}
		events, err := s.upsert(a.batch.events, r.new.values, a.salt())
		if err != nil {
			p := a.problemAt(s.sync, sdk.Problem{Code: "row", Message: fmt.Sprintf("a row of %s became no call: %s", r.full(), err), Fix: "mend the row, or the sync's columns"})
			a.Note(s.sync+" row", &p)
			continue
		}
		a.batch.add(events)
	}
	return nil
}

// moved reports whether the old row is another to a sync: by what of both is
// known, which is the key where the table's replica identity is no more.
func (r *relation) moved(s *shape) bool {
	before := make([][]byte, len(r.columns))
	for i := range before {
		if before[i] = r.new.values[i]; r.old.texts[i] != nil {
			before[i] = r.old.values[i]
		}
	}
	return s.told(before) != s.told(r.new.values)
}

// fetch reads the values that the server left out, as they are now: they are
// what they were, or a later change tells of them. It reports whether the row is
// still there.
func (a *assembler) fetch(ctx context.Context, r *relation) (bool, error) {
	var columns, where []string
	var args [][]byte
	for _, i := range r.new.absent {
		columns = append(columns, pgx.Identifier{r.columns[i]}.Sanitize())
	}
	for _, i := range r.key {
		args = append(args, r.new.texts[i])
		where = append(where, fmt.Sprintf("%s = $%d", pgx.Identifier{r.columns[i]}.Sanitize(), len(args)))
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + pgx.Identifier{r.schema, r.name}.Sanitize() + " WHERE " + strings.Join(where, " AND ")
	result := a.types.q.PgConn().ExecParams(ctx, query, args, nil, nil, nil).Read()
	if e, ok := errors.AsType[*pgconn.PgError](result.Err); ok && (e.Code == "42703" || e.Code == "42P01") {
		// The column or the table has another name now, or is gone.
		p := bad("large_value", "a large value of %s that did not change can be read no more: %s", "ALTER TABLE … REPLICA IDENTITY FULL keeps this from happening; wellhead sync reset reads the table anew", r.full(), e.Message)
		a.Note("replication value", &p)
		return false, nil
	}
	if result.Err != nil || len(result.Rows) == 0 {
		return false, result.Err
	}
	for n, i := range r.new.absent {
		if text := result.Rows[0][n]; text != nil {
			r.set(&r.new, i, text)
		}
	}
	return true, nil
}

// Truncated is the event of a table that was emptied: which rows it had, the
// server does not tell.
const Truncated = "Table Truncated"

func (a *assembler) truncated(r *relation) error {
	for _, s := range r.shapes {
		if !a.follows(s) || s.silent {
			continue
		}
		e, err := sdk.Call{
			Type: "track", Event: Truncated, AnonymousID: r.full(), MessageID: s.mapper.Sync + " truncated " + a.salt(),
			Properties: map[string]any{"objectId": r.full(), "deletedAt": a.time},
		}.JSON()
		if err != nil {
			return err
		}
		a.batch.add(append(a.batch.events, e))
		a.Log.Warn("a table was truncated", "table", r.full(), "sync", s.sync)
	}
	return nil
}

func all(names, in []string) bool {
	for _, n := range names {
		if indexOf(in, n) < 0 {
			return false
		}
	}
	return len(names) > 0
}

func keepIf(all []int, keep func(int) bool) []int {
	out := all[:0]
	for _, i := range all {
		if keep(i) {
			out = append(out, i)
		}
	}
	return out
}
