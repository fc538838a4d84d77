package deliver_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// A kill is what is on disk at some instant: here inside each send, before and
// after the destination took the batch.
func TestKillSendsAtMostTheBatchInHandAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type kill struct {
			cursor []byte
			taken  int // events, when it struck
			hand   int // events of the batch in hand
		}
		var kills []kill
		d := &target{}
		r := newRig(t, d)
		r.options.Target = bounded{target: d, events: 4, bytes: 1 << 20}
		d.answer = func(_ int, batch []destination.Event) error {
			c, err := os.ReadFile(filepath.Join(r.options.Dir, "cursor"))
			if err != nil {
				t.Error(err)
			}
			kills = append(kills, kill{c, len(d.taken), len(batch)})
			return nil
		}
		for n := range 20 {
			r.journal.addEvents(n % 7)
		}
		total := r.journal.events
		r.start()
		synctest.Wait()
		r.stop()
		for n, k := range kills {
			for _, took := range []bool{false, true} {
				second := &target{}
				again := newRig(t, second)
				again.journal = r.journal
				again.options.Journal = r.journal
				if err := os.WriteFile(filepath.Join(again.options.Dir, "cursor"), k.cursor, 0o600); err != nil {
					t.Fatal(err)
				}
				again.start()
				synctest.Wait()
				again.stop()
				_, taken := second.all()
				wantIDs(t, "taken after the kill", taken, numbered(total-len(taken), total))
				had, twice := k.taken, k.taken-(total-len(taken))
				if took {
					had, twice = had+k.hand, twice+k.hand
				}
				if twice < 0 || twice > k.hand {
					t.Fatalf("kill %d with %d taken and %d in hand: %d events sent again", n, had, k.hand, twice)
				}
			}
		}
	})
}

func TestDestinationBeginsWhereItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		began := time.Now()
		for range 10 {
			j.addEvents(1)
			pass(time.Hour)
		}
		for name, c := range map[string]struct {
			from config.From
			want []string
		}{
			"end":         {config.From{}, numbered(10, 11)},
			"oldest":      {config.From{Oldest: true}, numbered(0, 11)},
			"before all":  {config.From{Time: began.Add(-time.Hour)}, numbered(0, 11)},
			"exactly":     {config.From{Time: began.Add(3 * time.Hour)}, numbered(3, 11)},
			"between two": {config.From{Time: began.Add(3*time.Hour + time.Minute)}, numbered(4, 11)},
			"the last":    {config.From{Time: began.Add(9 * time.Hour)}, numbered(9, 11)},
			"the future":  {config.From{Time: began.Add(99 * time.Hour)}, numbered(10, 11)},
		} {
			d := &target{}
			r := newRig(t, d, func(o *deliver.Options) { o.From = c.from })
			copied := newJournal()
			copied.frames, copied.end, copied.events = j.frames[:10:10], j.end, 10
			r.journal, r.options.Journal = copied, copied
			r.start()
			synctest.Wait()
			copied.addEvents(1)
			synctest.Wait()
			r.stop()
			_, taken := d.all()
			wantIDs(t, name, taken, c.want)
		}
	})
}

func TestNothingIsMissedBetweenOpenAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d, func(o *deliver.Options) { o.From = config.From{} })
		r.journal.addEvents(1)
		loop, err := deliver.Open(t.Context(), r.options)
		if err != nil {
			t.Fatal(err)
		}
		if err := loop.Close(); err != nil {
			t.Fatal(err)
		}
		r.journal.addEvents(2)
		r.start()
		defer r.stop()
		synctest.Wait()
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(1, 3))
	})
}

func TestTornCursorFallsBackToTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		r.start()
		for range 5 {
			r.journal.addEvents(1)
			pass(time.Second)
		}
		r.stop()
		path := filepath.Join(r.options.Dir, "cursor")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		newest := bytes.Index(whole, []byte(`"position":"6.0"`))
		if newest < 0 {
			t.Fatalf("no cursor at 6.0 in %q", bytes.TrimRight(whole, "\x00"))
		}
		torn := bytes.Clone(whole)
		torn[newest+12] = '7'
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		again := &target{}
		r.options.Target = again
		r.start()
		synctest.Wait()
		r.stop()
		_, taken := again.all()
		wantIDs(t, "taken again", taken, numbered(4, 5))
	})
}

func TestCursorThatNobodyCanReadIsNoNewDestination(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"garbage":     {"xxxxxxxx {}\n", "no whole record"},
		"newer":       {fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(`{"v":2}`), crc32.MakeTable(crc32.Castagnoli)), `{"v":2}`), "version is 2"},
		"short":       {"5d", "no whole record"},
		"empty slots": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &target{})
			if err := os.WriteFile(filepath.Join(r.options.Dir, "cursor"), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			loop, err := deliver.Open(t.Context(), r.options)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := loop.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "destination sink") {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestJournalThatLostItsEndIsFollowedFromItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		for range 5 {
			r.journal.addEvents(1)
		}
		r.start()
		synctest.Wait()
		r.stop()
		r.journal.frames = r.journal.frames[:3]
		last := r.journal.frames[2]
		r.journal.end = last.offset + uint64(last.Size())
		r.start()
		defer r.stop()
		synctest.Wait()
		if s := r.loop.Status(); s.Notice == nil || s.Notice.Code != "journal_behind" || s.LagBytes != 0 {
			t.Errorf("status: %+v", s)
		}
		r.journal.addEvents(2)
		synctest.Wait()
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 7))
	})
}

func TestJournalThatIsAnotherIsDeliveredFromItsOldestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		for range 3 {
			r.journal.addEvents(1)
		}
		r.start()
		synctest.Wait()
		r.stop()
		other := newJournal()
		for range 5 {
			other.addEvents(2)
		}
		second := &target{}
		r.options.Journal, r.options.Target = other, second
		r.start()
		defer r.stop()
		synctest.Wait()
		if s := r.loop.Status(); s.Notice == nil || s.Notice.Code != "journal_replaced" {
			t.Errorf("status: %+v", s)
		}
		_, taken := second.all()
		wantIDs(t, "taken", taken, numbered(0, 10))
	})
}

func TestFramesThatRetentionTookAreCountedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		r.journal.addEvents(1)
		r.start()
		synctest.Wait()
		r.stop()
		for range 9 {
			r.journal.addEvents(1)
		}
		r.journal.forget(7)
		r.start()
		pass(time.Second)
		s := r.loop.Status()
		if s.Counters.GapFrames != 5 || s.Notice == nil || s.Notice.Code != "gap" {
			t.Errorf("status: %+v", s)
		}
		r.stop()
		_, taken := d.all()
		wantIDs(t, "taken", taken, append(numbered(0, 1), numbered(6, 10)...))
		r.start()
		defer r.stop()
		if s := r.loop.Status(); s.Counters.GapFrames != 5 {
			t.Errorf("%d frames lost after a restart, want 5", s.Counters.GapFrames)
		}
	})
}

func TestJournalErrorsAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.fail(os.ErrClosed)
		r.journal.addEvents(3)
		pass(time.Hour)
		if s := r.loop.Status(); s.Failure == nil || s.Failure.Code != "journal" {
			t.Errorf("status: %+v", s)
		}
		r.journal.fail(nil)
		pass(time.Minute)
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 3))
		if s := r.loop.Status(); s.State != deliver.Running {
			t.Errorf("status afterwards: %+v", s)
		}
	})
}

func TestCursorThatWasSyncedIsLeftAloneUntilTheNextSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &target{}).start()
		defer r.stop()
		pass(time.Second)
		for n := range 9 { // the first is synced, the others come within 100 ms
			r.journal.addEvents(1)
			pass(10 * time.Millisecond)
			b, err := os.ReadFile(filepath.Join(r.options.Dir, "cursor"))
			if err != nil {
				t.Fatal(err)
			}
			for _, position := range []string{"2.0", fmt.Sprintf("%d.0", n+2)} {
				if !bytes.Contains(b, fmt.Appendf(nil, `"position":%q`, position)) {
					t.Errorf("after %d events there is no cursor at %s", n+1, position)
				}
			}
		}
	})
}

func TestJournalErrorBehindABatchLosesNoneOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{}
		r := newRig(t, d)
		r.journal.once = map[uint64]error{2: os.ErrClosed, 4: os.ErrClosed}
		for range 5 {
			r.journal.addEvents(2)
		}
		r.start()
		defer r.stop()
		pass(time.Minute)
		_, taken := d.all()
		wantIDs(t, "taken", taken, numbered(0, 10))
	})
}
