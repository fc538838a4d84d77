package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

func openLog(t testing.TB, j *opened, name string, o journal.LogOptions) *journal.Log {
	t.Helper()
	l, err := j.Log(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendRecords(l *journal.Log, records ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var raw [][]byte
	for _, r := range records {
		raw = append(raw, []byte(r))
	}
	ticket, err := l.Append(ctx, raw)
	if err == nil {
		err = ticket.Wait(ctx)
	}
	return err
}

func mustAppend(t testing.TB, l *journal.Log, records ...string) {
	t.Helper()
	if err := appendRecords(l, records...); err != nil {
		t.Fatal(err)
	}
}

// records are all that can be read from a log.
func records(t testing.TB, l *journal.Log) []string {
	t.Helper()
	last, err := l.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for seq := uint64(1); seq <= last; {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		f, err := l.Next(ctx, seq)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			all = append(all, string(f.Record(i)))
		}
		seq = f.Seq() + 1
	}
	return all
}

func wantRecords(t testing.TB, l *journal.Log, want ...string) {
	t.Helper()
	if got := records(t, l); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestALogKeepsItsRecordsBesideTheJournal(t *testing.T) {
	dir := t.TempDir()
	j := open(t, with(dir))
	web := openLog(t, j, "quarantine/website", journal.LogOptions{})
	crm := openLog(t, j, "quarantine/CRM", journal.LogOptions{})
	j.append(t, track("web", "a"))
	mustAppend(t, web, "one", "", "two\nlines")
	mustAppend(t, crm, "other")
	mustAppend(t, web, "three")
	mustAppend(t, web)
	wantRecords(t, web, "one", "", "two\nlines", "three")
	wantRecords(t, crm, "other")
	wantIDs(t, j.ids(t), "a")
	if again := openLog(t, j, "quarantine/website", journal.LogOptions{}); again != web {
		t.Error("the same name gives another log")
	}
	j.stop()

	j = open(t, with(dir))
	names, err := j.Logs()
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"quarantine/CRM", "quarantine/website"}) {
		t.Errorf("logs %q, %v", names, err)
	}
	web = openLog(t, j, "quarantine/website", journal.LogOptions{})
	wantRecords(t, web, "one", "", "two\nlines", "three")
	mustAppend(t, web, "four")
	wantRecords(t, web, "one", "", "two\nlines", "three", "four")
	if s, err := web.Stats(t.Context()); err != nil || s.First != 1 || s.Last != 3 || s.Frames != 3 || s.Bytes == 0 || s.Oldest.IsZero() || s.LostFrames != 0 {
		t.Errorf("stats %+v, %v", s, err)
	}
}

func TestALogWithoutARecordLeavesNothingOnDisk(t *testing.T) {
	dir := t.TempDir()
	j := open(t, with(dir))
	l := openLog(t, j, "idle", journal.LogOptions{MaxBytes: 1 << 20})
	if s, err := l.Stats(t.Context()); err != nil || s != (journal.LogStats{}) {
		t.Errorf("stats %+v, %v", s, err)
	}
	wantRecords(t, l)
	names, err := j.Logs()
	if err != nil || len(names) != 0 {
		t.Errorf("logs %q, %v", names, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Next(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read of an empty log: %v", err)
	}
	if _, err := os.Stat(streamDir(dir, "log-idle")); err == nil {
		t.Error("a stream was created")
	}
	for _, bad := range []string{"", strings.Repeat("x", 300)} {
		if _, err := j.Log(bad, journal.LogOptions{}); err == nil {
			t.Errorf("a log of name %q", bad)
		}
	}
}

func TestAReaderOfALogWaitsForItsFirstRecord(t *testing.T) {
	j := open(t, with(t.TempDir()))
	l := openLog(t, j, "q", journal.LogOptions{})
	got := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		f, err := l.Next(ctx, 1)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(f.Record(0))
	}()
	mustAppend(t, l, "first")
	if r := <-got; r != "first" {
		t.Errorf("read %q", r)
	}
}

func TestAFullLogRefusesOrDropsTheOldest(t *testing.T) {
	j := open(t, with(t.TempDir()))
	refusing := openLog(t, j, "refuse", journal.LogOptions{MaxBytes: 1 << 20, DiscardNew: true})
	dropping := openLog(t, j, "drop", journal.LogOptions{MaxBytes: 1 << 20})
	record := strings.Repeat("x", 100<<10)
	stored := 0
	var err error
	for stored = 0; err == nil && stored < 20; stored++ {
		err = appendRecords(refusing, fmt.Sprint(stored)+record)
	}
	if !errors.Is(err, journal.ErrLogFull) {
		t.Errorf("append to a full log: %v", err)
	}
	stored--
	if got := len(records(t, refusing)); got != stored || stored < 8 {
		t.Errorf("%d records, %d were stored", got, stored)
	}
	if j.Stats().Closed != nil {
		t.Error("a full log closed the journal's intake")
	}
	j.append(t, track("web", "a"))
	for i := range 30 {
		mustAppend(t, dropping, fmt.Sprint(i)+record)
	}
	left := records(t, dropping)
	if len(left) < 8 || len(left) > 10 || !strings.HasPrefix(left[len(left)-1], "29") {
		t.Errorf("%d records are left", len(left))
	}
	// Room again, by other options.
	openLog(t, j, "refuse", journal.LogOptions{MaxBytes: 4 << 20, DiscardNew: true})
	mustAppend(t, refusing, "fits")
	if s, err := dropping.Stats(t.Context()); err != nil || s.LostFrames != 0 || s.Bytes > 1<<20 {
		t.Errorf("stats %+v, %v", s, err)
	}
}

func TestALogsTicketWaitsForTheSync(t *testing.T) {
	g := new(gate)
	j := gated(t, with(t.TempDir()), g)
	l := openLog(t, j, "q", journal.LogOptions{})
	mustAppend(t, l, "zero")
	open := g.shut(t)
	var tickets []*journal.Ticket
	for i := range 30 {
		ticket, err := l.Append(t.Context(), [][]byte{fmt.Append(nil, i)})
		if err != nil {
			t.Fatal(err)
		}
		if tickets = append(tickets, ticket); i == 0 {
			g.awaitSync(t)
		}
	}
	if last, err := l.Last(t.Context()); err != nil || last != 1 || isDone(tickets[0]) {
		t.Errorf("acknowledged before the sync: last frame %d, %v", last, err)
	}
	open()
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := l.Last(t.Context()); err != nil || last != 3 {
		t.Errorf("%d frames, want 3: what is queued together shares one; %v", last, err)
	}
}

func TestLogsOutliveFaultsOfTheStorage(t *testing.T) {
	var n atomic.Int64
	dir := t.TempDir()
	j := open(t, journal.WithFaults(with(dir), journal.Faults{SyncFile: func(f *os.File) error {
		if n.Add(1)%19 == 0 {
			return errDisk
		}
		return f.Sync()
	}}))
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			l := openLog(t, j, fmt.Sprint("log", c), journal.LogOptions{})
			for i := range 20 {
				deadline := time.Now().Add(time.Minute)
				for err := appendRecords(l, fmt.Sprint(i)); err != nil; err = appendRecords(l, fmt.Sprint(i)) {
					if !errors.Is(err, journal.ErrClosed) || time.Now().After(deadline) {
						t.Error(err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	j.stop()
	j = open(t, with(dir))
	for c := range 4 {
		have := make(map[string]bool) // a record that is sent again may be there twice
		for _, r := range records(t, openLog(t, j, fmt.Sprint("log", c), journal.LogOptions{})) {
			have[r] = true
		}
		if len(have) != 20 {
			t.Errorf("log %d has %d of its records", c, len(have))
		}
	}
}

func TestATornTailOfALogIsCutToo(t *testing.T) {
	dir := t.TempDir()
	j := open(t, with(dir))
	l := openLog(t, j, "q", journal.LogOptions{})
	mustAppend(t, l, "one")
	mustAppend(t, l, "two")
	j.stop()
	path := filepath.Join(streamDir(dir, "log-q"), "msgs", "1.blk")
	data := readFile(t, path)
	writeFile(t, path, append(data, "garbage behind it"...))
	log := new(codes)
	j = open(t, logTo(with(dir), log))
	l = openLog(t, j, "q", journal.LogOptions{})
	wantRecords(t, l, "one", "two")
	mustAppend(t, l, "three")
	wantRecords(t, l, "one", "two", "three")
	if !log.has("journal_tail_cut") {
		t.Errorf("no cut is reported:\n%s", log)
	}
}

func TestSyncMakesWhatWasAcknowledgedDurable(t *testing.T) {
	var synced sync.Map
	opts := with(t.TempDir())
	opts.SyncInterval = time.Hour
	j := open(t, journal.WithFaults(opts, journal.Faults{SyncFile: func(f *os.File) error {
		synced.Store(filepath.Base(filepath.Dir(filepath.Dir(f.Name()))), true)
		return f.Sync()
	}}))
	l := openLog(t, j, "q", journal.LogOptions{})
	j.append(t, track("web", "a"))
	mustAppend(t, l, "one")
	wantIDs(t, j.ids(t), "a")
	synced.Clear()
	for range 2 {
		if err := j.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, stream := range []string{"journal", "log-q"} {
		if _, ok := synced.Load(stream); !ok {
			t.Errorf("%s was not synced", stream)
		}
	}
	synced.Clear()
	if err := j.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	synced.Range(func(stream, _ any) bool {
		t.Errorf("%s was synced although nothing was new", stream)
		return true
	})
}

func TestSyncCoversWhatAnEarlierProcessLeftInALog(t *testing.T) {
	dir := t.TempDir()
	opts := with(dir)
	opts.SyncInterval = time.Hour
	j := open(t, opts)
	mustAppend(t, openLog(t, j, "q", journal.LogOptions{}), "one")
	j.stop()
	var synced atomic.Bool
	j = open(t, journal.WithFaults(opts, journal.Faults{SyncFile: func(f *os.File) error {
		if strings.Contains(f.Name(), "log-q") {
			synced.Store(true)
		}
		return f.Sync()
	}}))
	if err := j.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !synced.Load() {
		t.Error("the log was not synced, although nobody has opened it")
	}
}

// After a failed sync another may succeed without writing anything.
func TestAfterAFailedSyncNoneSucceedsBeforeThePagesAreWrittenAgain(t *testing.T) {
	var failing atomic.Bool
	var calls atomic.Int64
	opts := with(t.TempDir())
	opts.SyncInterval = time.Hour
	blocked := make(chan struct{})
	j := open(t, journal.WithFaults(opts, journal.Faults{SyncFile: func(f *os.File) error {
		calls.Add(1)
		if failing.Swap(false) {
			<-blocked
			return errDisk
		}
		return f.Sync()
	}}))
	j.append(t, track("web", "a"))
	calls.Store(0)
	failing.Store(true)
	results := make(chan error, 2)
	for range 2 {
		go func() { results <- j.Sync(t.Context()) }()
	}
	eventually(t, "the first sync", func() bool { return !failing.Load() })
	close(blocked)
	for range 2 {
		// One that comes late meets the next session, which has synced the file
		// when it wrote the pages again, and once more when it opened it.
		if err := <-results; err == nil && calls.Load() < 3 {
			t.Errorf("a Sync succeeded after %d syncs of the file, of which the first had failed", calls.Load())
		}
	}
	eventually(t, "another session", func() bool { return j.Stats().Closed == nil && j.Sync(t.Context()) == nil })
}

func TestAnIntervalSyncsByItself(t *testing.T) {
	var syncs atomic.Int64
	opts := with(t.TempDir())
	opts.SyncInterval = 20 * time.Millisecond
	j := open(t, journal.WithFaults(opts, journal.Faults{SyncFile: func(f *os.File) error {
		syncs.Add(1)
		return f.Sync()
	}}))
	j.append(t, track("web", "a"))
	before := syncs.Load()
	j.append(t, track("web", "b"))
	eventually(t, "sync", func() bool { return syncs.Load() > before })
}

func TestALogWithOptionsThatCannotBeStopsNobodyElse(t *testing.T) {
	j := open(t, with(t.TempDir()))
	bad := openLog(t, j, "bad", journal.LogOptions{MaxAge: time.Millisecond}) // the server wants more
	if err := appendRecords(bad, "x"); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Stats().Closed; err != nil {
		t.Errorf("the intake is closed: %v", err)
	}
	good := openLog(t, j, "good", journal.LogOptions{MaxAge: time.Hour})
	mustAppend(t, good, "one")
	j.append(t, track("web", "a"))
	openLog(t, j, "bad", journal.LogOptions{})
	mustAppend(t, bad, "two")
	wantRecords(t, bad, "two")
}
