package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

var errDisk = errors.New("no space left on device")

func TestAFailedWriteIsNoEntry(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	add(t, q, refusal("website", 1))
	l := d.log("website")
	l.failWith(func([][]byte) error { return errDisk }, false)
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", 1), refusal("website", 2)}); !errors.Is(err, errDisk) {
		t.Errorf("error is %v", err)
	}
	if s := status(t, q, "website"); s.Problem == "" || s.Entries != 1 || s.Count != 1 {
		t.Errorf("status is %+v", s)
	}
	l.failWith(nil, false)
	add(t, q, refusal("website", 1), refusal("website", 2))
	if s := status(t, q, "website"); s.Problem != "" || s.Entries != 2 || s.Count != 3 {
		t.Errorf("status is %+v", s)
	}
}

// A write whose outcome is unknown may be durable or not: until a later one has
// succeeded, nothing may rely on it.
func TestAWriteOfUnknownOutcomeRecognisesNothing(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	add(t, q, refusal("website", 1))
	l := d.log("website")
	l.failWith(func([][]byte) error { return errDisk }, true)
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", 2)}); !errors.Is(err, errDisk) {
		t.Errorf("error is %v", err)
	}
	l.failWith(nil, false)
	add(t, q, refusal("website", 2))
	if n := l.records('e'); n != 3 {
		t.Errorf("%d entries written, want the one again that may be lost", n)
	}
	if s := status(t, q, "website"); s.Entries != 3 || s.Count != 3 {
		t.Errorf("status is %+v", s)
	}
}

// What was written and could not be read back is durable all the same.
func TestAWriteThatCannotBeReadBack(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	l := d.log("website")
	unread := func(err error) {
		l.mu.Lock()
		l.unread = err
		l.mu.Unlock()
	}
	add(t, q, refusal("website", 1))
	unread(errDisk)
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", 2)}); !errors.Is(err, errDisk) {
		t.Errorf("error is %v", err)
	}
	unread(nil)
	add(t, q, refusal("website", 2))
	if s := status(t, q, "website"); s.Entries != 2 || s.Count != 3 || s.Problem != "" {
		t.Errorf("status is %+v", s)
	}
}

// The storage below the log may come back without what was written to it last.
func TestALogThatLostItsEnd(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	for i := range 5 {
		add(t, q, refusal("website", i))
	}
	l := d.log("website")
	l.mu.Lock()
	l.frames, l.last = l.frames[:3], 3
	l.mu.Unlock()
	add(t, q, refusal("website", 9))
	add(t, q, refusal("website", 3), refusal("website", 0))
	got := list(t, q, quarantine.Filter{OldestFirst: true})
	if !slices.Equal(messageIDs(got), []string{"m0", "m1", "m2", "m9", "m3"}) || got[0].Count != 2 {
		t.Errorf("entries are %v", messageIDs(got))
	}
}

func TestALogThatCannotBeOpened(t *testing.T) {
	d := newDisk()
	add(t, open(t, d), refusal("website", 1))
	d.broken = errDisk
	q := open(t, d)
	if s := status(t, q, "website"); s.Problem == "" {
		t.Errorf("status is %+v", s)
	}
	if err := q.Add(context.Background(), []event.Refusal{refusal("website", 2)}); !errors.Is(err, errDisk) {
		t.Errorf("error is %v", err)
	}
	for _, err := range q.List(context.Background(), quarantine.Filter{}) {
		if !errors.Is(err, errDisk) {
			t.Errorf("error is %v", err)
		}
	}
	d.broken = nil
	add(t, q, refusal("website", 2))
	if s := status(t, q, "website"); s.Problem != "" || s.Entries != 2 {
		t.Errorf("status is %+v", s)
	}
}

// Who waits in line and gives up leaves nothing behind; who writes for others
// goes on although his own client is gone.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		q := open(t, d)
		add(t, q, refusal("website", 0))
		goOn := make(chan struct{})
		d.log("website").failWith(func([][]byte) error { <-goOn; return nil }, false)

		leader, leave := context.WithCancel(context.Background())
		waiter, giveUp := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := q.Add(leader, []event.Refusal{refusal("website", 1)}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := q.Add(waiter, []event.Refusal{refusal("website", 2)}); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
		})
		wg.Go(func() { add(t, q, refusal("website", 3)) })
		synctest.Wait()
		leave()
		giveUp()
		synctest.Wait()
		close(goOn)
		wg.Wait()
		if got := messageIDs(list(t, q, quarantine.Filter{OldestFirst: true})); !slices.Equal(got, []string{"m0", "m1", "m3"}) {
			t.Errorf("entries are %v", got)
		}
	})
}

func TestOpeningReadsOnlyWhatIsNew(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	for i := range 5000 {
		add(t, q, refusal("website", i))
	}
	crashed := d.copy()
	q = open(t, crashed)
	if n := crashed.logs["website"].reads; n > 1100 {
		t.Errorf("%d frames read of 5000", n)
	}
	if s := status(t, q, "website"); s.Entries != 5000 || s.Refused != 5000 {
		t.Errorf("status is %+v", s)
	}

	stop(t, q)
	stopped := crashed.copy()
	q = open(t, stopped)
	if n := stopped.logs["website"].reads; n > 3 {
		t.Errorf("%d frames read after an orderly end", n)
	}
	add(t, q, refusal("website", 4999))
	if s := status(t, q, "website"); s.Entries != 5000 || s.Count != 5001 {
		t.Errorf("status is %+v", s)
	}
}

func TestACacheThatIsNotOfThisLogIsNotUsed(t *testing.T) {
	saved := func(n int) *disk {
		d := newDisk()
		q := open(t, d)
		for i := range 20 {
			add(t, q, refusal("website", n+i))
		}
		stop(t, q)
		return d
	}
	other, this := saved(1000), saved(0)
	key := "quarantine/website"
	for name, cached := range map[string][]byte{
		"of another log":     other.cache[key],
		"cut short":          this.cache[key][:100],
		"of a later version": append([]byte{200}, this.cache[key][1:]...),
		"empty":              {},
	} {
		d := this.copy()
		d.cache[key] = cached
		q := open(t, d)
		add(t, q, refusal("website", 3))
		got := list(t, q, quarantine.Filter{OldestFirst: true})
		if len(got) != 20 || got[3].MessageID != "m3" || got[3].Count != 2 {
			t.Errorf("%s: entries are %v", name, messageIDs(got))
		}
	}
}

func TestOnlyRecentEntriesAreRecognised(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	const recognised = 1024
	for i := range recognised + 1 {
		add(t, q, refusal("website", i))
	}
	add(t, q, refusal("website", 1))
	if n := status(t, q, "website").Entries; n != recognised+1 {
		t.Errorf("%d entries: the oldest that is recognised was not", n)
	}
	add(t, q, refusal("website", 0))
	if n := status(t, q, "website").Entries; n != recognised+2 {
		t.Errorf("%d entries: one too old was recognised", n)
	}
}

func TestRepeatsAreCountedForSoManyEntries(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	const counted, batch = 4096, 512
	for from := 0; from < counted+batch; from += batch {
		var rs []event.Refusal
		for i := range batch {
			rs = append(rs, refusal("website", from+i))
		}
		add(t, q, rs...)
		add(t, q, rs...)
	}
	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy(), noCache)} {
		s := status(t, q, "website")
		if s.Count != 2*(counted+batch) || s.Entries != counted+2*batch {
			t.Errorf("status is %+v", s)
		}
	}
	stop(t, q)
	q = open(t, d)
	add(t, q, refusal("website", -1), refusal("website", -2))
	add(t, q, refusal("website", -1), refusal("website", -2))
	if s := status(t, q, "website"); s.Entries != counted+2*batch+4 {
		t.Errorf("after a restart, status is %+v", s)
	}
}

// A move that cannot be read whole has not happened.
func TestADamagedMove(t *testing.T) {
	d := newDisk()
	opts := []option{maxBytes(1 << 20), spare(3 << 20), noCache}
	q := open(t, d, opts...)
	for i := range 10 {
		add(t, q, refusal("website", i))
	}
	l := d.logs["website"]
	l.perFrame = 3
	var moved *disk
	l.failWith(func(records [][]byte) error {
		if records[len(records)-1][0] != 'v' {
			return nil
		}
		l.failWith(func([][]byte) error { moved = d.copy(); l.failWith(nil, false); return nil }, false)
		return nil
	}, false)
	for i := 0; moved == nil; i++ {
		add(t, q, large("website", 100+i))
		setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Limit: 1})...)
	}
	copied := moved.logs["website"]
	i := slices.IndexFunc(copied.frames, func(f quarantine.Frame) bool { return f.Records[0][0] == 'm' })
	copied.frames = slices.Delete(copied.frames, i+1, i+2)
	got := messageIDs(list(t, open(t, moved, opts...), quarantine.Filter{OldestFirst: true}))
	if len(got) < 10 || !slices.Equal(got[:10], []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}) {
		t.Errorf("entries are %v", got)
	}
}

func TestDamagedRecordsAreCountedAndPassedOver(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	add(t, q, refusal("website", 1), refusal("website", 2))
	l := d.log("website")
	for _, r := range [][]byte{{}, {0}, {'e'}, {'e', 9}, {'r', 1, 2, 255}, []byte("nonsense")} {
		if err := l.Append(context.Background(), [][]byte{r}); err != nil {
			t.Fatal(err)
		}
	}
	q = open(t, d)
	if s := status(t, q, "website"); s.Damaged != 6 || s.Entries != 2 {
		t.Errorf("status is %+v", s)
	}
	if n := len(list(t, q, quarantine.Filter{})); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// FuzzLog opens a log that holds anything between what was written to it.
func FuzzLog(f *testing.F) {
	d := newDisk()
	q := open(f, d, maxBytes(limit), spare(96<<10))
	for i := range 400 {
		if err := q.Add(context.Background(), []event.Refusal{refusal("website", i%60), refusal("website", i%7)}); err != nil {
			f.Fatal(err)
		}
		if i%10 == 9 {
			setState(f, q, quarantine.StateDropped, list(f, q, quarantine.Filter{Limit: 20, OldestFirst: true})[:3]...)
		}
	}
	written := make(map[byte]bool)
	for _, frame := range d.logs["website"].frames {
		for _, r := range frame.Records {
			if !written[r[0]] {
				written[r[0]] = true
				f.Add(r, r, uint8(3))
			}
		}
	}
	if !written['m'] || !written['v'] {
		f.Fatal("no seed of a move")
	}
	f.Add([]byte("f\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), []byte("v\x01\x00\xff\xff\xff\x01\x00"), uint8(9))
	f.Fuzz(func(t *testing.T, a, b []byte, where uint8) {
		d := d.copy()
		l := d.logs["website"]
		at := int(where) % len(l.frames)
		for _, i := range []int{at, len(l.frames) - 1} {
			l.frames[i].Records = append(slices.Clone(l.frames[i].Records), a, b, a)
		}
		d.cache = nil
		q := open(t, d, maxBytes(limit), spare(96<<10), noCache)
		exercise(t, q)
	})
}

// FuzzCache opens a log with anything in its cache.
func FuzzCache(f *testing.F) {
	d := newDisk()
	q := open(f, d)
	for i := range 30 {
		if err := q.Add(context.Background(), []event.Refusal{refusal("website", i), refusal("website", i%7)}); err != nil {
			f.Fatal(err)
		}
	}
	setState(f, q, quarantine.StateDropped, list(f, q, quarantine.Filter{Limit: 3})...)
	stop(f, q)
	f.Add(d.cache["quarantine/website"])
	f.Fuzz(func(t *testing.T, cached []byte) {
		d := d.copy()
		d.cache = map[string][]byte{"quarantine/website": cached}
		exercise(t, open(t, d))
	})
}

// exercise reads and writes without a look at what comes of it.
func exercise(t *testing.T, q *quarantine.Quarantine) {
	for _, f := range []quarantine.Filter{{}, {State: quarantine.AnyState, OldestFirst: true}, {Code: event.CodePlan, Event: "x"}} {
		var ids []quarantine.ID
		for e, err := range q.List(context.Background(), f) {
			if err != nil {
				break
			}
			ids = append(ids, e.ID)
		}
		for _, id := range ids[:min(3, len(ids))] {
			_, _ = q.Show(context.Background(), id)
			_, _ = q.SetState(context.Background(), []quarantine.ID{id}, quarantine.StateReplayed, "fuzz")
		}
		_, _ = q.Groups(context.Background(), f)
	}
	for i := range 5 {
		_ = q.Add(context.Background(), []event.Refusal{refusal("website", i), refusal("website", 1000+i)})
	}
	q.Status()
}

func TestManySourcesTogether(t *testing.T) {
	q := open(t, newDisk())
	var wg sync.WaitGroup
	for s := range 50 {
		wg.Go(func() {
			for i := range 10 {
				add(t, q, refusal(fmt.Sprint("s", s), i))
			}
		})
	}
	wg.Wait()
	if n := len(list(t, q, quarantine.Filter{})); n != 500 {
		t.Errorf("%d entries", n)
	}
}
