package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// emit measures what lies behind a plugin's Emit: no HTTP, no delivery.
func emit(ctx context.Context, o *options) error {
	binary, err := build(ctx, "peers/conduit", filepath.Join(o.scratch, "conduit"))
	if err != nil {
		return err
	}
	emitting := func(name, sync string) subject {
		return subject{name: name, start: func(ctx context.Context, dir string) (*process, error) {
			return host{journal: "{sync: " + sync + "}", moreSources: emitterSource(dir, "emit", 0, "")}.startEmitter(ctx, o, dir)
		}}
	}
	subjects := []subject{
		emitting("Wellhead: judged, deduplicated, synced to disk", "always"),
		emitting("Wellhead: the same, synced each second", "1s"),
		{name: "Conduit's connector protocol: nothing judged or kept", start: func(ctx context.Context, dir string) (*process, error) {
			return startConduit(binary, dir, o.event)
		}},
	}
	o.out.title("From a plugin in batches of 100, no delivery")
	results := make([][]result, len(subjects))
	for round := range o.rounds {
		for i, s := range subjects {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, s.name)
			r, err := emitTurn(ctx, s, o)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			results[i] = append(results[i], r)
		}
	}
	o.out.table(subjects, results, 2)
	for i, goal := range []string{"≥ 150,000 events/s", "≥ 220,000 events/s"} {
		o.out.goal([]string{"emitted in batches of 100, synced", "the same, synced each second"}[i], goal,
			"%.0f events/s", median(results[i], func(r result) float64 { return r.rate }))
	}
	return nil
}

// emitTurn counts for a while what arrives.
func emitTurn(ctx context.Context, s subject, o *options) (result, error) {
	dir, err := os.MkdirTemp(o.scratch, "emit-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	p, err := s.start(ctx, dir)
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	idle := p.rss()
	if !sleep(ctx, 2*time.Second) {
		return result{}, ctx.Err()
	}
	first, err := p.sink()
	if err != nil {
		return result{}, err
	}
	cpu, began := p.cpu(), time.Now()
	sleep(ctx, o.load)
	last, err := p.sink()
	if err == nil && last == first {
		err = errors.New("nothing arrived")
	}
	if err != nil {
		return result{}, errors.Join(ctx.Err(), err)
	}
	r := newResult(last-first, time.Since(began), p.cpu().minus(cpu))
	r.idle, r.loaded = idle, p.rss()
	return r, nil
}

// emitterSource configures the source that emits this many events, or without
// end.
func emitterSource(dir, prefix string, events int64, destinations string) string {
	return fmt.Sprintf("  emitter: {plugin: emitter, plan: plan.yaml, destinations: [%s], config: {event: %q, prefix: %q, events: %d}}\n",
		destinations, filepath.Join(dir, "event.json"), prefix, events)
}

// startEmitter starts a host that counts what its emitter has emitted.
func (h host) startEmitter(ctx context.Context, o *options, dir string) (*process, error) {
	if err := os.WriteFile(filepath.Join(dir, "event.json"), o.event, 0o600); err != nil {
		return nil, err
	}
	p, err := h.start(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	p.sink = p.counter(`wellhead_source_events_total{outcome="accepted",source="emitter"}`)
	return p, nil
}

// counter reads one of the host's metrics; one that is not there is 0.
func (p *process) counter(name string) func() (uint64, error) {
	return func() (uint64, error) {
		res, err := http.Get("http://" + p.console + "/metrics")
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				n, err := strconv.ParseFloat(value, 64)
				return uint64(n), err
			}
		}
		return 0, lines.Err()
	}
}

func startConduit(binary, dir string, event []byte) (*process, error) {
	file := filepath.Join(dir, "event.json")
	if err := os.WriteFile(file, event, 0o600); err != nil {
		return nil, err
	}
	cmd, err := start(binary, dir, "-host", file)
	if err != nil {
		return nil, err
	}
	// It prints how many records it has acknowledged, on a line each time.
	return &process{cmd: cmd, sink: func() (uint64, error) {
		b, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil {
			return 0, err
		}
		lines := bytes.Split(b, []byte("\n"))
		if len(lines) < 2 {
			return 0, nil
		}
		return strconv.ParseUint(string(lines[len(lines)-2]), 10, 64)
	}}, nil
}
