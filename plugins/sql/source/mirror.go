package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"strconv"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/plugins/sql/mirror"
	"github.com/wellhead-io/wellhead/sdk"
)

// mirrored is a page of a run of mode mirror.
type mirrored struct {
	*page
	kept   *mirror.State
	pass   *mirror.Pass
	told   []mirror.Row // the rows of the page's events
	inPage map[[16]byte]bool
}

// mirror reads all rows and tells those that are new, changed or gone. A kill has
// some told again, under the message ids that they had.
func (p *page) mirror(ctx context.Context, tx database.Tx, columns []database.Column) error {
	if p.stateDir == "" {
		return sdk.Problem{Code: "no_state_dir", Path: "/mode", Message: "this host gives sources no folder, which mode: mirror needs", Fix: "run a newer host, or write mode: full"}
	}
	kept, err := mirror.Open(ctx, p.stateDir, p.Sync)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	if err := p.meet(ctx, kept); err != nil {
		return err
	}
	pass, err := kept.Begin(ctx)
	if err != nil {
		return err
	}
	defer pass.Close()
	rows, err := tx.Rows(ctx, database.Read{Query: p.query, Columns: columns})
	if err != nil {
		return err
	}
	defer rows.Close()
	p.state.Run.Read, p.state.Run.Refused = 0, 0 // a run that goes on reads all rows again
	m := &mirrored{page: p, kept: kept, pass: pass, inPage: map[[16]byte]bool{}}
	for rows.Next(ctx) {
		if err := m.add(ctx, rows.JSON()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := m.store(ctx); err != nil {
		return err
	}
	if p.deletes {
		if err := m.tellGone(ctx); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// meet compares the state's id with the one in the checkpoint.
func (p *page) meet(ctx context.Context, kept *mirror.State) error {
	const part = "mirror"
	switch p.state.Mirror {
	case kept.ID():
		return nil
	case "": // the first run, or the sync was reset
		if err := kept.Clear(ctx); err != nil {
			return err
		}
	default:
		p.task.Note(part, &sdk.Problem{
			Code: "mirror_lost", Path: path(p.Sync), Message: "what was known of the rows is lost: all are told again, and those that were deleted since the last run are not known",
			Fix: "keep data_dir/sources with the rest of data_dir; this goes away with a restart",
		})
	}
	p.state.Mirror = kept.ID()
	_, err := p.task.Store(ctx, p.state, nil)
	return err
}

// add takes in a row.
func (m *mirrored) add(ctx context.Context, values [][]byte) error {
	row, same := mirror.Row{}, false
	err := m.mapper.Read(values)
	if err == nil {
		row.Key, row.Hash = m.keyHash(values), m.mapper.Hash()
		same, row.Turn, err = m.known(ctx, row)
		if err != nil && !errors.Is(err, mirror.ErrTwice) {
			return err
		}
	}
	if same {
		m.rows++
		return m.fill(ctx)
	}
	row.Turn = cmp.Or(row.Turn, m.kept.Turn())
	if m.event(values, m.salt(row), err) {
		row.Identity = m.mapper.AppendIdentity(nil, values)
		m.told = append(m.told, row)
	}
	return m.fill(ctx)
}

// known reports whether a row was told as it is, by an earlier run or by this one.
func (m *mirrored) known(ctx context.Context, row mirror.Row) (same bool, turn int64, err error) {
	if m.inPage[row.Key] {
		return false, 0, mirror.ErrTwice
	}
	m.inPage[row.Key] = true
	return m.pass.Known(ctx, row.Key, row.Hash)
}

// salt is what makes the message id of a row beside its content.
func (m *mirrored) salt(r mirror.Row) string {
	return m.kept.ID() + strconv.FormatInt(r.Turn, 10)
}

func (m *mirrored) keyHash(values [][]byte) [16]byte {
	m.key = m.mapper.AppendKey(m.key[:0], values)
	sum := sha256.Sum256(m.key)
	return [16]byte(sum[:16])
}

func (m *mirrored) fill(ctx context.Context) error {
	if m.rows < pageRows && len(m.buffer) < pageBytes {
		return nil
	}
	return m.store(ctx)
}

// store stores the page, and then has the state know its rows.
func (m *mirrored) store(ctx context.Context) error {
	m.slow.Stop()
	defer m.slow.Reset(m.timeout)
	if len(m.starts) > 0 || m.refused > 0 {
		if err := m.pass.Telling(ctx, m.told); err != nil {
			return err
		}
		if err := m.send(ctx); err != nil {
			return err
		}
		if err := m.pass.Told(ctx, m.told); err != nil {
			return err
		}
	} else { // nothing is new, and the checkpoint need not say so
		m.state.Run.Read += uint64(m.rows)
		m.rows = 0
		m.report()
	}
	m.told = m.told[:0]
	clear(m.inPage)
	return m.task.Between(ctx)
}

// tellGone tells of the rows that the pass has not seen. When they were deleted is
// not known.
func (m *mirrored) tellGone(ctx context.Context) error {
	for after := int64(0); ; {
		gone, last, err := m.pass.Gone(ctx, after, pageRows)
		if err != nil || len(gone) == 0 {
			return err
		}
		after = last
		for i := range gone {
			r := &gone[i]
			r.Turn = cmp.Or(r.Turn, m.kept.Turn())
			values, err := m.mapper.OfIdentity(r.Identity)
			if err != nil {
				continue // kept with another key: whom to tell of is not known
			}
			from := len(m.buffer)
			if m.buffer = m.mapper.AppendDeletion(m.buffer, values, "", m.salt(*r)); len(m.buffer) > from {
				m.starts = append(m.starts, from)
			}
		}
		if err := m.pass.Ending(ctx, gone); err != nil {
			return err
		}
		m.slow.Stop()
		if err := m.send(ctx); err != nil {
			return err
		}
		if err := m.pass.Ended(ctx, gone); err != nil {
			return err
		}
		if err := m.task.Between(ctx); err != nil {
			return err
		}
	}
}
