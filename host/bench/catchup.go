package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// behind is how many events a destination is behind when it begins to catch up.
const behind = 3_000_000

// catchup fills a journal without delivery, and then measures live load to
// another destination: by itself, and while a new destination reads the
// journal from its beginning.
func catchup(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp(o.scratch, "catchup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(os.Stderr, "filling a journal with %d events\n", behind)
	if err := fill(ctx, o, dir, behind); err != nil {
		return err
	}
	live := func(h host) (*process, *generator, error) {
		p, err := h.startEmitter(ctx, o, dir)
		if err != nil {
			return nil, nil, err
		}
		return p, newGenerator(p, wellhead(o, "", h), load{batch: 20}, [][]byte{o.event}), nil
	}
	l := load{conns: 16, batch: 20, took: o.load}
	p, g, err := live(host{moreSources: emitterSource(dir, "fill", 1, "")})
	if err != nil {
		return err
	}
	began := time.Now()
	g.run(ctx, l)
	alone, _, err := g.acked()
	aloneRate := float64(alone) / time.Since(began).Seconds()
	p.stop()
	if err != nil {
		return err
	}

	fmt.Fprintln(os.Stderr, "catching up under live load")
	p, g, err = live(host{
		moreSources:      emitterSource(dir, "fill", 1, "late"),
		moreDestinations: "  late: {type: file, path: late.jsonl, from: oldest}\n",
	})
	if err != nil {
		return err
	}
	defer p.stop()
	delivered := p.counter(`wellhead_destination_delivered_total{destination="late"}`)
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	began = time.Now()
	done := make(chan struct{})
	l.took = 5 * time.Minute
	go func() { defer close(done); g.run(loaded, l) }()
	var n uint64
	for n < behind && sleep(ctx, 50*time.Millisecond) && time.Since(began) < 4*time.Minute {
		if n, err = delivered(); err != nil {
			return err
		}
	}
	took := time.Since(began)
	most := p.rss()
	cancel()
	<-done
	meanwhile, _, err := g.acked()
	if err == nil && n < behind {
		err = fmt.Errorf("%d of %d events were caught up in %s", n, behind, took)
	}
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	o.out.title("A destination %d events behind, while 16 connections send requests of 20 to another", behind)
	o.out.head("what", "events/s")
	o.out.row("caught up from the journal", fmt.Sprintf("%.0f", float64(n)/took.Seconds()))
	o.out.row("live meanwhile", fmt.Sprintf("%.0f", float64(meanwhile)/took.Seconds()))
	o.out.row("live by itself", fmt.Sprintf("%.0f", aloneRate))
	o.out.text("\n%.0f MB resident at its end.", mb(most.total()))
	o.out.goal("catching up from the journal under live load", "≥ 100,000 events/s, live down by less than a third", "%.0f events/s, live down by %.0f %%",
		float64(n)/took.Seconds(), 100*(1-float64(meanwhile)/took.Seconds()/aloneRate))
	return nil
}

// fill makes a journal that holds this many events.
func fill(ctx context.Context, o *options, dir string, events int64) error {
	p, err := host{journal: "{sync: 1s, max_bytes: 100GB}", moreSources: emitterSource(dir, "fill", events, "")}.startEmitter(ctx, o, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	last, since := uint64(0), time.Now()
	for {
		n, err := p.sink()
		if err != nil || n >= uint64(events) {
			return err
		}
		if n > last {
			last, since = n, time.Now()
		}
		if time.Since(since) > time.Minute {
			return fmt.Errorf("filling the journal stopped at %d of %d events", n, events)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}
