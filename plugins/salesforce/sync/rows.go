package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
)

// tornTries is how often a record is read again that changed between two
// queries for its parts.
const tornTries = 3

// ids is how many records are asked for by Id at once: half of a request's
// path, at 27 bytes each.
func (s *Sync) ids() int { return min(200, s.uriLimit/54) }

// divide puts columns into as many queries as their names need. The first one
// has the columns that every part needs, which come first.
func (s *Sync) divide(columns []string) [][]string {
	budget := s.uriLimit - s.ids()*27 - 600 - 3*len(s.Where)
	var chunks [][]string
	base := s.base()
	chunk, size := []string(nil), 0
	for _, c := range columns {
		if size += len(c) + 3; size > budget && len(chunk) > len(base) {
			chunks = append(chunks, chunk)
			chunk, size = append([]string(nil), base...), len(c)+3
		}
		chunk = append(chunk, c)
	}
	return append(chunks, chunk)
}

// base are the columns by which the parts of a record are put together.
func (s *Sync) base() []string {
	if c := s.mapper.Object().Clock(); c != "" {
		return []string{"Id", c}
	}
	return []string{"Id"}
}

// narrower makes the queries shorter after Salesforce refused one as too long,
// and reports whether that is possible.
func (s *Sync) narrower() bool {
	if s.mapper == nil || s.uriLimit < 4000 {
		return false
	}
	s.uriLimit /= 2
	s.chunks = s.divide(s.mapper.Columns())
	return true
}

// query returns the SOQL of the first part of some records.
func (s *Sync) query(condition, tail string) string {
	q := s.mapper.Select(s.chunks[0])
	switch {
	case s.Where != "" && condition != "":
		q += " WHERE (" + s.Where + ") AND " + condition
	case s.Where != "":
		q += " WHERE (" + s.Where + ")"
	case condition != "":
		q += " WHERE " + condition
	}
	return q + tail
}

// records makes whole records of the answer to a query.
func (s *Sync) records(ctx context.Context, rows []json.RawMessage, all bool) ([]object.Record, error) {
	out := make([]object.Record, len(rows))
	for i, row := range rows {
		if err := out[i].Fill(s.mapper.Columns(), row); err != nil {
			return nil, err
		}
		if s.mapper.ID(&out[i]) == "" {
			return nil, errNoID
		}
	}
	s.progress.Read += uint64(len(rows))
	if len(s.chunks) == 1 {
		return out, nil
	}
	return s.complete(ctx, out, all)
}

// complete adds the columns that the first query has not. A record that
// changed meanwhile is read anew; one that keeps changing, or is gone, is left
// out: its change will be read.
func (s *Sync) complete(ctx context.Context, records []object.Record, all bool) ([]object.Record, error) {
	var out []object.Record
	torn := records
	for try := 0; len(torn) > 0 && try < tornTries; try++ {
		if try > 0 {
			var ids []string
			for i := range torn {
				ids = append(ids, s.mapper.ID(&torn[i]))
			}
			var err error
			if torn, err = s.firstParts(ctx, ids, all, s.Where != ""); err != nil {
				return nil, err
			}
		}
		whole, rest, err := s.join(ctx, torn, all)
		if err != nil {
			return nil, err
		}
		out, torn = append(out, whole...), rest
	}
	return out, nil
}

// join reads the further parts of records once.
func (s *Sync) join(ctx context.Context, records []object.Record, all bool) (whole, torn []object.Record, err error) {
	for len(records) > 0 {
		batch := records[:min(s.ids(), len(records))]
		records = records[len(batch):]
		missing := make(map[string]*object.Record, len(batch))
		parts := make(map[string]int, len(batch))
		for i := range batch {
			missing[s.mapper.ID(&batch[i])] = &batch[i]
		}
		for _, chunk := range s.chunks[1:] {
			rows, err := s.rows(ctx, s.mapper.Select(chunk)+" WHERE "+in(keys(missing)), all)
			if err != nil {
				return nil, nil, err
			}
			for _, row := range rows {
				var part object.Record
				if err := part.Fill(s.mapper.Columns(), row); err != nil {
					return nil, nil, err
				}
				id := s.mapper.ID(&part)
				r := missing[id]
				if r == nil || !s.mapper.Time(r).Equal(s.mapper.Time(&part)) {
					continue
				}
				parts[id]++
				for i, v := range part.Values {
					if v != nil {
						r.Values[i] = v
					}
				}
			}
		}
		for i := range batch {
			if parts[s.mapper.ID(&batch[i])] == len(s.chunks)-1 {
				whole = append(whole, batch[i])
			} else {
				torn = append(torn, batch[i])
			}
		}
	}
	return whole, torn, nil
}

// byID reads records by their Ids, with the sync's condition or without.
func (s *Sync) byID(ctx context.Context, ids []string, all bool) ([]object.Record, error) {
	records, err := s.firstParts(ctx, ids, all, s.Where != "")
	if err != nil || len(s.chunks) == 1 {
		return records, err
	}
	return s.complete(ctx, records, all)
}

func (s *Sync) firstParts(ctx context.Context, ids []string, all, filtered bool) ([]object.Record, error) {
	var out []object.Record
	for len(ids) > 0 {
		batch := ids[:min(s.ids(), len(ids))]
		ids = ids[len(batch):]
		q := s.mapper.Select(s.chunks[0]) + " WHERE " + in(batch)
		if filtered {
			q = s.query(in(batch), "")
		}
		rows, err := s.rows(ctx, q, all)
		if err != nil {
			return nil, err
		}
		s.progress.Read += uint64(len(rows))
		for _, row := range rows {
			var r object.Record
			if err := r.Fill(s.mapper.Columns(), row); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// rows runs a query of at most one page's rows to its end.
func (s *Sync) rows(ctx context.Context, soql string, all bool) ([]json.RawMessage, error) {
	page, err := s.Client.Query(ctx, soql, all)
	if err != nil {
		return nil, err
	}
	out := page.Records
	for page.Next != "" {
		if page, err = s.Client.More(ctx, page.Next); err != nil {
			return nil, err
		}
		out = append(out, page.Records...)
	}
	return out, nil
}

// masters finds the userIds of the records that others were merged into.
func (s *Sync) masters(ctx context.Context, records []object.Record) (map[string]string, error) {
	ids := map[string]bool{}
	for i := range records {
		if m := s.mapper.NeedsMaster(&records[i]); m != "" && client.ValidID(m) {
			ids[m] = true
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	found, err := s.firstParts(ctx, keys(ids), true, false)
	if err != nil {
		return nil, err
	}
	for i := range found {
		out[s.mapper.ID(&found[i])] = s.mapper.User(&found[i])
	}
	return out, nil
}

func in(ids []string) string {
	var b strings.Builder
	b.WriteString("Id IN (")
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(client.Quote(id))
	}
	b.WriteByte(')')
	return b.String()
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

func and(conditions ...string) string {
	var out []string
	for _, c := range conditions {
		if c != "" {
			out = append(out, c)
		}
	}
	return strings.Join(out, " AND ")
}

func limit(n int) string { return fmt.Sprintf(" ORDER BY Id LIMIT %d", n) }
