package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	stdsync "sync"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/pubsub"
	"github.com/wellhead-io/wellhead/sdk"
)

// placeEvery bounds how often the place among the change events is stored. What
// is heard twice after a restart becomes the same events.
const placeEvery = 5 * time.Second

// settles is how long a new subscription may miss what happens.
const settles = 5 * time.Second

// follow hears of changes of every object that is read. Windows remain the
// truth: whatever goes wrong here only makes changes arrive later.
func (r *runner) follow(ctx context.Context, org string) {
	p := r.config.PubSub
	conn, err := pubsub.Dial(pubsub.Options{Endpoint: p.Endpoint, Plaintext: p.Plaintext, CAFile: p.CAFile, Org: org, Token: r.client.Token, Reject: r.client.Reject})
	if err != nil {
		bad := badEvents(err, r.config)
		r.note("pubsub", &bad)
		return
	}
	defer conn.Close()
	objects := map[string][]*worker{}
	for _, name := range slices.Sorted(maps.Keys(r.workers)) {
		w := r.workers[name]
		objects[w.spec.Object] = append(objects[w.spec.Object], w)
	}
	var following stdsync.WaitGroup
	for object, workers := range objects {
		f := &follower{runner: r, conn: conn, topic: pubsub.Topic(object), workers: workers}
		following.Go(func() { f.run(ctx) })
	}
	following.Wait()
}

// follower hears of one object's changes.
type follower struct {
	runner  *runner
	conn    *pubsub.Conn
	topic   string
	workers []*worker
	stored  time.Time
	covers  time.Time // a run of each sync that begins then closes a gap
}

func (f *follower) run(ctx context.Context) {
	f.runner.storing.Lock()
	place := f.runner.saved.Replay[f.topic]
	f.runner.storing.Unlock()
	pause, missed := time.Second, place == nil
	for {
		began := time.Now()
		if missed { // it is read at once, and again when the subscription surely hears
			f.all(0)
			f.covers = f.all(settles + covers)
		}
		err := f.conn.Subscribe(ctx, f.topic, place, func(changes []pubsub.Change, next []byte) error {
			pause = time.Second
			if err := f.pass(ctx, changes); err != nil {
				return err
			}
			if next != nil {
				place = next
			}
			f.runner.note(f.topic, nil)
			if f.covered() {
				f.runner.note(f.topic+" gap", nil)
			}
			return f.store(ctx, place)
		})
		if ctx.Err() != nil {
			return
		}
		gap := errors.Is(err, pubsub.ErrGap)
		if gap {
			place = nil
			f.runner.note(f.topic+" gap", f.problem(err))
			f.runner.stream.Log().Warn("change events are missing: what they told is read by SystemModstamp", "topic", f.topic, "reason", err)
		}
		missed = place == nil
		if errors.Is(err, pubsub.ErrTopic) || errors.Is(err, pubsub.ErrLimit) {
			pause, missed = max(pause, time.Minute), false // as long as nothing is heard, the interval counts
		}
		if !gap && time.Since(began) < time.Minute { // a stream that lived may end
			f.runner.note(f.topic, f.problem(err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, 5*time.Minute)
	}
}

// pass has every sync of the object tell what changed.
func (f *follower) pass(ctx context.Context, changes []pubsub.Change) error {
	named := false
	for _, c := range changes {
		if c.All {
			f.all(covers)
		}
		named = named || len(c.IDs) > 0
	}
	if !named {
		return nil
	}
	told := make(chan struct{}, len(f.workers))
	for _, w := range f.workers {
		select {
		case w.changes <- change{events: changes, told: told}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range f.workers {
		select {
		case <-told: // a sync that failed reads its window at once
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// all has every sync of the object read its window, after a while, and returns
// when.
func (f *follower) all(after time.Duration) time.Time {
	at := time.Now().Add(after)
	for _, w := range f.workers {
		w.asked.at(at)
	}
	return at
}

// covered reports whether every sync has read the window that closes a gap.
func (f *follower) covered() bool {
	return !slices.ContainsFunc(f.workers, func(w *worker) bool { return time.Unix(0, w.read.Load()).Before(f.covers) })
}

func (f *follower) store(ctx context.Context, place []byte) error {
	if place == nil || time.Since(f.stored) < placeEvery {
		return nil
	}
	f.stored = time.Now()
	r := f.runner
	r.storing.Lock()
	defer r.storing.Unlock()
	next := r.saved
	next.Replay = maps.Clone(r.saved.Replay)
	if next.Replay == nil {
		next.Replay = map[string][]byte{}
	}
	next.Replay[f.topic] = place
	_, err := r.put(ctx, next, nil)
	return err
}

func (f *follower) problem(err error) *sdk.Problem {
	p := sdk.Problem{Code: "pubsub", Path: "/pubsub", Message: f.topic + ": " + err.Error(), Fix: "nothing is lost, changes arrive at the interval; look at the network and at pubsub.endpoint"}
	switch {
	case errors.Is(err, pubsub.ErrGap):
		p.Code, p.Fix = "pubsub_gap", "nothing to do: what changed meanwhile is read by SystemModstamp"
	case errors.Is(err, pubsub.ErrTopic):
		p.Code, p.Fix = "pubsub_topic", "select the object in Setup > Change Data Capture, and give the user View All on it"
	case errors.Is(err, pubsub.ErrLimit):
		p.Code, p.Fix = "pubsub_limit", "changes arrive at the interval until the limit is free again; see Setup > Platform Events > Event Delivery"
	case errors.Is(err, sdk.ErrNeedsConsent), errors.Is(err, sdk.ErrNoToken):
		p = client.Problem(err, "")
	}
	return &p
}
