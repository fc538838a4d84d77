package dedup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// moment is what a disk looked like before an operation.
type moment struct {
	op      string
	disk    *memDisk
	added   int            // events
	synced  event.Position // the journal is durable up to here
	covered event.Position
}

// film runs a load of n events through freezes, merges and expiry, and returns
// all moments of it.
func film(t *testing.T, o dedup.Options, n int) []moment {
	var film []moment
	var synced event.Position
	o.Synced = func(_ context.Context, upTo event.Position) error {
		synced = max(synced, upTo)
		return nil
	}
	d := newMemDisk()
	ix := open(t, d, o)
	added := 0
	d.before = func(op, name string) error {
		if op != "read" {
			film = append(film, moment{op + " " + name, d.copy(), added, synced, ix.Covered()})
		}
		return nil
	}
	for added < n {
		added++
		ix.Add(key(uint64(added)), at(added), begin)
		if added%ix.MaxTable() == 0 {
			must(t, ix.Work(t.Context()))
		}
	}
	film = append(film, moment{"end", d.copy(), added, synced, ix.Covered()})
	d.before = nil
	return film
}

func TestAKillOrPowerCutAtAnyStepLosesNothingThatIsCovered(t *testing.T) {
	o := dedup.Options{Window: options().Window, MaxIDs: 320, Synced: durable}.WithTable(2)
	seed := newSeed(t)
	moments := film(t, o, 440)
	if testing.Short() {
		moments = moments[len(moments)/2 : len(moments)/2+60]
	}
	for i, m := range moments {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		how, d := "kill", m.disk.kill()
		if r.IntN(3) > 0 {
			how, d = "power cut", m.disk.cutPower(r)
		}
		ix := m.survives(t, how, d, o)
		if i%10 == 0 {
			m.goesOn(t, ix, o)
		}
	}
	t.Logf("%d moments", len(moments))
}

// survives opens an index after a crash at this moment and checks what it says.
func (m *moment) survives(t *testing.T, how string, d *memDisk, o dedup.Options) *dedup.Index {
	t.Helper()
	ix := open(t, d, o)
	what := fmt.Sprintf("%s before %q, after event %d", how, m.op, m.added)
	covered := ix.Covered()
	if covered < m.covered || covered > m.synced {
		t.Fatalf("%s: covered %s, want from %s, as before, to %s, the journal's end", what, covered, m.covered, m.synced)
	}
	if st := ix.Stats(); st.Dropped != 0 {
		t.Fatalf("%s: %d slices were dropped", what, st.Dropped)
	}
	for n := 1; n <= m.added; n++ {
		pos, ok := ix.Has(key(uint64(n)))
		switch {
		case ok && pos != at(n):
			t.Fatalf("%s: event %d is said to be at %s, want %s", what, n, pos, at(n))
		case ok && at(n) > covered:
			t.Fatalf("%s: event %d at %s is held beyond what is covered, %s", what, n, pos, covered)
		case !ok && at(n) <= covered && n > m.added-sure(ix, o):
			t.Fatalf("%s: event %d at %s is not held; covered %s", what, n, at(n), covered)
		}
	}
	return ix
}

// sure is how many of the youngest ids are held whatever happens.
func sure(ix *dedup.Index, o dedup.Options) int {
	return int(o.MaxIDs) - ix.MaxSlice() - 2*ix.MaxTable()
}

// goesOn checks that an index takes what the journal has, and goes on.
func (m *moment) goesOn(t *testing.T, ix *dedup.Index, o dedup.Options) {
	t.Helper()
	for n := 1; n <= m.added; n++ {
		ix.Add(key(uint64(n)), at(n), begin)
		if n%ix.MaxTable() == 0 {
			must(t, ix.Work(t.Context()))
		}
	}
	held(t, ix, max(1, m.added-sure(ix, o)+1), m.added, true)
}

// Slices that expire together go one by one: a hole would look like a loss.
func TestAPowerCutWhileManySlicesExpireLosesNone(t *testing.T) {
	seed := newSeed(t)
	d := newMemDisk()
	add(t, open(t, d, options()), 1, 1500, begin)
	o := options()
	o.MaxIDs = 700
	var moments []*memDisk
	ix := open(t, d, o)
	d.before = func(string, string) error {
		moments = append(moments, d.copy())
		return nil
	}
	must(t, ix.Work(t.Context()))
	if st := ix.Stats(); st.IDs > 700 || len(moments) < 8 {
		t.Fatalf("%d ids, after %d operations; want 700 and several", st.IDs, len(moments))
	}
	for i, m := range moments {
		for j := range 5 {
			ix := open(t, m.cutPower(rand.New(rand.NewPCG(seed, uint64(10*i+j)))), o)
			if st := ix.Stats(); st.Covered != at(1500) || st.Dropped > 0 {
				t.Fatalf("after operation %d, covered %s and %d slices dropped; want %s and none", i, st.Covered, st.Dropped, at(1500))
			}
		}
	}
}

func TestForgetIsDurable(t *testing.T) {
	seed := newSeed(t)
	for end := 5; end <= 300; end += 59 {
		d := newMemDisk()
		ix := open(t, d, options())
		add(t, ix, 1, 305, begin)
		must(t, ix.Forget(at(end)))
		covered := ix.Covered()
		if covered > at(end) {
			t.Fatalf("covered %s after forgetting all after %s", covered, at(end))
		}
		for i := range 20 {
			ix := open(t, d.cutPower(rand.New(rand.NewPCG(seed, uint64(i)))), options())
			held(t, ix, end+1, 305, false)
			if got := ix.Covered(); got != covered {
				t.Fatalf("covered %s after a power cut, want %s", got, covered)
			}
		}
		for n := 1; n <= end; n++ {
			ix.Add(key(uint64(n)), at(n), begin)
		}
		// The journal gives the positions to other events.
		for n := end + 1; n <= 305; n++ {
			ix.Add(key(uint64(n+1000)), at(n), begin)
			must(t, ix.Work(t.Context()))
		}
		ix = open(t, d.cutPower(rand.New(rand.NewPCG(seed, 99))), options())
		held(t, ix, end+1, 305, false)
		for n := end + 1; n <= 300; n++ {
			if pos, ok := ix.Has(key(uint64(n + 1000))); at(n) <= ix.Covered() && (!ok || pos != at(n)) {
				t.Fatalf("event %d: held %t at %s, want it at %s", n, ok, pos, at(n))
			}
		}
	}
}

func TestForgetOfNothingKeepsAll(t *testing.T) {
	ix := open(t, newMemDisk(), options())
	add(t, ix, 1, 305, begin)
	must(t, ix.Forget(at(305)))
	held(t, ix, 1, 305, true)
	if got := ix.Covered(); got != at(300) {
		t.Errorf("covered %s, want %s", got, at(300))
	}
}

// Run may be anywhere when the journal finds that it has lost its end.
func TestForgetWhileASliceIsWritten(t *testing.T) {
	for _, step := range []string{"synced", "create", "write", "sync"} {
		t.Run(step, func(t *testing.T) {
			d := newMemDisk()
			var ix *dedup.Index
			due := true
			forget := func(op string) error {
				if due && op == step {
					due = false
					return ix.Forget(at(3))
				}
				return nil
			}
			o := options()
			o.Synced = func(context.Context, event.Position) error { return forget("synced") }
			ix = open(t, d, o)
			for n := 1; n <= 10; n++ {
				ix.Add(key(uint64(n)), at(n), begin)
			}
			d.before = func(op, _ string) error { return forget(op) }
			must(t, ix.Work(t.Context()))
			held(t, ix, 1, 10, false)
			if due || ix.Covered() != 0 {
				t.Fatalf("covered %s, want nothing", ix.Covered())
			}
			must(t, ix.Work(t.Context()))
			held(t, open(t, d.kill(), options()), 1, 10, false)
		})
	}
}
