package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// turn starts a subject, loads it, and counts what arrived at its sink.
func turn(ctx context.Context, s subject, o *options, l load, events [][]byte) (result, error) {
	dir, err := os.MkdirTemp(o.scratch, "turn-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	p, err := s.start(ctx, dir)
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	r, err := p.measure(ctx, s, l, events)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return r, fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
	}
	return r, nil
}

// measure loads a subject for a second, lets it settle, and then loads it for
// the figures. The events take turns in the requests.
func (p *process) measure(ctx context.Context, s subject, l load, events [][]byte) (result, error) {
	idle := p.rss()
	g := newGenerator(p, s, l, events)
	warm := l
	warm.took = time.Second
	g.run(ctx, warm)
	_, all, err := g.acked()
	if err == nil {
		err = p.settle(ctx, all)
	}
	if err != nil {
		return result{}, err
	}
	g.reset()
	cpu, began := p.cpu(), time.Now()
	g.run(ctx, l)
	took := time.Since(began)
	since, all, err := g.acked()
	if err == nil {
		err = p.settle(ctx, all)
	}
	if err == nil && since == 0 {
		err = errors.New("nothing was acknowledged")
	}
	if err != nil {
		return result{}, errors.Join(ctx.Err(), err)
	}
	r := newResult(since, took, p.cpu().minus(cpu))
	r.p50, r.p99 = g.percentile(0.50), g.percentile(0.99)
	r.idle, r.loaded = idle, p.rss()
	return r, nil
}

func newGenerator(p *process, s subject, l load, events [][]byte) *generator {
	return &generator{target: p.target, body: func(conn int) []byte {
		items := make([][]byte, l.batch)
		for i := range items {
			items[i] = events[(conn*l.batch+i)%len(events)]
		}
		return bytes.Clone(s.body(items))
	}}
}

// sideBySide lets subjects take turns under the same load and prints them,
// compared with the one of index peer.
func sideBySide(ctx context.Context, o *options, l load, peer int, subjects ...subject) ([][]result, error) {
	l.took = o.load
	results := make([][]result, len(subjects))
	for round := range o.rounds {
		for i, s := range subjects {
			fmt.Fprintf(os.Stderr, "round %d of %d, %d connections: %s\n", round+1, o.rounds, l.conns, s.name)
			r, err := turn(ctx, s, o, l, [][]byte{o.event})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			results[i] = append(results[i], r)
		}
	}
	o.out.table(subjects, results, peer)
	return results, nil
}

// batches is the main comparison.
func batches(ctx context.Context, o *options) error {
	fmt.Fprintln(os.Stderr, "building Benthos (minutes, the first time)")
	binary, err := build(ctx, "peers/benthos", filepath.Join(o.scratch, "benthos"))
	if err != nil {
		return err
	}
	us := wellhead(o, "Wellhead: synced to disk, a verdict per event", host{})
	again := wellhead(o, "Wellhead again, to show the noise", host{})
	peer := benthos(binary)
	var rate float64
	for _, conns := range []int{16, 32} {
		o.out.title("Requests of 20 events, %d connections, to a file", conns)
		results, err := sideBySide(ctx, o, load{conns: conns, batch: 20}, 1, us, peer, again)
		if err != nil {
			return err
		}
		reached, times := "≥ 80,000 events/s, ≤ 18 µs CPU an event", 5
		if conns == 32 {
			reached, times = "≥ 95,000 events/s", 6
		}
		mid := func(of func(result) float64) float64 { return median(results[0], of) }
		ours := mid(func(r result) float64 { return r.rate })
		o.out.goal(fmt.Sprintf("requests of 20, %d connections, synced, to a file", conns),
			fmt.Sprintf("%s, %d times Benthos", reached, times), "%.0f events/s, %.1f µs, %.1f times",
			ours, mid(func(r result) float64 { return r.own + r.children }), ours/median(results[1], func(r result) float64 { return r.rate }))
		if conns == 16 {
			rate = ours / 20
		}
	}
	o.out.title("Half of that load: %.0f requests of 20 events a second, when they are due", rate/2)
	results, err := sideBySide(ctx, o, load{conns: 64, batch: 20, rate: rate / 2}, 0, us)
	if err != nil {
		return err
	}
	o.out.goal("the same at half of the load of 16 connections", "p99 ≤ 10 ms, ≤ 25 µs CPU an event", "p99 %.1f ms, %.1f µs",
		median(results[0], func(r result) float64 { return ms(r.p99) }), median(results[0], func(r result) float64 { return r.own + r.children }))
	return nil
}

// singles is the worst case of a pipeline that lives on batches.
func singles(ctx context.Context, o *options) error {
	binary, err := build(ctx, "peers/skeleton", filepath.Join(o.scratch, "skeleton"))
	if err != nil {
		return err
	}
	o.out.title("Requests of one event, 64 connections, to a file")
	results, err := sideBySide(ctx, o, load{conns: 64, batch: 1}, 1, wellhead(o, "Wellhead: synced to disk, a verdict per event", host{}), skeleton(binary))
	if err != nil {
		return err
	}
	o.out.goal("requests of one event, 64 connections", "≥ 20,000 events/s", "%.0f events/s", median(results[0], func(r result) float64 { return r.rate }))
	return nil
}
