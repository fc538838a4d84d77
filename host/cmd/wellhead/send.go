package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

type sendCommand struct {
	configFlag
	jsonFlag
	Source string `arg:"" help:"the source that the events are to come from"`
	File   string `arg:"" help:"one JSON object a line, or an array of them; - is standard input"`
}

// What goes to the host at one time.
const (
	sendEvents = 500
	sendBytes  = 4 << 20
	// sendTries is how often one part is sent while the host has no room for it.
	sendTries = 10
)

// sent is what send tells programs.
type sent struct {
	Events     int            `json:"events"`
	Accepted   int            `json:"accepted"`
	Duplicates int            `json:"duplicates"`
	Refused    []refusedEvent `json:"refused"`
}

type refusedEvent struct {
	Line int `json:"line"`
	console.Refusal
}

// Run sends the file, part by part.
func (c *sendCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	file, err := s.readEvents(c.File)
	if err != nil {
		return err
	}
	j := &sending{command: c, shell: s, client: client, file: file, sent: sent{Refused: []refusedEvent{}}}
	err = j.all(ctx)
	if told := j.tell(err); told != nil {
		return told
	}
	return err
}

// sending is a send under way.
type sending struct {
	command *sendCommand
	shell   *shell
	client  *console.Client
	file    *eventsFile
	sent    sent

	part  [][]byte // to go next
	lines []int    // of its events
	size  int
}

// all sends every event, until something is not JSON or cannot be sent.
func (j *sending) all(ctx context.Context) error {
	for w := range j.file.all() {
		if w.err != nil {
			return errors.Join(j.flush(ctx), fmt.Errorf("%s:%d: %w", j.file.name, w.line, w.err))
		}
		if err := j.add(ctx, w); err != nil {
			return err
		}
	}
	return j.flush(ctx)
}

func (j *sending) add(ctx context.Context, w written) error {
	if len(w.json) >= console.MaxSendBytes {
		return fmt.Errorf("%s:%d: an event of %s is too large to send; a host takes 8 MiB at most", j.file.name, w.line, bytesText(len(w.json)))
	}
	if len(j.part) == sendEvents || j.size+len(w.json) > sendBytes {
		if err := j.flush(ctx); err != nil {
			return err
		}
	}
	j.part, j.lines, j.size = append(j.part, w.json), append(j.lines, w.line), j.size+len(w.json)
	return nil
}

func (j *sending) flush(ctx context.Context) error {
	if len(j.part) == 0 {
		return nil
	}
	v, err := j.try(ctx)
	if err != nil {
		return err
	}
	j.sent.Events += v.Events
	j.sent.Accepted += v.Accepted
	j.sent.Duplicates += v.Duplicates
	for _, r := range v.Refused {
		line := j.lines[r.Index]
		if !j.command.JSON {
			j.shell.printRefusal(fmt.Sprintf("%s:%d", j.file.name, line), r)
		}
		r.Index += j.sent.Events - v.Events
		j.sent.Refused = append(j.sent.Refused, refusedEvent{line, r})
	}
	j.part, j.lines, j.size = nil, nil, 0
	return nil
}

func (s *shell) printRefusal(place string, r console.Refusal) {
	for _, v := range r.Violations {
		fmt.Fprintf(s.out, "%s: refused: %s\n", place, reason(v))
	}
}

// try sends the part, again while the host asks for patience.
func (j *sending) try(ctx context.Context) (console.Verdict, error) {
	for n := 1; ; n++ {
		v, err := j.client.Send(ctx, event.SourceID(j.command.Source), j.part)
		var e *console.Error
		if !errors.As(err, &e) || e.RetryAfter == 0 || n == sendTries {
			return v, err
		}
		fmt.Fprintf(j.shell.errs, "wellhead: %s; trying again in %s\n", e.Message, e.RetryAfter)
		select {
		case <-time.After(e.RetryAfter):
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// tell prints what became of the events; err is why it ended early.
func (j *sending) tell(err error) error {
	switch {
	case j.command.JSON:
		if perr := j.shell.printJSON(j.sent); perr != nil {
			return perr
		}
	case j.sent.Events > 0:
		fmt.Fprintf(j.shell.out, "%s: %s\n", j.command.Source, j.sent.summary())
	}
	if err != nil && j.sent.Events > 0 {
		return fmt.Errorf("%w; what comes before line %d was sent", err, j.next())
	}
	if err == nil && len(j.sent.Refused) > 0 {
		return errTold
	}
	return nil
}

// next is the line of the first event that was not sent.
func (j *sending) next() int {
	n := 0
	for w := range j.file.all() {
		if n == j.sent.Events {
			return w.line
		}
		n++
	}
	return j.file.line(len(j.file.data))
}

func (s *sent) summary() string {
	text := fmt.Sprintf("%d accepted", s.Accepted)
	if s.Duplicates > 0 {
		text += ", " + plural(s.Duplicates, "duplicate")
	}
	actions := map[string]int{}
	for _, r := range s.Refused {
		actions[r.Action]++
	}
	if n := actions["quarantine"]; n > 0 {
		text += fmt.Sprintf(", %d refused, now in quarantine", n)
	}
	if n := actions["drop"]; n > 0 {
		text += fmt.Sprintf(", %d refused and dropped", n)
	}
	return text
}
