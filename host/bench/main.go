// Command bench measures Wellhead against peers, side by side in one run, and
// writes what it found as Markdown.
//
// Every subject gets the same load from a generator that shares its cores, and
// what it delivered is counted at its sink. Subjects take turns, Wellhead twice
// in each round: the ratio of its two turns (A/A) shows how much of any other
// ratio is noise. Absolute figures are worth little on another machine; the
// ratios are what to look at.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

type options struct {
	rounds  int
	load    time.Duration
	memory  time.Duration
	rate    float64
	bin     string
	scratch string
	emitter string // binary
	event   []byte
	out     *report
}

type section struct {
	name, about string
	run         func(context.Context, *options) error
}

// sections are the parts of a run, in order.
var sections = []section{
	{"batches", "requests of 20 events beside Benthos, at 16 and 32 connections and at half load", batches},
	{"singles", "requests of one event, 64 connections", singles},
	{"emit", "a plugin that emits as fast as it can, beside Conduit's connector protocol", emit},
	{"catchup", "a destination that is far behind, under live load", catchup},
	{"salesforce", "a change in a Salesforce simulator to the line in the file, and the first read", salesforce},
	{"sql", "what reading a table of PostgreSQL costs, beside psql and encoding/json", sql},
	{"memory", "resident memory under load over a long time", memory},
	{"stages", "the rooms' own benchmarks", stages},
	{"curves", "cost as work grows (only when asked for: half an hour)", curves},
}

func main() {
	o := &options{}
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, each with every subject once and Wellhead twice")
	flag.DurationVar(&o.load, "load", 8*time.Second, "time under load of a turn")
	flag.DurationVar(&o.memory, "memory", 2*time.Minute, "time under load of section memory; 1h is its full form")
	flag.Float64Var(&o.rate, "memory-rate", 0, "events a second of section memory; 0: as fast as it can")
	flag.StringVar(&o.bin, "bin", "bin", "folder of Wellhead's binaries")
	file := flag.String("o", "", "write the Markdown to this file too")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, *file, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [flags] [section ...]\n\nsections, all but curves by default:")
	for _, s := range sections {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprintln(os.Stderr, "\nflags:")
	flag.PrintDefaults()
}

func run(ctx context.Context, o *options, file string, names []string) (err error) {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if o.scratch, err = os.MkdirTemp("", "wellhead-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	event, err := os.ReadFile(filepath.Join("host", "bench", "testdata", "event.json"))
	if err != nil {
		return fmt.Errorf("reference event: %w (run it from the repository's folder)", err)
	}
	o.event = bytes.TrimSpace(event)
	if o.emitter, err = build(ctx, "emitter", filepath.Join(o.scratch, "emitter")); err != nil {
		return err
	}
	o.out = &report{Writer: os.Stdout}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		o.out.Writer = io.MultiWriter(os.Stdout, f)
	}
	o.out.text("# Wellhead's figures\n\n%s. Events of %d bytes; medians of %d rounds (least–most).", machine(ctx), len(o.event), o.rounds)
	for _, i := range chosen {
		if err := sections[i].run(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", sections[i].name, err)
		}
	}
	o.out.summary()
	return nil
}

// choose returns the indexes of the named sections, in the order of sections.
func choose(names []string) (chosen []int, err error) {
	known := func(name string) bool {
		return slices.ContainsFunc(sections, func(s section) bool { return s.name == name })
	}
	for _, name := range names {
		if !known(name) {
			return nil, fmt.Errorf("there is no section %s: bench -h lists them", name)
		}
	}
	for i, s := range sections {
		if len(names) == 0 && s.name != "curves" || slices.Contains(names, s.name) {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}

// machine says what the figures are about.
func machine(ctx context.Context) string {
	model := "a CPU of unknown model"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.Trim(name, " \t:\n")
				break
			}
		}
	}
	commit := "unknown commit"
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = "commit " + strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %s, %s/%s, %d cores of %s", time.Now().UTC().Format("2006-01-02"), commit, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model)
}
