package sync

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/sdk"
)

// replicatedFor is how far back getDeleted looks, less a margin.
const replicatedFor = 15*24*time.Hour - time.Hour

// deletions is what getDeleted answered.
type deletions struct {
	records []client.Deletion
	covered time.Time // zero: not known
	gap     bool      // deletions since the cursor may be missing
}

// deletions asks which records were deleted since the cursor, and up to when
// every change is visible.
func (s *Sync) deletions(ctx context.Context, now time.Time) (deletions, error) {
	if !s.mapper.Object().Replicateable {
		return deletions{}, nil
	}
	from, gap := s.state.Cursor.Add(-overlap), false
	switch oldest := now.Add(-replicatedFor); {
	case s.state.Cursor.IsZero():
		from = now.Add(-time.Minute)
	case from.Before(oldest):
		from, gap = oldest, true
	}
	d, err := s.Client.Deleted(ctx, s.Object, from, now)
	if client.Is(err, client.ReplicationRange) || client.Is(err, client.TooManyDeletions) {
		return deletions{gap: true}, nil
	}
	if err != nil {
		return deletions{}, err
	}
	return deletions{records: d.Records, covered: d.Covered, gap: gap || d.Since.After(from.Add(time.Minute))}, nil
}

// tellDeletions tells of the deleted records that no window has shown: those
// that have left the recycle bin, or never were in it.
func (s *Sync) tellDeletions(ctx context.Context, d deletions) error {
	if !s.Deletes {
		return nil
	}
	var lost []client.Deletion
	for _, r := range d.records {
		if client.ValidID(r.ID) && !s.recent.gone(r.ID, r.Time) {
			lost = append(lost, r)
		}
	}
	for len(lost) > 0 {
		part := lost[:min(restPage, len(lost))]
		lost = lost[len(part):]
		events, err := s.tellLost(ctx, nil, part)
		if err != nil {
			return err
		}
		if err := s.emit(ctx, s.state, events); err != nil {
			return err
		}
		if err := s.Between(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tellLost looks what has become of records that are said to be gone, and tells
// of those that are.
func (s *Sync) tellLost(ctx context.Context, events []sdk.Event, lost []client.Deletion) ([]sdk.Event, error) {
	if len(lost) == 0 {
		return events, nil
	}
	ids := make([]string, len(lost))
	for i := range lost {
		ids[i] = lost[i].ID
	}
	known, err := s.firstParts(ctx, ids, s.all, false)
	if err != nil {
		return events, err
	}
	there := make(map[string]bool, len(known))
	var binned []string
	for i := range known {
		id := s.mapper.ID(&known[i])
		there[id] = true
		if s.mapper.Deleted(&known[i]) {
			binned = append(binned, id)
		}
	}
	if len(binned) > 0 {
		records, err := s.byID(ctx, binned, s.all)
		if err != nil {
			return events, err
		}
		more, err := s.tellAll(ctx, records)
		if err != nil {
			return events, err
		}
		events = append(events, more...)
	}
	for _, d := range lost {
		if there[d.ID] {
			continue
		}
		out, print := s.mapper.AppendDeletion(events, d.ID, d.Time, object.Note{})
		if _, same := s.recent.see(d.ID, d.Time, print, true); !same {
			events = out
		}
		if key, ok := idKey(d.ID); ok && s.told != nil {
			delete(s.told, key)
		}
	}
	return events, nil
}
