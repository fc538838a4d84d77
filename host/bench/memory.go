package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// memory watches resident memory under load with unique ids, a journal limited
// to 5 GB and two rotated files kept.
func memory(ctx context.Context, o *options) error {
	h := host{journal: "{sync: always, max_bytes: 5GB}", keep: 2}
	dir, err := os.MkdirTemp(o.scratch, "memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := h.start(ctx, o, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	l := load{conns: 16, batch: 20, rate: o.rate / 20, took: o.memory}
	g := newGenerator(p, wellhead(o, "", h), l, [][]byte{o.event})
	done := make(chan struct{})
	began := time.Now()
	go func() { defer close(done); g.run(ctx, l) }()
	var samples []memoryUse
	every := time.NewTicker(o.memory / 60)
	defer every.Stop()
	for running := true; running; {
		select {
		case <-every.C:
			m := p.rss()
			samples = append(samples, m)
			if len(samples)%6 != 0 {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s: host %.0f MB, plugins %.0f MB\n", time.Since(began).Round(time.Second), mb(m.own), mb(m.children))
		case <-done:
			running = false
		}
	}
	_, all, err := g.acked()
	if err == nil && len(samples) == 0 {
		err = errors.New("no sample was taken")
	}
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	total := func(m memoryUse) float64 { return mb(m.total()) }
	third := max(1, len(samples)/3)
	most := total(slices.MaxFunc(samples, func(a, b memoryUse) int { return cmp.Compare(a.total(), b.total()) }))
	o.out.goal(fmt.Sprintf("resident memory at full load, %s", o.memory), "≤ 200 MB, flat", "%.0f MB at most", most)
	o.out.title("Resident memory over %s", o.memory)
	o.out.text("%.0f events a second; host and plugin together: first third %.0f MB, last third %.0f MB, most %.0f MB.",
		float64(all)/o.memory.Seconds(), median(samples[:third], total), median(samples[len(samples)-third:], total), most)
	return nil
}

// gateBenchmark is the gate's of an event that it takes.
const gateBenchmark = "BenchmarkAcceptWithPlan"

// stages runs the rooms' own benchmarks, one core each.
func stages(ctx context.Context, o *options) error {
	o.out.title("Stages, one by one (go test -bench)")
	bench := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Accept|Reference|Append|AddMiss|Deliver|Body", "-benchmem", "-benchtime", "1s",
		"./host/internal/gate", "./host/internal/journal", "./host/internal/journal/dedup", "./host/internal/deliver", "./plugins/javascript/...")
	out, err := bench.CombinedOutput()
	o.out.text("```")
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Benchmark") {
			o.out.text("%s", strings.TrimSuffix(line, "\n"))
			if f := strings.Fields(line); strings.HasPrefix(f[0], gateBenchmark) {
				o.out.goal("the gate on the reference event", "≤ 1 µs, 0 allocations", "%s ns, %s allocations", f[2], f[len(f)-2])
			}
		}
	}
	o.out.text("```")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
