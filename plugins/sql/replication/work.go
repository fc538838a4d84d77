package replication

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wellhead-io/wellhead/sdk"
)

// work follows until it fails or ctx ends. While all syncs are paused it only
// looks at what the slot holds.
func (f *Follower) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close(context.WithoutCancel(ctx)) }()
	var running sync.WaitGroup
	ended := make(chan error, 2)
	running.Go(func() { ended <- f.watchLag(ctx) })
	running.Go(func() { ended <- f.follow(ctx, q) })
	err = <-ended
	cancel()
	running.Wait()
	if errors.Is(err, errDropped) {
		return f.dropSlot(context.WithoutCancel(ctx))
	}
	return err
}

// dropSlot lets the server remove its WAL: nothing else uses the slot now.
func (f *Follower) dropSlot(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q, err := f.connect(bounded)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close(bounded) }()
	s, err := f.slot(bounded, q)
	if err != nil || s == nil {
		return err
	}
	if err := f.drop(bounded, q); err != nil {
		return err
	}
	f.Note("replication lag", nil)
	f.dropped = "the server kept " + size(s.kept) + " of WAL for replication slot " + f.Slot + ", which is max_lag, and the slot was dropped"
	return nil
}

func (f *Follower) follow(ctx context.Context, q *pgx.Conn) error {
	if len(f.active()) == 0 {
		f.Note("replication", nil)
		f.tellAll("", sdk.Problem{}, time.Time{})
		tick := time.NewTicker(placeEvery / 2)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.Alive()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if f.dropped != "" {
		if err := f.lost(ctx, f.dropped); err != nil {
			return err
		}
		f.dropped = ""
	}
	v, err := look(ctx, q)
	if err != nil {
		return err
	}
	if err := v.problem(); err != nil {
		return err
	}
	tables, err := f.readTables(ctx, q)
	if err != nil {
		return err
	}
	if err := f.publish(ctx, q, v, tables); err != nil {
		return err
	}
	exported, keeper, err := f.begin(ctx, q, v)
	if err != nil {
		return err
	}
	f.Note("replication", nil)
	f.tellAll("", sdk.Problem{}, time.Time{})
	if err := f.snapshot(ctx, q, exported, keeper, tables); err != nil {
		return err
	}
	return f.stream(ctx, q, tables)
}

// readTables looks the tables up. A table that cannot be read holds up the others
// once its changes are told, since they would be missed; before, it is left out.
func (f *Follower) readTables(ctx context.Context, q *pgx.Conn) (map[string]*table, error) {
	out := map[string]*table{}
	f.broken = map[string]bool{}
	for _, name := range f.names {
		t, err := f.usable(ctx, q, name)
		p, isProblem := errors.AsType[sdk.Problem](err)
		switch {
		case err == nil:
			out[name] = t
			f.Note(name, nil)
		case isProblem && !f.state.Syncs[name].Done:
			p = f.problemAt(name, p)
			f.Note(name, &p)
			f.broken[name] = true
		case isProblem:
			return nil, f.problemAt(name, p)
		default:
			return nil, err
		}
	}
	return out, nil
}

// usable looks a sync's table up and whether its rows can become the call.
func (f *Follower) usable(ctx context.Context, q *pgx.Conn, name string) (*table, error) {
	t, err := readTable(ctx, q, f.Syncs[name].Table)
	if err != nil {
		return nil, err
	}
	if len(f.Syncs[name].Mapping.Key) == 0 && len(t.key) == 0 {
		return nil, sdk.Problem{Code: "no_key", Path: "/key", Message: t.full() + " has no primary key", Fix: "name the columns that identify a row: key: [email]"}
	}
	if f.state.Syncs[name].Done {
		return t, nil // the WAL tells what its columns were
	}
	if _, problems := f.newShape(name, t.columns, t.key); len(problems) > 0 {
		return nil, problems[0]
	}
	return t, nil
}
