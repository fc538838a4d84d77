package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// result is one turn.
type result struct {
	rate          float64 // events per second, acknowledged
	p50, p99      time.Duration
	own, children float64 // CPU in µs per event
	idle, loaded  memoryUse
}

func newResult(g *generator, took time.Duration, cpu usage, idle, loaded memoryUse) result {
	events := float64(g.acked())
	return result{
		rate: events / took.Seconds(),
		p50:  g.percentile(0.50), p99: g.percentile(0.99),
		own: float64(cpu.own.Microseconds()) / events, children: float64(cpu.children.Microseconds()) / events,
		idle: idle, loaded: loaded,
	}
}

// table prints medians, with the least and the most, and ratios to the peer of
// the same round.
func table(subjects []subject, results [][]result) {
	fmt.Println("| subject | events/s | of the peer's | CPU µs/event: process + plugins | p50 / p99 ms | RSS MB idle, loaded |")
	fmt.Println("|---|---|---|---|---|---|")
	const peer = 1
	for i, s := range subjects {
		rs := results[i]
		ratios := make([]float64, len(rs))
		for n := range rs {
			ratios[n] = rs[n].rate / results[peer][n].rate
		}
		fmt.Printf("| %s | %s | %s | %s + %s | %s / %s | %.0f, %.0f |\n", s.title(),
			spread(rs, "%.0f", func(r result) float64 { return r.rate }),
			spread(ratios, "%.2f×", func(f float64) float64 { return f }),
			spread(rs, "%.1f", func(r result) float64 { return r.own }),
			spread(rs, "%.1f", func(r result) float64 { return r.children }),
			spread(rs, "%.1f", func(r result) float64 { return ms(r.p50) }),
			spread(rs, "%.1f", func(r result) float64 { return ms(r.p99) }),
			median(rs, func(r result) float64 { return mb(r.idle.total()) }),
			median(rs, func(r result) float64 { return mb(r.loaded.total()) }))
	}
	fmt.Println("\nEach figure is the median of the rounds, with the least and the most of them.")
}

func spread[T any](rs []T, format string, of func(T) float64) string {
	var all []float64
	for _, r := range rs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return fmt.Sprintf(format+" ("+format+"–"+format+")", all[len(all)/2], all[0], all[len(all)-1])
}

func median[T any](rs []T, of func(T) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(rs), func(a, b T) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2])
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mb(b uint64) float64        { return float64(b) / 1e6 }

// memory watches resident memory under load with unique ids, a journal limited
// to 5 GB and two rotated files kept.
func memory(ctx context.Context, o *options, event []byte) error {
	w := &wellhead{name: "wellhead", o: o, journal: "{sync: always, max_bytes: 5GB}", keep: 2}
	dir, err := os.MkdirTemp(o.scratch, "memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := w.start(ctx, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	g := newGenerator(p.url, p.header, w.body(event, o.batch))
	loaded, cancel := context.WithTimeout(ctx, o.memory)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); g.run(loaded, o.conns) }()
	var samples []memoryUse
	every := time.NewTicker(o.memory / 60)
	defer every.Stop()
	for running := true; running; {
		select {
		case <-every.C:
			samples = append(samples, p.rss())
		case <-done:
			running = false
		}
	}
	if err := g.err(); err != nil {
		return err
	}
	total := func(m memoryUse) float64 { return mb(m.total()) }
	third := max(1, len(samples)/3)
	fmt.Printf("\nResident memory over %s at that load (%d events): first third %.0f MB, last third %.0f MB, most %.0f MB, host and plugin together.\n",
		o.memory, g.acked(), median(samples[:third], total), median(samples[len(samples)-third:], total),
		total(slices.MaxFunc(samples, func(a, b memoryUse) int { return cmp.Compare(a.total(), b.total()) })))
	return nil
}

// stages runs the rooms' own benchmarks, one core each.
func stages(ctx context.Context) error {
	fmt.Println("\nStages, one by one (go test -bench):")
	bench := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Reference|Append|AddMiss|Deliver|Body", "-benchtime", "1s",
		"./host/internal/gate", "./host/internal/journal", "./host/internal/journal/dedup", "./host/internal/deliver", "./plugins/javascript/...")
	out, err := bench.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Benchmark") {
			fmt.Print("  ", line)
		}
	}
	if err != nil {
		return fmt.Errorf("stages: %w\n%s", err, out)
	}
	return nil
}
