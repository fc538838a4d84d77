// Package mirror remembers the rows that were told, so that a read of all rows
// shows which are new, changed or gone.
//
// A State is a file of SQLite beside the checkpoint, which may be lost: rows are
// told again then, and deletions since it was written last are not known. It
// holds, of each row, a hash of its key, one of its content, and what has to be
// known to tell that it is gone. A Pass takes one bit of memory for each row.
//
// What is about to be told is noted before, and noted as told after. So a kill
// between leaves nothing unknown: not that a row was told which is gone by the
// next pass, nor that it was told otherwise than it is again by then.
package mirror

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// State is what is known of the rows of one sync. It is for one goroutine.
type State struct {
	db   *sql.DB
	id   string
	turn int64 // the last one that was used
}

// version is that of the tables; a state of another is begun anew.
const version = "1"

const tableRow = `row (place integer primary key, key blob not null unique, hash blob not null, identity blob not null,
	turn integer not null, pending integer not null)`

// What pending says of a row.
const (
	told    = 0 // it was told as it is here
	telling = 1 // it may have been told as it is here, with this turn
	ending  = 2 // it may have been told that it is gone, with this turn
)

// Open opens the state of a sync in a folder, or begins one. A file that is no
// state, or damaged, is replaced by an empty one.
func Open(ctx context.Context, dir, sync string) (*State, error) {
	sum := sha256.Sum256([]byte(sync)) // a name need not be one of a file
	path := filepath.Join(dir, fmt.Sprintf("mirror-%x.db", sum[:8]))
	s, err := open(ctx, path)
	if err == nil {
		return s, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return open(ctx, path)
}

func open(ctx context.Context, path string) (_ *State, err error) {
	options := "?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(10000)&_pragma=cache_size(-4096)"
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+options)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	db.SetMaxOpenConns(1)
	// The order matters after a kill: a state without its id is begun anew.
	if _, err := db.ExecContext(ctx, `create table if not exists `+tableRow+`;
		create table if not exists about (version text not null, id text not null, turn integer not null)`); err != nil {
		return nil, err
	}
	s := &State{db: db}
	var have string
	err = db.QueryRowContext(ctx, "select version, id, turn from about").Scan(&have, &s.id, &s.turn)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		s.id = rand.Text()
		_, err = db.ExecContext(ctx, "delete from row; insert into about values (?, ?, 0)", version, s.id)
	case err == nil && have != version:
		err = errors.New("a state of another version")
	}
	return s, err
}

// ID names the state: one that was begun anew has another.
func (s *State) ID() string { return s.id }

// Clear forgets all rows.
func (s *State) Clear(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "delete from row")
	return err
}

// Close closes the state.
func (s *State) Close() error { return s.db.Close() }

// Row is a row as it is told, or told to be gone.
type Row struct {
	Key      [16]byte
	Hash     [16]byte
	Identity []byte
	// Turn tells apart what is told of a row at different times, and is the same
	// for what is told again. 0: a new one.
	Turn int64
}

// Turn is what a page that is told now has for Row.Turn where that is 0.
func (s *State) Turn() int64 { return s.turn + 1 }

// Pass is one read of all rows.
type Pass struct {
	s    *State
	seen []uint64 // a bit for each place
	find *sql.Stmt
}

// Begin begins a pass.
func (s *State) Begin(ctx context.Context) (*Pass, error) {
	var count, last int64
	if err := s.db.QueryRowContext(ctx, "select count(*), coalesce(max(place), 0) from row").Scan(&count, &last); err != nil {
		return nil, err
	}
	if last > 4*count+1<<20 { // places are not used again
		if _, err := s.db.ExecContext(ctx, "begin; alter table row rename to old; create table "+tableRow+`;
			insert into row (key, hash, identity, turn, pending) select key, hash, identity, turn, pending from old order by place; drop table old; commit`); err != nil {
			return nil, err
		}
	}
	find, err := s.db.PrepareContext(ctx, "select place, hash, turn, pending from row where key = ?")
	return &Pass{s: s, find: find}, err
}

// Close ends a pass.
func (p *Pass) Close() { _ = p.find.Close() }

// ErrTwice is what Known returns of a row that has been seen in this pass.
var ErrTwice = errors.New("another row has the same key")

// Known reports whether a row was told as it is, and marks it as one that is
// there. The turn, where it is not 0, is the one with which it may have been told.
func (p *Pass) Known(ctx context.Context, key, hash [16]byte) (same bool, turn int64, err error) {
	var place int64
	var pending int
	var have []byte
	switch err := p.find.QueryRowContext(ctx, key[:]).Scan(&place, &have, &turn, &pending); {
	case errors.Is(err, sql.ErrNoRows):
		return false, 0, nil
	case err != nil:
		return false, 0, err
	case p.marked(place):
		return false, 0, ErrTwice
	}
	p.mark(place)
	if string(have) != string(hash[:]) || pending == ending {
		return false, 0, nil
	}
	return pending == told, turn, nil
}

func (p *Pass) mark(place int64) {
	for int(place/64) >= len(p.seen) {
		p.seen = append(p.seen, 0)
	}
	p.seen[place/64] |= 1 << (place % 64)
}

func (p *Pass) marked(place int64) bool {
	return int(place/64) < len(p.seen) && p.seen[place/64]&(1<<(place%64)) != 0
}

// Telling notes rows that are about to be told. Their Turn must not be 0.
func (p *Pass) Telling(ctx context.Context, rows []Row) error {
	return p.each(ctx, `insert into row (key, hash, identity, turn, pending) values (?, ?, ?, ?, 1) on conflict (key) do update
		set hash = excluded.hash, identity = excluded.identity, turn = excluded.turn, pending = 1 returning place`,
		rows, func(s *sql.Stmt, r *Row) error {
			var place int64
			if err := s.QueryRowContext(ctx, r.Key[:], r.Hash[:], r.Identity, r.Turn).Scan(&place); err != nil {
				return err
			}
			p.mark(place)
			return nil
		})
}

// Told notes that they were.
func (p *Pass) Told(ctx context.Context, rows []Row) error {
	return p.each(ctx, "update row set pending = 0 where key = ?", rows, byKey(ctx))
}

// Ending notes rows of which is about to be told that they are gone.
func (p *Pass) Ending(ctx context.Context, rows []Row) error {
	return p.each(ctx, "update row set pending = 2, turn = ? where key = ?", rows, func(s *sql.Stmt, r *Row) error {
		_, err := s.ExecContext(ctx, r.Turn, r.Key[:])
		return err
	})
}

// Ended takes them out of the state.
func (p *Pass) Ended(ctx context.Context, rows []Row) error {
	return p.each(ctx, "delete from row where key = ?", rows, byKey(ctx))
}

func byKey(ctx context.Context) func(*sql.Stmt, *Row) error {
	return func(s *sql.Stmt, r *Row) error {
		_, err := s.ExecContext(ctx, r.Key[:])
		return err
	}
}

// each runs a statement for each row, all of them or none, and uses the turn up.
func (p *Pass) each(ctx context.Context, statement string, rows []Row, run func(*sql.Stmt, *Row) error) error {
	tx, err := p.s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	s, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	used := p.s.turn
	for i := range rows {
		if err := run(s, &rows[i]); err != nil {
			return err
		}
		used = max(used, rows[i].Turn)
	}
	if _, err := tx.ExecContext(ctx, "update about set turn = ?", used); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	p.s.turn = used
	return nil
}

// Gone returns rows, at most so many, that are in the state and were not seen, in
// order behind the place after; and the place of the last one, to go on behind it.
// Turn is the one with which it may have been told that they are gone, or 0.
func (p *Pass) Gone(ctx context.Context, after int64, most int) (rows []Row, last int64, err error) {
	all, err := p.s.db.QueryContext(ctx, "select place, key, identity, turn, pending from row where place > ? order by place", after)
	if err != nil {
		return nil, after, err
	}
	defer func() { _ = all.Close() }()
	for len(rows) < most && all.Next() {
		var key []byte
		var pending int
		var r Row
		if err := all.Scan(&last, &key, &r.Identity, &r.Turn, &pending); err != nil {
			return nil, after, err
		}
		if p.marked(last) || len(key) != len(r.Key) {
			continue
		}
		if pending != ending {
			r.Turn = 0
		}
		copy(r.Key[:], key)
		rows = append(rows, r)
	}
	return rows, last, all.Err()
}
