package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"time"
)

// addresses are where a host listens.
type addresses struct {
	collector, forwarder, console string
	needsConsent                  bool // the source crm
}

// ready waits until the host takes events, or has ended and said itself what is
// wrong. Another host on the same data_dir, which an earlier quickstart left, does
// not count.
func (q *quickstart) ready(ctx context.Context, host *child) (addresses, bool) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if at, of, ok := q.ask(ctx); ok && of == host.cmd.Process.Pid {
			return at, true
		}
		select {
		case <-tick.C:
		case <-host.ended:
			return addresses{}, false
		case <-ctx.Done():
			return addresses{}, false
		}
	}
}

// ask returns where the host that is up listens, and its process.
func (q *quickstart) ask(ctx context.Context) (at addresses, pid int, ok bool) {
	out, err := exec.CommandContext(ctx, q.bin, "status", "--json", "-c", q.config()).Output()
	if err != nil && len(out) == 0 {
		return addresses{}, 0, false // no host answers yet
	}
	var status struct {
		PID     int
		Ready   bool
		Console string
		Plugins []struct{ Name, Listen string }
		Sources []struct{ Name, State string }
	}
	if json.Unmarshal(out, &status) != nil || !status.Ready {
		return addresses{}, 0, false
	}
	at.console = status.Console
	for _, p := range status.Plugins {
		switch p.Name {
		case "javascript":
			at.collector = p.Listen
		case "journeys":
			at.forwarder = p.Listen
		}
	}
	for _, source := range status.Sources {
		at.needsConsent = at.needsConsent || source.Name == "crm" && source.State == "needs_consent"
	}
	return at, status.PID, at.collector != "" && at.forwarder != ""
}
