package deliver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func (r *rig) attempts() (all []deliver.Attempt) {
	r.t.Helper()
	err := r.loop.Attempts(func(a deliver.Attempt) bool {
		all = append(all, a)
		return true
	})
	if err != nil {
		r.t.Error(err)
	}
	return all
}

func TestAttemptsTellEachOutcomeOnceAndSuccessesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n >= 10 && n < 13 {
				return failure(destination.Unavailable)
			}
			return nil
		}}
		r := newRig(t, d).start()
		for range 20 {
			r.journal.addEvents(2)
			pass(time.Second)
		}
		check := func(when string) {
			t.Helper()
			all := r.attempts()
			if len(all) != 3 {
				t.Fatalf("%s: %d attempts, want 3: %+v", when, len(all), all)
			}
			first, failed, last := all[0], all[1], all[2]
			if first.Code != deliver.CodeOK || first.Sends != 10 || first.Events != 20 || first.From != event.At(1, 0) || first.To != event.At(10, 2) ||
				first.Until.Sub(first.Time) != 9*time.Second {
				t.Errorf("%s: first %+v", when, first)
			}
			if failed.Code != "unavailable" || failed.Sends != 3 || failed.Error != "answer of a script" || failed.From != event.At(11, 0) {
				t.Errorf("%s: failed %+v", when, failed)
			}
			if last.Code != deliver.CodeOK || last.Events != 20 || last.To != event.At(20, 2) {
				t.Errorf("%s: last %+v", when, last)
			}
		}
		check("running")
		r.stop()
		r.start()
		defer r.stop()
		check("after a restart")
	})
}

func TestAttemptsAreOnDiskWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &target{}).start()
		defer r.stop()
		r.journal.addEvents(1)
		pass(61 * time.Second)
		if b, err := os.ReadFile(filepath.Join(r.options.Dir, "attempts.jsonl")); err != nil || len(b) == 0 {
			t.Errorf("attempts on disk: %q, %v", b, err)
		}
	})
}

func TestAttemptsOfAnOutageAreOnDiskWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(int, []destination.Event) error { return failure(destination.Unavailable) }}
		r := newRig(t, d).start()
		defer r.stop()
		r.journal.addEvents(1)
		pass(10 * time.Minute)
		b, err := os.ReadFile(filepath.Join(r.options.Dir, "attempts.jsonl"))
		if lines := bytes.Count(b, []byte("\n")); err != nil || lines < 5 || lines > 10 {
			t.Errorf("%d attempts on disk after ten minutes of failures, want one for each minute (%v)", lines, err)
		}
	})
}

func TestEventThatPassesLateHasAnAttemptOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &target{answer: func(n int, _ []destination.Event) error {
			if n == 0 {
				return failure(destination.Failed)
			}
			return nil
		}}
		r := newRig(t, d)
		r.options.Target = bounded{target: d, events: 1, bytes: 1 << 20}
		r.journal.addEvents(1)
		r.journal.addEvents(1)
		r.start()
		defer r.stop()
		pass(time.Minute)
		_, taken := d.all()
		wantIDs(t, "taken", taken, []string{"m1", "m0"})
		passed := 0
		for _, a := range r.attempts() {
			if p := event.At(1, 0); a.Code == deliver.CodeOK && a.From <= p && p < a.To {
				passed++
			}
		}
		if passed != 1 {
			t.Errorf("%d attempts tell that the first event passed: %+v", passed, r.attempts())
		}
	})
}

func TestAttemptsAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sends := 0
		d := &target{answer: func(n int, batch []destination.Event) error {
			if sends++; sends%2 == 0 {
				return nil
			}
			e := failure(destination.Unavailable)
			e.Code = string(make([]byte, 40<<10)) // written as \u0000: 240 KiB
			return e
		}}
		r := newRig(t, d).start()
		defer r.stop()
		for range 70 {
			r.journal.addEvents(1)
			pass(time.Second)
		}
		var size int64
		for _, name := range []string{"attempts.jsonl", "attempts.1.jsonl"} {
			info, err := os.Stat(filepath.Join(r.options.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > 4<<20 {
				t.Errorf("%s has %d bytes", name, info.Size())
			}
			size += info.Size()
		}
		if size < 4<<20 {
			t.Errorf("%d bytes are kept, want at least 4 MiB", size)
		}
	})
}

func TestAttemptsOfSevenDaysAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &target{}).start()
		defer r.stop()
		for range 30 {
			r.journal.addEvents(1)
			pass(24 * time.Hour)
			oldest := r.attempts()[0].Time
			if age := time.Since(oldest); age < 7*24*time.Hour && oldest.After(r.journal.frames[0].time) || age > 16*24*time.Hour {
				t.Errorf("the oldest attempt is %v old", age)
			}
		}
	})
}

func TestTornAttemptIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &target{}).start()
		r.journal.addEvents(1)
		synctest.Wait()
		r.stop()
		path := filepath.Join(r.options.Dir, "attempts.jsonl")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(whole, `{"time":"2026-11`...), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.journal.addEvents(1)
		synctest.Wait()
		r.stop()
		r.start()
		defer r.stop()
		if all := r.attempts(); len(all) != 2 || all[1].From != event.At(2, 0) {
			t.Errorf("attempts: %+v", all)
		}
	})
}

func TestStateOfARemovedDestinationIsDroppedAfterSevenDays(t *testing.T) {
	all := t.TempDir()
	for _, name := range []event.DestinationID{"kept", "removed", "back"} {
		if err := os.MkdirAll(deliver.StateDir(all, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	prune := func(after time.Duration, configured ...event.DestinationID) []event.DestinationID {
		t.Helper()
		dropped, err := deliver.Prune(all, configured, day.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	const days = 24 * time.Hour
	prune(0, "kept")
	prune(5*days, "kept", "back")
	prune(6*days, "kept")
	if dropped := prune(6*days, "kept"); len(dropped) > 0 {
		t.Errorf("dropped after six days: %v", dropped)
	}
	if dropped := prune(7*days, "kept"); len(dropped) != 1 || dropped[0] != "removed" {
		t.Errorf("dropped after seven days: %v", dropped)
	}
	if dropped := prune(13*days, "kept"); len(dropped) != 1 || dropped[0] != "back" {
		t.Errorf("dropped seven days after the second removal: %v", dropped)
	}
	if _, err := os.Stat(deliver.StateDir(all, "kept")); err != nil {
		t.Error(err)
	}
	if dropped, err := deliver.Prune(filepath.Join(all, "none"), nil, day); err != nil || dropped != nil {
		t.Errorf("without any state: %v, %v", dropped, err)
	}
}
