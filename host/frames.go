package host

import (
	"context"

	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// frames shows the journal to the delivery loops.
type frames struct{ *journal.Journal }

func (f frames) Next(ctx context.Context, seq uint64) (deliver.Frame, error) {
	next, err := f.Journal.Next(ctx, seq)
	if err != nil {
		return nil, err
	}
	return frame{next}, nil
}

func (f frames) Extent() deliver.Extent { return deliver.Extent(f.Journal.Extent()) }

type frame struct{ *journal.Frame }

func (f frame) Event(i int) destination.Event {
	e := f.Frame.Event(i)
	return destination.Event{
		Position: event.At(f.Seq(), i), Source: e.Source, Type: e.Type, MessageID: e.MessageID(),
		ReceivedAt: e.ReceivedAt, JSON: e.JSON, Attachment: e.Attachment,
	}
}
