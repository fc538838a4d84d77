package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// startSimulator starts the simulator of a Salesforce org, whose records and
// grants are as the last one left them, and returns when it can be asked.
func (q *quickstart) startSimulator(ctx context.Context) (*child, error) {
	up := &firstWrite{done: make(chan struct{})}
	c, err := start(ctx, up, q.simulator, "-listen", q.org, "-pubsub", q.orgEvents, "-state", filepath.Join(q.dir, orgFile))
	if err != nil {
		return nil, fmt.Errorf("start the Salesforce simulator: %w", err)
	}
	select {
	case <-up.done: // it speaks when it listens
		return c, nil
	case <-c.ended:
		return nil, errors.New("the Salesforce simulator does not start: see above; " +
			"its addresses are those of -org and -org-pubsub, and of login_url and pubsub.endpoint in " + q.config())
	case <-ctx.Done():
		c.end()
		return nil, ctx.Err()
	}
}

// firstWrite takes a process's output, and tells when it begins.
type firstWrite struct {
	done  chan struct{}
	began bool
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if !w.began {
		w.began = true
		close(w.done)
	}
	return len(p), nil
}

// contact is the first one of the simulator's example records.
const contact = "003000000000001AAA"

// arrival bounds the wait for a change, which takes a part of a second.
const arrival = 10 * time.Second

// changeContact changes a contact in the org, and waits until the host has
// written the change.
func (q *quickstart) changeContact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	at, _, ok := q.ask(ctx)
	if !ok {
		return errors.New("no quickstart is running: start it with make run")
	}
	title := "Rear Admiral, since " + time.Now().Format("15:04:05.000")
	events := filepath.Join(q.dir, eventsFile)
	tail := &tail{name: events, want: title}
	if info, err := os.Stat(events); err == nil {
		tail.at = info.Size()
	}
	body, err := json.Marshal(map[string]any{"object": "Contact", "id": contact, "fields": map[string]any{"Title": title}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+q.org+"/admin/update", bytes.NewReader(body))
	if err != nil {
		return err
	}
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("the simulator answered %s: %s", res.Status, answer)
	}
	fmt.Printf("the title of contact %s is now %q\n", contact, title)
	if at.needsConsent {
		return fmt.Errorf("nobody reads it yet: run bin/wellhead connect crm -c %s", q.config())
	}
	line, err := tail.await(ctx)
	if err != nil {
		return fmt.Errorf("it is not in %s within %s: see bin/wellhead status -c %s", events, arrival, q.config())
	}
	fmt.Printf("after %d ms it is in %s:\n\n%s\n", time.Since(began).Milliseconds(), events, line)
	return nil
}

// tail looks for a text in what is appended to a file.
type tail struct {
	name, want string
	at         int64
	rest       []byte // a line that is not whole yet
}

// await returns the line that has the text.
func (t *tail) await(ctx context.Context) ([]byte, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := t.read()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		t.rest = append(t.rest, b...)
		for {
			line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
			if !whole {
				break
			}
			if t.rest = rest; bytes.Contains(line, []byte(t.want)) {
				return line, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *tail) read() ([]byte, error) {
	f, err := os.Open(t.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, t.at, 64<<20))
	t.at += int64(len(b))
	return b, err
}
