package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// point is one place on a curve.
type point struct {
	label  string
	load   load
	host   host
	events [][]byte
	fill   int64 // events in the journal before
}

// curves measures how cost grows with what grows, one thing at a time, from a
// load of 16 connections with requests of 20 reference events to one file.
func curves(ctx context.Context, o *options) error {
	base := func() point {
		return point{load: load{conns: 16, batch: 20, took: 4 * time.Second}, events: [][]byte{o.event}}
	}
	for _, c := range []struct {
		name   string
		values []int
		set    func(p *point, n int) error
	}{
		{"bytes of an event", []int{200, 840, 2000, 8000, 32000}, func(p *point, n int) error {
			e, err := resized(o.event, n)
			p.events = [][]byte{e}
			if n*p.load.batch > 400_000 { // the collector's bound on a request
				p.load.batch = 400_000 / n
			}
			return err
		}},
		{"events of a request", []int{1, 5, 20, 100, 500}, func(p *point, n int) error { p.load.batch = n; return nil }},
		{"connections", []int{1, 16, 64, 500, 5000}, func(p *point, n int) error { p.load.conns = n; return nil }},
		{"sources", []int{1, 10, 100, 500}, func(p *point, n int) error { p.host.sources = n; return nil }},
		{"events of the plan, in any order", []int{1, 10, 100, 1000}, func(p *point, n int) error {
			p.host.planned, p.events = n, nil
			for i := range n {
				name := eventName((i*7919 + 1) % n)
				p.events = append(p.events, bytes.Replace(o.event, []byte(`"Order Completed"`), []byte(`"`+name+`"`), 1))
			}
			return nil
		}},
		{"destinations", []int{1, 5, 20}, func(p *point, n int) error { p.host.destinations = n; return nil }},
		{"events in the journal before (millions)", []int{0, 2, 24}, func(p *point, n int) error {
			p.fill = int64(n) * 1e6
			p.host.journal = "{sync: always, max_bytes: 100GB}"
			return nil
		}},
	} {
		o.out.title("As it grows: %s", c.name)
		o.out.head(c.name, "events/s", "MB/s", "CPU µs an event, host + plugin", "p50 ms", "p99 ms", "MB idle, loaded")
		for _, n := range c.values {
			p := base()
			if err := c.set(&p, n); err != nil {
				return err
			}
			p.label = fmt.Sprint(n)
			fmt.Fprintf(os.Stderr, "%s: %d\n", c.name, n)
			if err := p.measure(ctx, o); err != nil {
				return fmt.Errorf("%s %d: %w", c.name, n, err)
			}
		}
	}
	return nil
}

func (p point) measure(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp(o.scratch, "curve-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.fill > 0 {
		if err := fill(ctx, o, dir, p.fill); err != nil {
			return err
		}
	}
	s := wellhead(o, "", p.host)
	run, err := s.start(ctx, dir)
	if err != nil {
		return err
	}
	defer run.stop()
	r, err := run.measure(ctx, s, p.load, p.events)
	if err != nil {
		return err
	}
	size := 0
	for _, e := range p.events {
		size += len(e)
	}
	o.out.row(p.label, fmt.Sprintf("%.0f", r.rate), fmt.Sprintf("%.1f", r.rate*float64(size/len(p.events))/1e6),
		fmt.Sprintf("%.1f + %.1f", r.own, r.children), fmt.Sprintf("%.1f", ms(r.p50)), fmt.Sprintf("%.1f", ms(r.p99)),
		fmt.Sprintf("%.0f, %.0f", mb(r.idle.total()), mb(r.loaded.total())))
	return nil
}

// resized is the event with about this many bytes: without what it can do
// without, or with more products.
func resized(event []byte, size int) ([]byte, error) {
	if size < len(event) {
		var whole map[string]json.RawMessage
		if err := json.Unmarshal(event, &whole); err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, `{"type":"track","messageId":%s,"userId":"u","event":%s,"properties":{"order_id":"1","total":1}}`,
			whole["messageId"], whole["event"]), nil
	}
	const mark = `"products":[`
	product := `{"product_id":"507f1f77bcf86cd7","sku":"G-32","name":"Monopoly: 3rd Edition","price":19,"quantity":1},`
	more := strings.Repeat(product, (size-len(event))/len(product))
	return bytes.Replace(event, []byte(mark), []byte(mark+more), 1), nil
}
