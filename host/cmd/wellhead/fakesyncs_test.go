package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// syncing is a source with the syncs people and deals. A run of people reads until
// there is a file "go-on" in the config's folder; one of deals fails. Neither runs
// by itself.
type syncing struct{}

func (syncing) Run(ctx context.Context, s *sdk.Stream) error {
	people, deals := sdk.Sync{Name: "people", Due: time.Now().Add(90 * time.Minute)}, sdk.Sync{Name: "deals"}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	var run *sdk.SyncRun // of people, while it is under way
	for n := 1; ; {
		s.Syncs(people, deals)
		select {
		case c := <-s.Commands():
			if c.Action != sdk.SyncRunNow {
				c.Done(change(&people, &deals, c))
				continue
			}
			switch {
			case c.Sync == deals.Name:
				deals.State = sdk.SyncFailed
				s.Report(failedRun(n))
			case people.State == sdk.SyncPaused:
				c.Done(sdk.Problem{Code: "paused", Message: "it is paused", Fix: "resume it"})
				continue
			default:
				people.State = sdk.SyncRunning
				run = &sdk.SyncRun{Sync: people.Name, ID: fmt.Sprint(os.Getpid(), n), Kind: "backfill", Started: time.Now(), Read: 400, Emitted: 399}
				s.Report(*run)
				s.Progress(people.Name, 400, 1000, "page 4")
			}
			n++
			c.Done(nil)
		case <-look.C:
			s.Alive()
			if _, err := os.Stat("go-on"); run != nil && err == nil {
				people.State = sdk.SyncIdle
				run.Ended, run.Read, run.Emitted, run.Refused = time.Now(), 1000, 998, 2
				s.Report(*run)
				run = nil
			}
		case <-s.Draining():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// change does what a command asks for, but a run.
func change(people, deals *sdk.Sync, c *sdk.SyncCommand) error {
	y := people
	if c.Sync == deals.Name {
		y = deals
	}
	switch c.Action {
	case sdk.SyncPause:
		y.State = sdk.SyncPaused
	case sdk.SyncResume:
		y.State = sdk.SyncIdle
	case sdk.SyncReset:
		if y.State == sdk.SyncRunning {
			return sdk.Problem{Code: "reading", Message: "it is being read", Fix: "pause it first"}
		}
		y.State = sdk.SyncIdle
	}
	return nil
}

func failedRun(n int) sdk.SyncRun {
	return sdk.SyncRun{
		Sync: "deals", ID: fmt.Sprint(os.Getpid(), n), Kind: "incremental", Started: time.Now(), Ended: time.Now(), Read: 7,
		Error: sdk.Problem{Code: "no_table", Path: "/syncs/deals", Message: "there is no table deals", Fix: "create it"},
	}
}
