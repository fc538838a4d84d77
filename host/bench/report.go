package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// result is one turn.
type result struct {
	rate          float64 // events a second, acknowledged
	p50, p99      time.Duration
	own, children float64 // CPU in µs an event
	idle, loaded  memoryUse
}

func newResult(events uint64, took time.Duration, cpu cpuUse) result {
	return result{
		rate: float64(events) / took.Seconds(),
		own:  float64(cpu.own.Microseconds()) / float64(events), children: float64(cpu.children.Microseconds()) / float64(events),
	}
}

// report is Markdown, written as it grows.
type report struct {
	io.Writer
	goals [][]string
}

// goal keeps a row for the table at the end: what there is to reach.
func (r *report) goal(what, goal, format string, a ...any) {
	r.goals = append(r.goals, []string{what, goal, fmt.Sprintf(format, a...)})
}

// summary is the table of all goals.
func (r *report) summary() {
	r.title("Goals")
	r.head("what", "to reach", "reached")
	for _, g := range r.goals {
		r.row(g...)
	}
}

func (r *report) title(format string, a ...any) { fmt.Fprintf(r, "\n## "+format+"\n\n", a...) }

func (r *report) text(format string, a ...any) { fmt.Fprintf(r, format+"\n", a...) }

// head begins a table.
func (r *report) head(cells ...string) {
	r.row(cells...)
	fmt.Fprintln(r, strings.Repeat("|---", len(cells))+"|")
}

func (r *report) row(cells ...string) {
	fmt.Fprintln(r, "| "+strings.Join(cells, " | ")+" |")
}

// table prints medians, with the least and the most, and ratios to the subject
// with this index in the same round.
func (r *report) table(subjects []subject, results [][]result, peer int) {
	r.head("subject", "events/s", "of "+strings.SplitN(subjects[peer].name, ":", 2)[0], "CPU µs an event, process + plugins", "p50 ms", "p99 ms", "MB idle, loaded")
	for i, s := range subjects {
		rs := results[i]
		ratios := make([]float64, len(rs))
		for n := range rs {
			ratios[n] = rs[n].rate / results[peer][n].rate
		}
		r.row(s.name,
			spread(rs, "%.0f", func(r result) float64 { return r.rate }),
			spread(ratios, "%.2f", func(f float64) float64 { return f }),
			spread(rs, "%.1f", func(r result) float64 { return r.own })+" + "+spread(rs, "%.1f", func(r result) float64 { return r.children }),
			spread(rs, "%.1f", func(r result) float64 { return ms(r.p50) }),
			spread(rs, "%.1f", func(r result) float64 { return ms(r.p99) }),
			fmt.Sprintf("%.0f, %.0f",
				median(rs, func(r result) float64 { return mb(r.idle.total()) }),
				median(rs, func(r result) float64 { return mb(r.loaded.total()) })))
	}
}

// spread is the median of some figures, with the least and the most.
func spread[T any](rs []T, format string, of func(T) float64) string {
	all := figures(rs, of)
	if len(all) == 1 {
		return fmt.Sprintf(format, all[0])
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", all[len(all)/2], all[0], all[len(all)-1])
}

func median[T any](rs []T, of func(T) float64) float64 {
	all := figures(rs, of)
	return all[len(all)/2]
}

func figures[T any](rs []T, of func(T) float64) []float64 {
	all := make([]float64, len(rs))
	for i, r := range rs {
		all[i] = of(r)
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mb(b uint64) float64        { return float64(b) / 1e6 }
