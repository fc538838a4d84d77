package host

import (
	"context"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// shelves shows the journal's secondary logs to the quarantine: one for each
// source that ever had an event refused.
type shelves struct{ *journal.Journal }

const shelfPrefix = "quarantine-"

func (s shelves) Names(context.Context) ([]event.SourceID, error) {
	all, err := s.Logs()
	if err != nil {
		return nil, err
	}
	var sources []event.SourceID
	for _, name := range all {
		if source, ok := strings.CutPrefix(name, shelfPrefix); ok {
			sources = append(sources, event.SourceID(source))
		}
	}
	return sources, nil
}

func (s shelves) Open(_ context.Context, source event.SourceID, ring quarantine.Ring) (quarantine.Log, error) {
	log, err := s.Log(shelfPrefix+string(source), journal.LogOptions{MaxBytes: ring.MaxBytes, MaxAge: ring.MaxAge})
	if err != nil {
		return nil, err
	}
	return shelf{log}, nil
}

type shelf struct{ *journal.Log }

func (s shelf) Append(ctx context.Context, records [][]byte) error {
	ticket, err := s.Log.Append(ctx, records)
	if err != nil {
		return err
	}
	return ticket.Wait(ctx)
}

func (s shelf) First(ctx context.Context) (uint64, error) {
	stats, err := s.Stats(ctx)
	return stats.First, err
}

func (s shelf) Read(ctx context.Context, seq uint64) (quarantine.Frame, error) {
	f, err := s.Log.Read(ctx, seq)
	if err != nil {
		return quarantine.Frame{}, err
	}
	out := quarantine.Frame{Seq: f.Seq(), Records: make([][]byte, f.Len())}
	for i := range out.Records {
		out.Records[i] = f.Record(i)
	}
	return out, nil
}

// refusals shows the quarantine to the delivery loops.
type refusals struct{ refuser }

func (r refusals) Refuse(ctx context.Context, list []event.Refusal) error { return r.Add(ctx, list) }
