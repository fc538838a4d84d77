package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

type tailCommand struct {
	configFlag
	JSON    bool   `name:"json" help:"print each event whole, as one line of JSON"`
	Source  string `placeholder:"NAME" help:"only events of this source"`
	Type    string `enum:",identify,track,page,screen,group,alias" default:"" placeholder:"TYPE" help:"only calls of this type, such as identify"`
	Event   string `placeholder:"NAME" help:"only track calls of this name"`
	Refused bool   `help:"only what is refused"`
}

// Run shows events until it is told to stop.
func (c *tailCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	lines := json.NewEncoder(s.out)
	lines.SetEscapeHTML(false)
	f := console.TailFilter{Source: event.SourceID(c.Source), Type: event.Type(c.Type), Event: c.Event, Refused: c.Refused}
	err = client.Tail(ctx, f, func(r console.Record) error {
		switch {
		case c.JSON:
			return lines.Encode(r)
		case r.Missed > 0:
			fmt.Fprintln(s.errs, "wellhead: some events came too fast to be shown; narrow the filter to see all")
			return nil
		}
		_, err := fmt.Fprintln(s.out, recordLine(&r))
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the host has stopped")
	default:
		return err
	}
}

func recordLine(r *console.Record) string {
	name := string(r.Type)
	if r.Event != "" {
		name += " " + r.Event
	}
	line := fmt.Sprintf("%s  %-12s  %-28s  %s", r.Time.Local().Format("15:04:05.000"), r.Source, printable(name), printable(r.MessageID))
	if r.Position != nil {
		return line
	}
	who := "refused"
	if r.Destination != "" {
		who = "refused by " + string(r.Destination)
	}
	return strings.TrimRight(line, " ") + "  " + who + ": " + reasons(r.Violations)
}
