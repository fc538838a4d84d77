package host

import (
	"context"
	"encoding/json"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// Tail implements console.Host.
func (r *running) Tail(ctx context.Context, f console.TailFilter, emit func([]console.Record) error) error {
	if err := r.checkNames(f.Source, ""); err != nil {
		return err
	}
	w := r.tap.watch()
	defer r.tap.leave(w)
	next := r.journal.Extent().Last + 1
	if err := emit(nil); err != nil {
		return err
	}
	accepted := make(chan []console.Record)
	g, ctx := errgroup.WithContext(ctx)
	if !f.Refused {
		g.Go(func() error { return r.tailJournal(ctx, next, f, accepted) })
	}
	g.Go(func() error {
		for {
			var records []console.Record
			select {
			case records = <-accepted:
			case refused := <-w.records:
				records = matching(f, refused)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if missed := w.missed.Swap(0); missed > 0 {
				records = append(records, console.Record{Missed: missed})
			}
			if len(records) == 0 {
				continue
			}
			if err := emit(records); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}

// tailJournal hands on what matches, frame by frame.
func (r *running) tailJournal(ctx context.Context, next uint64, f console.TailFilter, to chan<- []console.Record) error {
	for {
		frame, err := r.journal.Next(ctx, next)
		if err != nil {
			return err
		}
		var records []console.Record
		if missed := frame.Seq() - next; missed > 0 {
			records = append(records, console.Record{Missed: missed})
		}
		next = frame.Seq() + 1
		for i := range frame.Len() {
			if e := frame.Event(i); (f.Source == "" || e.Source == f.Source) && (f.Type == "" || e.Type == f.Type) {
				records = append(records, matching(f, []console.Record{acceptedRecord(&e)})...)
			}
		}
		if len(records) == 0 {
			continue
		}
		select {
		case to <- records:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func matching(f console.TailFilter, records []console.Record) []console.Record {
	var out []console.Record
	for i := range records {
		r := &records[i]
		if (f.Source == "" || r.Source == f.Source) && (f.Type == "" || r.Type == f.Type) && (f.Event == "" || r.Event == f.Event) {
			out = append(out, *r)
		}
	}
	return out
}

func acceptedRecord(e *journal.Event) console.Record {
	r := console.Record{
		Time: e.ReceivedAt, Source: e.Source, Type: e.Type, MessageID: e.MessageID(),
		Position: &e.Position, Claim: console.Claim{JSON: e.JSON},
	}
	if e.Type == event.Track {
		var named struct{ Event string }
		// The gate has seen that it is an object with a name.
		_ = json.Unmarshal(e.JSON, &named)
		r.Event = named.Event
	}
	return r
}
