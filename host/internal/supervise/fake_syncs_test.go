package supervise_test

import (
	"os"
	"strings"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

func (s *fakeStream) report(r *wire.SyncReport) {
	s.say(&wire.FromSource{Message: &wire.FromSource_SyncReport{SyncReport: r}})
}

func syncList(state string) *wire.SyncList {
	return &wire.SyncList{Syncs: []*wire.Sync{{Name: "people", State: state, DueUnixMs: 1}}}
}

// tellOfSyncs is what a fake with syncs says first.
func (s *fakeStream) tellOfSyncs() {
	switch s.syncs {
	case "":
	case "flood":
		for range 1000 {
			s.report(&wire.SyncReport{Runs: []*wire.SyncRun{{Sync: "people", Id: "1"}}})
		}
	case "answers":
		s.report(&wire.SyncReport{Answers: []*wire.SyncAnswer{{Command: 1}}})
	case "oversize":
		s.report(oversizeReport())
	default:
		s.report(&wire.SyncReport{List: syncList(wire.SyncIdle), Runs: []*wire.SyncRun{{Sync: "people", Id: "1", Read: 1}}})
	}
}

// command does what a person asks of a fake.
func (s *fakeStream) command(c *wire.SyncCommand) {
	answer := &wire.SyncAnswer{Command: c.GetId()}
	report := &wire.SyncReport{Answers: []*wire.SyncAnswer{answer}}
	switch {
	case s.syncs == "deaf":
		return
	case s.syncs == "dies":
		os.Exit(5)
	case s.syncs == "twice":
		report.Answers = append(report.Answers, answer)
	case c.GetAction() == wire.SyncPause:
		report.List = syncList(wire.SyncPaused)
	case c.GetAction() == wire.SyncReset:
		answer.Error = &wire.Problem{Code: "reading", Message: c.GetSync() + " is being read", Fix: "pause it first"}
	case c.GetAction() == wire.SyncResume:
		answer.Error = &wire.Problem{Message: "no"}
	}
	s.report(report)
}

// oversizeReport breaks every bound but that of a message.
func oversizeReport() *wire.SyncReport {
	long := strings.Repeat("x", 2000)
	r := &wire.SyncReport{List: &wire.SyncList{}}
	for range wire.MaxSyncs + 50 {
		r.List.Syncs = append(r.List.Syncs, &wire.Sync{Name: long[:200], State: long[:200], DueUnixMs: 1 << 62})
	}
	for range wire.MaxSyncRuns + 50 {
		r.Runs = append(r.Runs, &wire.SyncRun{
			Sync: long, Id: long, Kind: long, StartedUnixMs: -1, EndedUnixMs: 1 << 62, Read: 1<<64 - 1,
			Error: &wire.Problem{Code: long, Path: long, Message: long, Fix: long},
		})
	}
	return r
}
