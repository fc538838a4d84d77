package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

// errTooSlow means that not even one second's changes could be queried.
var errTooSlow = errors.New("the changes of one second take Salesforce longer than a query may")

// windows tells everything that changed up to a time, from before the cursor
// on. It is one window, unless Salesforce cannot query that much at once.
func (s *Sync) windows(ctx context.Context, to time.Time) error {
	from := s.state.Cursor.Add(-overlap)
	var after *Place
	if p := s.state.Place; p != nil {
		from, after = p.Time, p
	}
	for width := to.Sub(from); from.Before(to); {
		end := earliest(to, from.Add(width))
		err := s.window(ctx, from, end, after)
		switch {
		case err == nil:
			from, after = end, nil
			width *= 2
		case client.Is(err, client.URITooLong) && s.narrower():
		case client.Is(err, client.QueryTimeout) || client.Is(err, client.QueryTooLarge):
			if p := s.state.Place; p != nil && p.Time.After(from) {
				from, after = p.Time, p // so far it came
			}
			if width = (width / 2).Truncate(time.Second); width < time.Second {
				return fmt.Errorf("%w: %w", errTooSlow, err)
			}
		default:
			return err
		}
	}
	return nil
}

// window tells the changes in (from, to] in their order, or what lies behind a
// place. Records with the same time are told apart by their Ids, and a lost
// cursor of Salesforce's goes on behind the last record.
func (s *Sync) window(ctx context.Context, from, to time.Time, after *Place) error {
	clock := s.mapper.Object().Clock()
	for {
		low := clock + " > " + client.Literal(from)
		if after != nil {
			at := client.Literal(after.Time)
			low = fmt.Sprintf("((%s = %s AND Id > %s) OR %s > %s)", clock, at, client.Quote(after.ID), clock, at)
		}
		condition := and(low, clock+" <= "+client.Literal(to))
		page, err := s.Client.Query(ctx, s.query(condition, " ORDER BY "+clock+", Id"), s.all)
		for err == nil {
			if after, err = s.tellWindow(ctx, page, after); err != nil {
				return err
			}
			if page.Next == "" {
				return nil
			}
			if err = s.Between(ctx); err != nil {
				return err
			}
			page, err = s.Client.More(ctx, page.Next)
		}
		if after == nil || !client.Is(err, client.LocatorLost) {
			return err
		}
	}
}

// tellWindow tells one page and moves the place.
func (s *Sync) tellWindow(ctx context.Context, page *client.Page, after *Place) (*Place, error) {
	if len(page.Records) == 0 {
		return after, nil
	}
	records, err := s.records(ctx, page.Records, s.all)
	if err != nil {
		return after, err
	}
	place, err := s.place(page)
	if err != nil {
		return after, err
	}
	events, err := s.tellAll(ctx, records)
	if err != nil {
		return after, err
	}
	next := s.state
	next.Place = place
	return place, s.emit(ctx, next, events)
}

// place is that of the last record of a page.
func (s *Sync) place(page *client.Page) (*Place, error) {
	var r object.Record
	if err := r.Fill(s.mapper.Columns(), page.Records[len(page.Records)-1]); err != nil {
		return nil, err
	}
	p := &Place{Time: s.mapper.Time(&r), ID: s.mapper.ID(&r)}
	if p.Time.IsZero() {
		return nil, fmt.Errorf("record %s has no %s", p.ID, s.mapper.Object().Clock())
	}
	return p, nil
}

func (s *Sync) tellAll(ctx context.Context, records []object.Record) ([]sdk.Event, error) {
	masters, err := s.masters(ctx, records)
	if err != nil {
		return nil, err
	}
	var events []sdk.Event
	for i := range records {
		r := &records[i]
		if s.mapper.Deleted(r) && !s.Deletes {
			continue
		}
		events = s.tell(events, r, object.Note{Master: masters[s.mapper.NeedsMaster(r)]})
	}
	return events, nil
}

// Concerns reports whether a change may make a difference to what is told, of
// the fields that an event could tell of those being given that did not change.
// A condition may look at any field.
func (s *Sync) Concerns(unchanged map[string]bool) bool {
	return unchanged == nil || s.Where != "" || s.mapper.Needs(unchanged)
}

// Refetch tells what has become of some records, as a window would. at is when
// they changed, as far as it is known. It has to be Live.
func (s *Sync) Refetch(ctx context.Context, ids []string, at time.Time) error {
	for len(ids) > 0 {
		part := ids[:min(restPage, len(ids))]
		ids = ids[len(part):]
		events, err := s.refetch(ctx, part, at)
		if err != nil {
			return err
		}
		if err := s.emit(ctx, s.state, events); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sync) refetch(ctx context.Context, ids []string, at time.Time) ([]sdk.Event, error) {
	records, err := s.byID(ctx, ids, s.all)
	if err != nil {
		return nil, err
	}
	events, err := s.tellAll(ctx, records)
	if err != nil || !s.Deletes {
		return events, err
	}
	found := make(map[string]bool, len(records))
	for i := range records {
		found[s.mapper.ID(&records[i])] = true
	}
	var lost []client.Deletion
	for _, id := range ids {
		if !found[id] {
			lost = append(lost, client.Deletion{ID: id, Time: at})
		}
	}
	return s.tellLost(ctx, events, lost)
}
