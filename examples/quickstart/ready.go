package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"time"
)

// addresses are where a host listens.
type addresses struct{ collector, console string }

// ready waits until the host that is process pid takes events; ctx ends with it,
// and the host itself says then what is wrong. Another host on the same data_dir,
// which an earlier quickstart left, does not count.
func (q *quickstart) ready(ctx context.Context, pid int) (addresses, bool) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if at, ok := q.ask(ctx, pid); ok {
			return at, true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return addresses{}, false
		}
	}
}

func (q *quickstart) ask(ctx context.Context, pid int) (addresses, bool) {
	out, err := exec.CommandContext(ctx, q.bin, "status", "--json", "-c", q.config()).Output()
	if err != nil && len(out) == 0 {
		return addresses{}, false // no host answers yet
	}
	var status struct {
		PID     int
		Ready   bool
		Console string
		Plugins []struct{ Name, Listen string }
	}
	if json.Unmarshal(out, &status) != nil || status.PID != pid || !status.Ready {
		return addresses{}, false
	}
	at := addresses{console: status.Console}
	for _, p := range status.Plugins {
		if p.Name == "javascript" {
			at.collector = p.Listen
		}
	}
	return at, at.collector != ""
}
