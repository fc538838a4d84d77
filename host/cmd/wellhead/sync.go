package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

type syncGroup struct {
	List   syncListCommand   `cmd:"" help:"list the syncs of a source, or the last runs of one"`
	Run    syncRunCommand    `cmd:"" help:"let a sync run now, or all of a source"`
	Pause  syncPauseCommand  `cmd:"" help:"let a sync, or all of a source, run no more"`
	Resume syncResumeCommand `cmd:"" help:"end a pause"`
	Reset  syncResetCommand  `cmd:"" help:"let a sync, or all of a source, read everything again"`
}

// syncFlags are on every command about syncs.
type syncFlags struct {
	configFlag
	jsonFlag
	Source string `arg:"" help:"the source"`
	Sync   string `arg:"" optional:"" help:"one of its syncs"`
}

type syncListCommand struct {
	syncFlags
	History bool `help:"list the last runs of every sync"`
	Follow  bool `help:"show the progress of what runs now until it has ended (exit code 1 where it failed)"`
}

// Run lists syncs or runs.
func (c *syncListCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := c.ask(ctx, client)
	switch {
	case err != nil:
		return err
	case c.Follow:
		w := &watch{client: client, source: found.Source, names: namesOf(&found, c.Sync)}
		return s.followed(ctx, w, c.JSON)
	case c.JSON:
		return s.printJSON(found)
	case len(found.Syncs) == 0:
		told := "has no syncs"
		if found.State != "running" {
			told = "has told of no syncs yet"
		}
		fmt.Fprintf(s.out, "source %s %s\n", found.Source, told)
	case c.History || c.Sync != "":
		err = s.printRuns(&found)
	default:
		err = s.printSyncs(&found)
	}
	if found.State != "running" {
		is := "is " + words(found.State)
		if found.State == "needs_consent" {
			is = "waits for a person to grant access"
		}
		fmt.Fprintf(s.out, "source %s %s: wellhead status tells more\n", found.Source, is)
	}
	return err
}

// ask gets the syncs of the source, or the one that is named.
func (c *syncFlags) ask(ctx context.Context, client *console.Client) (console.Syncs, error) {
	found, err := client.Syncs(ctx, event.SourceID(c.Source))
	if err != nil || c.Sync == "" {
		return found, err
	}
	var known []string
	for i := range found.Syncs {
		if found.Syncs[i].Name == c.Sync {
			found.Syncs = found.Syncs[i : i+1]
			return found, nil
		}
		known = append(known, found.Syncs[i].Name)
	}
	return found, fmt.Errorf("source %s has no sync %q; %s [%s]", c.Source, c.Sync,
		cmp.Or(config.Suggest(c.Sync, known), "it has none"), console.CodeUnknownSync)
}

func namesOf(list *console.Syncs, only string) []string {
	if only != "" {
		return []string{only}
	}
	var names []string
	for i := range list.Syncs {
		names = append(names, list.Syncs[i].Name)
	}
	return names
}

func (s *shell) printSyncs(list *console.Syncs) error {
	var rows [][]string
	for i := range list.Syncs {
		y := &list.Syncs[i]
		row := []string{y.Name, y.State, "-", "-", "-", "-", ago(y.Succeeded), ahead(y.Due)}
		if len(y.Runs) > 0 {
			r := &y.Runs[0]
			row[2], row[3], row[4], row[5] = lastRun(r), count(r.Read), count(r.Emitted), count(r.Refused)
		}
		rows = append(rows, row)
	}
	if err := s.table("SYNC | STATE | LAST RUN | READ | EMITTED | REFUSED | LAST SUCCESS | NEXT", rows); err != nil {
		return err
	}
	for i := range list.Syncs {
		y := &list.Syncs[i]
		if y.Progress != nil {
			fmt.Fprintln(s.out, printable(y.Name+": "+howFar(y)))
		}
		if len(y.Runs) > 0 && y.Runs[0].Error != nil {
			fmt.Fprintln(s.out, printable(y.Name+": "+y.Runs[0].Error.Text()))
		}
	}
	return nil
}

func (s *shell) printRuns(list *console.Syncs) error {
	var rows [][]string
	for i := range list.Syncs {
		y := &list.Syncs[i]
		for j := range y.Runs {
			r := &y.Runs[j]
			failure := ""
			if r.Error != nil {
				failure = r.Error.Text()
			}
			rows = append(rows, []string{
				y.Name, r.Kind, r.State, r.Started.Local().Format(time.DateTime), took(r),
				count(r.Read), count(r.Emitted), count(r.Refused), failure,
			})
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.out, "no run is known")
		return nil
	}
	return s.table("SYNC | KIND | STATE | STARTED | TOOK | READ | EMITTED | REFUSED | ERROR", rows)
}

// lastRun is a run in a few words: backfill done 3m ago.
func lastRun(r *console.SyncRun) string {
	switch r.State {
	case "running":
		return strings.TrimSpace(r.Kind + " for " + took(r))
	case "interrupted":
		return strings.TrimSpace(r.Kind + " interrupted, begun " + ago(r.Started))
	default:
		return strings.TrimSpace(r.Kind + " " + r.State + " " + ago(r.Ended))
	}
}

// took is how long a run took, or takes so far.
func took(r *console.SyncRun) string {
	switch {
	case !r.Ended.IsZero():
		return span(r.Ended.Sub(r.Started))
	case r.State == "running":
		return span(max(0, time.Since(r.Started)))
	default:
		return "-"
	}
}

// ahead is how far ahead a time is.
func ahead(t time.Time) string {
	switch wait := time.Until(t); {
	case t.IsZero():
		return "-"
	case wait <= 0:
		return "now"
	default:
		return "in " + span(wait+time.Second-1)
	}
}

type syncRunCommand struct {
	syncFlags
	Wait bool `help:"show the progress until the run has ended (exit code 1 where it failed)"`
}

// Run asks for a run now.
func (c *syncRunCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	asked := time.Now().Truncate(time.Millisecond) // as runs have it
	answers, err := client.SyncCommand(ctx, event.SourceID(c.Source), c.Sync, "run")
	if err != nil || !c.Wait {
		return cmp.Or(err, s.printAnswers(answers, "run", c.JSON))
	}
	var done []string
	for _, a := range answers {
		if a.Error == nil {
			done = append(done, a.Sync)
		}
	}
	if len(done) < len(answers) {
		err = s.printAnswers(answers, "run", false)
	}
	if len(done) == 0 {
		return err
	}
	w := &watch{client: client, source: event.SourceID(c.Source), names: done, since: asked}
	return errors.Join(err, s.followed(ctx, w, c.JSON))
}

type syncPauseCommand struct{ syncFlags }

// Run pauses syncs.
func (c *syncPauseCommand) Run(ctx context.Context, s *shell) error { return c.only(ctx, s, "pause") }

type syncResumeCommand struct{ syncFlags }

// Run ends a pause.
func (c *syncResumeCommand) Run(ctx context.Context, s *shell) error { return c.only(ctx, s, "resume") }

type syncResetCommand struct {
	syncFlags
	Yes bool `help:"do not ask whether that is meant"`
}

// Run lets syncs read everything again.
func (c *syncResetCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if !c.Yes {
		found, err := c.ask(ctx, client)
		if err != nil {
			return err
		}
		if err := s.confirm("this reads everything again", fmt.Sprintf("%s: forget how far %s has come and read everything again?",
			c.Source, strings.Join(namesOf(&found, c.Sync), ", "))); err != nil {
			return err
		}
	}
	return c.tell(ctx, s, client, "reset")
}

// confirm asks a person whether what would be done is meant. The error says that
// it is not, or that there is nobody to ask.
func (s *shell) confirm(what, question string) error {
	if columns(s.in) == 0 {
		return errors.New(what + ": say --yes where nobody can be asked")
	}
	fmt.Fprintf(s.errs, "%s [y/N] ", printable(question))
	line, _ := bufio.NewReader(s.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	default:
		return errors.New("nothing was done")
	}
}

// only is a command without more to it.
func (c *syncFlags) only(ctx context.Context, s *shell, action console.SyncAction) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return c.tell(ctx, s, client, action)
}

// tell passes on what a person asks for and prints what the source answers.
func (c *syncFlags) tell(ctx context.Context, s *shell, client *console.Client, action console.SyncAction) error {
	answers, err := client.SyncCommand(ctx, event.SourceID(c.Source), c.Sync, action)
	if err != nil {
		return err
	}
	return s.printAnswers(answers, action, c.JSON)
}

// printAnswers tells what was done. The error is errTold where something was not.
func (s *shell) printAnswers(answers []console.SyncAnswer, action console.SyncAction, asJSON bool) error {
	said := map[console.SyncAction]string{
		"run": "started", "pause": "paused", "resume": "resumed", "reset": "reset; its next run reads everything",
	}[action]
	var failed error
	for _, a := range answers {
		unneeded := a.Error != nil && a.Error.Code == "not_paused"
		if a.Error != nil && !unneeded {
			failed = errTold
		}
		switch {
		case asJSON:
		case unneeded:
			fmt.Fprintf(s.out, "%s: was not paused\n", printable(a.Sync))
		case a.Error != nil:
			fmt.Fprintf(s.errs, "wellhead: %s: %s\n", printable(a.Sync), printable(a.Error.Error()))
		default:
			fmt.Fprintf(s.out, "%s: %s\n", printable(a.Sync), said)
		}
	}
	if asJSON {
		return cmp.Or(s.printJSON(answers), failed)
	}
	return failed
}
