package journal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// appenderEnv holds the orders of a process that appends and dies.
const appenderEnv = "WELLHEAD_TEST_APPENDER"

type orders struct {
	Dir       string
	Interval  bool // syncs on demand only
	NoRewrite bool // syncs again after a failed sync, and no more
	Events    int
	MaxBytes  int64
}

// appender opens a journal twice and appends to it, to a log and to a state, from
// several clients at once. It says on standard output what it was told is
// durable, and kills itself in the end.
func appender(given string) int {
	var o orders
	if err := json.Unmarshal([]byte(given), &o); err != nil {
		return 2
	}
	signal.Ignore(syscall.SIGPIPE)
	state, err := journal.OpenState(filepath.Join(o.Dir, "state"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for round := range 2 {
		j, err := openAppender(o)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		ctx, cancel := context.WithCancel(context.Background())
		var ran sync.WaitGroup
		ran.Go(func() { _ = j.Run(ctx) })
		var clients sync.WaitGroup
		for c := range 3 {
			clients.Go(func() { appendAndTell(j, state, o, fmt.Sprintf("%d/%d", round, c)) })
		}
		clients.Wait()
		if round == 1 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		cancel()
		ran.Wait()
		_ = j.Close()
	}
	return 0
}

func openAppender(o orders) (*journal.Journal, error) {
	opts := with(filepath.Join(o.Dir, "journal"))
	opts.MaxBytes = o.MaxBytes
	if o.Interval {
		opts.SyncInterval = time.Hour
	}
	for tries := 1; ; tries++ { // an injected fault may hit the opening, too
		j, err := journal.Open(context.Background(), journal.WithFaults(opts, journal.Faults{NoRewrite: o.NoRewrite}))
		if err == nil || tries == 20 {
			return j, err
		}
	}
}

func appendAndTell(j *journal.Journal, state *journal.State, o orders, client string) {
	log, err := j.Log("quarantine/"+client[2:], journal.LogOptions{})
	for i := 0; err == nil && i < o.Events; i++ {
		id := fmt.Sprintf("%s-%d", client, i)
		durably(func() error {
			ticket, err := j.Append(context.Background(), journal.Batch{Events: tracks(id, 3)})
			if err == nil {
				err = ticket.Wait(context.Background())
			}
			if err == nil && o.Interval {
				err = j.Sync(context.Background())
			}
			return err
		})
		tell("event", id+"-0", id+"-1", id+"-2")
		if i%4 == 0 {
			durably(func() error { return appendRecords(log, id) })
			if !o.Interval {
				tell("record", id)
			}
		}
		if i%5 == 0 {
			durably(func() error { return state.Put(client[2:], []byte(id)) })
			tell("state", id)
		}
	}
}

// durably tries until it works.
func durably(do func() error) {
	for do() != nil {
		time.Sleep(time.Millisecond)
	}
}

func tell(kind string, ids ...string) {
	fmt.Println(kind, strings.Join(ids, " "))
}
