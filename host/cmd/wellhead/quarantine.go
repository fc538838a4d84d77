package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

type quarantineGroup struct {
	List quarantineListCommand `cmd:"" help:"list refused events, the newest first"`
	Show quarantineShowCommand `cmd:"" help:"show one refused event with every reason and its bytes"`
}

// since is a time, or a span before now.
type since struct{ time.Time }

// UnmarshalText reads a span such as 2h or 7d, a date (in UTC) or an RFC 3339
// time.
func (s *since) UnmarshalText(b []byte) error {
	if d, err := config.ParseDuration(string(b)); err == nil {
		s.Time = time.Now().Add(-d.Std())
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, string(b)); err == nil {
			s.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q is no time; write it such as 2h, 7d, 2026-01-31 or 2026-01-31T08:00:00Z", b)
}

type quarantineListCommand struct {
	configFlag
	jsonFlag
	Source      string `placeholder:"NAME" help:"only of this source"`
	Destination string `placeholder:"NAME" help:"only what this destination refused"`
	Code        string `placeholder:"CODE" help:"only with this code as the first reason, such as plan"`
	Event       string `placeholder:"NAME" help:"only track calls of this name, or calls of this type"`
	Since       since  `placeholder:"TIME" help:"only what was refused since then, such as 2h, 7d or 2026-01-31"`
	State       string `enum:"open,replayed,superseded,dropped,any" default:"open" help:"only in this state: open (default), replayed, superseded, dropped or any"`
	Limit       int    `default:"50" help:"at most so many (default: 50); 0: all"`
	Group       bool   `help:"count open entries by what they have in common"`
}

func (c *quarantineListCommand) filter() console.QuarantineFilter {
	return console.QuarantineFilter{
		Source: event.SourceID(c.Source), Destination: event.DestinationID(c.Destination),
		Code: c.Code, Event: c.Event, Since: c.Since.Time, State: c.State,
	}
}

// Run lists entries, or groups of them.
func (c *quarantineListCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Group {
		groups, err := client.QuarantineGroups(ctx, c.filter())
		if err != nil {
			return err
		}
		return c.printGroups(s, groups)
	}
	entries, more, err := c.entries(ctx, client)
	if err != nil {
		return err
	}
	if err := c.printEntries(s, entries); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(s.errs, "wellhead: there are more; raise --limit above %d, or narrow the filter\n", c.Limit)
	}
	return nil
}

// entries asks for page after page.
func (c *quarantineListCommand) entries(ctx context.Context, client *console.Client) (all []console.Entry, more bool, err error) {
	f := c.filter()
	all = []console.Entry{}
	for {
		f.Limit = console.MaxPage
		if c.Limit > 0 {
			f.Limit = min(f.Limit, c.Limit-len(all)+1) // one more tells that there are more
		}
		page, err := client.Quarantine(ctx, f)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page.Entries...)
		if c.Limit > 0 && len(all) > c.Limit {
			return all[:c.Limit], true, nil
		}
		if page.Next == "" {
			return all, false, nil
		}
		f.After = page.Next
	}
}

func (c *quarantineListCommand) printEntries(s *shell, entries []console.Entry) error {
	if c.JSON {
		return s.printJSON(entries)
	}
	if len(entries) == 0 {
		fmt.Fprintln(s.out, "nothing is in quarantine that matches")
		return nil
	}
	var rows [][]string
	for i := range entries {
		e := &entries[i]
		why := reasons(e.Violations)
		if e.Destination != "" {
			why = "by " + string(e.Destination) + ": " + why
		}
		rows = append(rows, []string{e.ID, ago(e.LastSeen), strconv.FormatUint(e.Count, 10), e.State, e.Event, e.MessageID, why})
	}
	return s.table("ID | LAST SEEN | COUNT | STATE | EVENT | MESSAGE ID | REASON", rows)
}

func (c *quarantineListCommand) printGroups(s *shell, groups []console.Group) error {
	if c.JSON {
		if groups == nil {
			groups = []console.Group{}
		}
		return s.printJSON(groups)
	}
	if len(groups) == 0 {
		fmt.Fprintln(s.out, "nothing is in quarantine that matches")
		return nil
	}
	var rows [][]string
	for i := range groups {
		g := &groups[i]
		name := g.Event
		if g.Other {
			name = "(others)"
		}
		rows = append(rows, []string{string(g.Source), string(g.Destination), name, g.Code, g.Path,
			strconv.Itoa(g.Entries), strconv.FormatUint(g.Count, 10), ago(g.Last)})
	}
	return s.table("SOURCE | DESTINATION | EVENT | CODE | PATH | ENTRIES | COUNT | LAST SEEN", rows)
}

type quarantineShowCommand struct {
	configFlag
	jsonFlag
	ID string `arg:"" help:"as quarantine list shows it, such as website/1042.7"`
}

// Run shows one entry.
func (c *quarantineShowCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	e, err := client.QuarantineEntry(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(e)
	}
	return s.printEntry(&e)
}

func (s *shell) printEntry(e *console.Entry) error {
	times := "once"
	if e.Count > 1 {
		times = fmt.Sprintf("%d times, last %s", e.Count, e.LastSeen.UTC().Format(time.RFC3339))
	}
	state := e.State
	if !e.StateAt.IsZero() {
		state += fmt.Sprintf(", %s by %s", e.StateAt.UTC().Format(time.RFC3339), e.StateBy)
	}
	for _, row := range [][2]string{
		{"id", e.ID},
		{"state", state},
		{"source", string(e.Source)},
		{"refused by", string(e.Destination)},
		{"event", e.Event},
		{"message id", e.MessageID},
		{"received", e.ReceivedAt.UTC().Format(time.RFC3339Nano)},
		{"sent at", e.SentAt},
		{"refused", times},
		{"size", fmt.Sprintf("%d bytes, sha256 %s", e.Size, e.Hash)},
		{"attached", attached(e)},
	} {
		if row[1] != "" {
			fmt.Fprintf(s.out, "%-11s %s\n", row[0], printable(row[1]))
		}
	}
	fmt.Fprintln(s.out, "\nreasons:")
	for _, v := range e.Violations {
		fmt.Fprintf(s.out, "  %s\n", reason(v))
		if v.Schema != "" {
			fmt.Fprintf(s.out, "      by %s\n", printable(v.Schema))
		}
	}
	if e.MoreViolations > 0 {
		fmt.Fprintf(s.out, "  and %d more\n", e.MoreViolations)
	}
	return s.printClaim(e)
}

// attached says what the source kept beside the event's group; empty: nothing.
func attached(e *console.Entry) string {
	switch {
	case e.AttachmentSize == 0:
		return ""
	case e.Attachment == nil:
		return fmt.Sprintf("%d bytes, not kept: too large", e.AttachmentSize)
	}
	return fmt.Sprintf("%d bytes, kept for a journeys destination", e.AttachmentSize)
}

func (s *shell) printClaim(e *console.Entry) error {
	claim := e.Text()
	fmt.Fprintln(s.out, "\nevent:")
	var pretty bytes.Buffer
	if e.JSON != nil && json.Indent(&pretty, claim, "", "  ") == nil {
		claim = pretty.Bytes()
	}
	_, err := fmt.Fprintf(s.out, "%s\n", claim)
	if len(e.Text()) < e.Size && e.JSON == nil {
		fmt.Fprintf(s.errs, "wellhead: only the first %s of the event were kept\n", bytesText(len(claim)))
	}
	return err
}
