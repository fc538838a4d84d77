package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// A source that asks: what is new since the checkpoint?
func ExamplePoll() {
	tick := func(ctx context.Context, p *sdk.Poller) error {
		n, _ := strconv.Atoi(string(p.Checkpoint()))
		n++
		e, err := sdk.Call{Type: "track", Event: "Tick", UserID: "clock", MessageID: fmt.Sprintf("tick-%d", n)}.JSON()
		if err != nil {
			return err
		}
		_, err = p.Emit(ctx, []byte(strconv.Itoa(n)), e)
		return err
	}
	sdk.Serve(sdk.Plugin{Name: "clock", Version: "1.0.0", Source: sdk.Poll(time.Second, tick)})
}

// A source that is spoken to: one event in each request.
func ExampleHTTP() {
	handler := func(sources *sdk.Sources) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stream, err := sources.ByKey(r.Header.Get("X-Key"))
			if errors.Is(err, sdk.ErrUnknownKey) {
				http.Error(w, "unknown key", http.StatusUnauthorized)
				return
			}
			body, readErr := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<10))
			if err != nil || readErr != nil {
				http.Error(w, "try again", http.StatusServiceUnavailable)
				return
			}
			verdict, err := stream.Emit(r.Context(), sdk.Batch{Events: []sdk.Event{body}})
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			for _, v := range verdict.Violations {
				fmt.Fprintf(w, "%s: %s\n", v.Path, v.Message)
			}
		}), nil
	}
	sdk.Serve(sdk.Plugin{Name: "door", Version: "1.0.0", Source: sdk.HTTP(handler)})
}

// A source with one sync: it reads what is new every five minutes and does what
// people ask of it in between.
func ExampleStream_Commands() {
	run := func(ctx context.Context, s *sdk.Stream) error {
		people := sdk.Sync{Name: "people", Due: time.Now()}
		next := time.NewTimer(0)
		for n := 1; ; {
			s.Syncs(people)
			select {
			case <-next.C:
				run := sdk.SyncRun{Sync: people.Name, ID: strconv.Itoa(n), Kind: "incremental", Started: time.Now()}
				people.State = sdk.SyncRunning
				s.Syncs(people)
				// Read, s.Store, count, and after each page: s.Report(run)
				run.Read, run.Emitted, run.Ended = 2, 2, time.Now()
				s.Report(run)
				n++
				people.State, people.Due = sdk.SyncIdle, time.Now().Add(5*time.Minute)
				next.Reset(time.Until(people.Due))
			case c := <-s.Commands():
				switch c.Action {
				case sdk.SyncRunNow:
					next.Reset(0)
					c.Done(nil)
				default:
					c.Done(sdk.Problem{Code: "not_yet", Message: "this source cannot " + string(c.Action), Fix: "use a newer version of it"})
				}
			case <-s.Draining():
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	}
	sdk.Serve(sdk.Plugin{Name: "people", Version: "1.0.0", Source: runFunc(run)})
}
