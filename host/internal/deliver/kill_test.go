package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// childEnv names the folder of a child process, which delivers until it is
// killed.
const childEnv = "WELLHEAD_DELIVER_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := deliverLedger(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// ledger is a journal whose every byte follows from its numbers, so that each
// process has the same. Its frames come as time goes by.
type ledger struct {
	offsets []uint64 // by frame, from 1
	began   time.Time
}

const (
	ledgerFrames = 3000
	ledgerEvents = 17 // at most, in a frame
	framePace    = 500 * time.Microsecond
)

// newLedger returns a ledger that began when dir was made.
func newLedger(dir string) (*ledger, error) {
	info, err := os.Stat(filepath.Join(dir, "began"))
	if err != nil {
		return nil, err
	}
	l := &ledger{offsets: make([]uint64, ledgerFrames+2), began: info.ModTime()}
	for seq := uint64(1); seq <= ledgerFrames; seq++ {
		l.offsets[seq+1] = l.offsets[seq] + uint64(len(ledgerLines(seq)))
	}
	return l, nil
}

// ledgerLine is one event of a frame.
func ledgerLine(seq uint64, i int) []byte {
	return fmt.Appendf(nil, `{"frame":%d,"event":%d,"pad":"%s"}`, seq, i, strings.Repeat("x", int(seq*7+uint64(i)*13)%400))
}

func ledgerLines(seq uint64) (lines []byte) {
	for i := range int(seq%ledgerEvents) + 1 {
		lines = append(append(lines, ledgerLine(seq, i)...), '\n')
	}
	return lines
}

func (l *ledger) Extent() deliver.Extent {
	last := min(ledgerFrames, uint64(time.Since(l.began)/framePace))
	return deliver.Extent{First: 1, Last: last, End: l.offsets[last+1]}
}

func (l *ledger) Next(ctx context.Context, seq uint64) (deliver.Frame, error) {
	seq = max(seq, 1)
	for l.Extent().Last < seq {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(framePace):
		}
	}
	return ledgerFrame{l, seq}, nil
}

type ledgerFrame struct {
	*ledger
	seq uint64
}

func (f ledgerFrame) Seq() uint64               { return f.seq }
func (f ledgerFrame) Offset() uint64            { return f.offsets[f.seq] }
func (f ledgerFrame) Size() int                 { return int(f.offsets[f.seq+1] - f.offsets[f.seq]) }
func (f ledgerFrame) Time() time.Time           { return f.began }
func (f ledgerFrame) Len() int                  { return int(f.seq%ledgerEvents) + 1 }
func (f ledgerFrame) Source(int) event.SourceID { return "web" }
func (f ledgerFrame) Event(i int) destination.Event {
	return destination.Event{Position: event.At(f.seq, i), Source: "web", JSON: ledgerLine(f.seq, i)}
}

// deliverLedger delivers the ledger to a file until all of it is there.
func deliverLedger(dir string) error {
	target, err := file.New(file.Config{
		Path:   config.Path(filepath.Join(dir, "out", "events.jsonl")),
		Rotate: file.Rotate{Bytes: 200 * config.KiB},
	})
	if err != nil {
		return err
	}
	journal, err := newLedger(dir)
	if err != nil {
		return err
	}
	loop, err := deliver.Open(context.Background(), deliver.Options{
		Name: "file", Target: target, Journal: journal, Dir: deliver.StateDir(dir, "file"),
		Wants: func(event.SourceID) bool { return true }, From: config.From{Oldest: true},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for loop.Status().Cursor != event.At(ledgerFrames+1, 0) {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if err := loop.Run(ctx); err != nil {
		return err
	}
	return loop.Close()
}

// maxKills is how often the process is killed at most before it may finish.
const maxKills = 60

func TestKilledProcessLeavesNoLineTornTwiceOrMissing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "began"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for done := false; !done; {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		var log bytes.Buffer
		cmd.Stderr = &log
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := stdout.Read(make([]byte, 16)); err != nil {
			t.Fatalf("%v: %v\n%s", err, cmd.Wait(), log.Bytes())
		}
		after := time.Duration(rng.IntN(150)) * time.Millisecond
		if kills >= maxKills {
			after = time.Hour // on a slow machine it gets no further between kills
		}
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		killed := !timer.Stop()
		switch {
		case killed:
			kills++
		case err != nil:
			t.Fatalf("%v\n%s", err, log.Bytes())
		default:
			done = true
		}
		if strings.Contains(log.String(), "level=WARN") {
			t.Errorf("after %d kills it says: %s", kills, log.Bytes())
		}
	}
	t.Logf("%d kills", kills)

	paths, err := filepath.Glob(filepath.Join(dir, "out", "events.jsonl*"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("files %v, %v: want several", paths, err)
	}
	slices.Sort(paths)
	var got []byte
	for _, path := range append(paths[1:], paths[0]) { // the one without a time is the newest
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	for seq := uint64(1); seq <= ledgerFrames; seq++ {
		want := ledgerLines(seq)
		if !bytes.HasPrefix(got, want) {
			t.Fatalf("at frame %d there is %.200q, want %.200q", seq, got, want)
		}
		got = got[len(want):]
	}
	if len(got) > 0 {
		t.Errorf("after the last frame there is %.200q", got)
	}
}
