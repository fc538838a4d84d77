// Command emitter is a plugin that hands over events as fast as the host takes
// them: for measuring what lies behind a plugin's Emit, and for filling journals.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wellhead-io/wellhead/sdk"
)

func main() {
	sdk.Serve(sdk.Plugin{
		Name: "emitter", Version: "1.0.0", Source: emitter{}, MaxSilence: time.Hour,
		ConfigSchema: []byte(`{
			"type": "object", "required": ["event", "prefix"], "additionalProperties": false,
			"properties": {
				"event": {"type": "string"}, "prefix": {"type": "string"},
				"batch": {"type": "integer"}, "events": {"type": "integer"}
			}}`),
	})
}

type config struct {
	Event  string `json:"event"`  // file of the event
	Prefix string `json:"prefix"` // of its message ids: no two runs share one
	Batch  int    `json:"batch"`
	Events int64  `json:"events"` // to hand over; 0: no end
}

type emitter struct{}

func (emitter) Run(ctx context.Context, s *sdk.Stream) error {
	c := config{Batch: 100}
	if err := s.Settings().Config(&c); err != nil {
		return err
	}
	event, err := os.ReadFile(c.Event)
	if err != nil {
		return err
	}
	before, after, found := bytes.Cut(bytes.TrimSpace(event), []byte(`"messageId":"`))
	_, after, closed := bytes.Cut(after, []byte(`"`))
	if !found || !closed {
		return fmt.Errorf("%s has no messageId", c.Event)
	}
	before = append(bytes.Clone(before), `"messageId":"`+c.Prefix...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.Draining():
			cancel()
		case <-ctx.Done():
		}
	}()
	var next atomic.Int64
	g, work := errgroup.WithContext(ctx)
	for range max(1, s.Limits().Window) {
		g.Go(func() error {
			events := make([]sdk.Event, c.Batch)
			for work.Err() == nil {
				last := next.Add(int64(len(events)))
				if c.Events > 0 && last > c.Events {
					break
				}
				for i := range events {
					events[i] = append(events[i][:0], before...)
					events[i] = append(strconv.AppendInt(events[i], last-int64(i), 10), '"')
					events[i] = append(events[i], after...)
				}
				if _, err := s.Store(work, sdk.Batch{Events: events}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	s.Alive()
	<-ctx.Done()
	return nil
}
