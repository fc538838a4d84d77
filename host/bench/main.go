// Command bench measures Wellhead against a peer, side by side in one run.
//
// Every subject gets the same load from a generator that shares its cores, and
// what it delivered is counted at its sink. Subjects take turns, Wellhead twice
// in each round: the ratio of its two turns (A/A) shows how much of any other
// ratio is noise. Absolute figures are worth little on another machine; the
// ratios are what to look at.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

type options struct {
	rounds  int
	load    time.Duration
	conns   int
	batch   int
	memory  time.Duration
	bin     string
	scratch string
	stages  bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, each with every subject once and Wellhead twice; 0 leaves the comparison out")
	flag.DurationVar(&o.load, "load", 8*time.Second, "time under load of a turn")
	flag.IntVar(&o.conns, "conns", 16, "connections of the load generator")
	flag.IntVar(&o.batch, "batch", 20, "events in a request")
	flag.DurationVar(&o.memory, "memory", 2*time.Minute, "time under load of the memory test; 1h is its full form, 0 leaves it out")
	flag.StringVar(&o.bin, "bin", "bin", "folder of Wellhead's binaries")
	flag.BoolVar(&o.stages, "stages", true, "measure the stages one by one as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) (err error) {
	if o.scratch, err = os.MkdirTemp("", "wellhead-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	event, err := referenceEvent()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d cores, %s; events of %d bytes in requests of %d, %d connections\n\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), len(event), o.batch, o.conns)
	if o.rounds > 0 {
		if err := sideBySide(ctx, o, event); err != nil {
			return err
		}
	}
	if o.memory > 0 {
		if err := memory(ctx, o, event); err != nil {
			return err
		}
	}
	if o.stages {
		return stages(ctx)
	}
	return nil
}

// sideBySide lets the subjects take turns under the same load.
func sideBySide(ctx context.Context, o *options, event []byte) error {
	peer, err := buildPeer(ctx, o.scratch)
	if err != nil {
		return err
	}
	subjects := []subject{
		&wellhead{name: "wellhead (fsync, per-event verdict)", o: o},
		&benthos{binary: peer, o: o},
		&wellhead{name: "wellhead again (A/A)", o: o},
	}
	results := make([][]result, len(subjects))
	for round := range o.rounds {
		for i, s := range subjects {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, s.title())
			r, err := turn(ctx, s, o, event)
			if err != nil {
				return fmt.Errorf("%s: %w", s.title(), err)
			}
			results[i] = append(results[i], r)
		}
	}
	table(subjects, results)
	return nil
}

// buildPeer builds Benthos, which is a module of its own so that nothing of it
// is in Wellhead's.
func buildPeer(ctx context.Context, dir string) (string, error) {
	fmt.Fprintln(os.Stderr, "building the peer (minutes, the first time)")
	binary := filepath.Join(dir, "benthos")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("host", "bench", "peers", "benthos")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build the peer: %w (run it from the repository's folder)", err)
	}
	return binary, nil
}

// turn starts a subject, loads it, and counts what arrived at its sink.
func turn(ctx context.Context, s subject, o *options, event []byte) (result, error) {
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
	idle := p.rss()
	g := newGenerator(p.url, p.header, s.body(event, o.batch))
	warm, cancel := context.WithTimeout(ctx, time.Second)
	g.run(warm, o.conns)
	cancel()
	if err := p.settle(ctx, g.acked()); err != nil {
		return result{}, err
	}
	g.reset()
	cpu, began := p.cpu(), time.Now()
	loaded, cancel := context.WithTimeout(ctx, o.load)
	g.run(loaded, o.conns)
	cancel()
	took := time.Since(began)
	if err := p.settle(ctx, g.total()); err != nil {
		return result{}, err
	}
	if err := g.err(); err != nil {
		return result{}, err
	}
	return newResult(g, took, p.cpu().minus(cpu), idle, p.rss()), nil
}
