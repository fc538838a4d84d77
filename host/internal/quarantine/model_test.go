package quarantine_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the model test; 0: another one each time")
	steps = flag.Int("steps", 300, "steps of the model test")
)

// modelEntry is what an entry should be.
type modelEntry struct {
	source    event.SourceID
	what      int // which refusal
	count     uint64
	state     quarantine.State
	id        quarantine.ID // once it was seen
	forgotten bool
}

// model is a quarantine as a slice.
type model struct {
	entries []*modelEntry // in order
	refused map[event.SourceID]uint64
}

func (m *model) open(source event.SourceID, what int) *modelEntry {
	for _, e := range m.entries {
		if e.source == source && e.what == what && e.state == quarantine.StateOpen && !e.forgotten {
			return e
		}
	}
	return nil
}

func (m *model) add(source event.SourceID, whats []int) {
	for _, w := range whats {
		e := m.open(source, w)
		if e == nil {
			e = &modelEntry{source: source, what: w}
			m.entries = append(m.entries, e)
		}
		e.count++
		m.refused[source]++
	}
}

// of returns the entries of a source that are open.
func (m *model) of(source event.SourceID) []*modelEntry {
	var out []*modelEntry
	for _, e := range m.entries {
		if e.source == source && e.state == quarantine.StateOpen && !e.forgotten {
			out = append(out, e)
		}
	}
	return out
}

// modelRefusal makes the refusal of a number: its size, name and reason too.
func modelRefusal(source event.SourceID, what int) event.Refusal {
	r := refusal(string(source), what)
	r.Claim = bytes.Replace(r.Claim, []byte("Order Completed"), fmt.Appendf(nil, "Event %d", what%7), 1)
	if what%3 > 0 {
		r.Claim = append(r.Claim, bytes.Repeat([]byte(" "), what*1000)...)
	}
	r.Size = len(r.Claim)
	r.Violations[0].Code = []string{event.CodePlan, event.CodeSchema, event.CodeUnplanned}[what%3]
	r.Violations[0].Path = fmt.Sprintf("/properties/items/%d/%d", what, what%4)
	return r
}

func TestAgainstAModel(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []option
	}{
		{"refuse", []option{maxBytes(1 << 20), spare(1536 << 10)}},
		{"drop_oldest", []option{maxBytes(1 << 20), spare(1536 << 10), dropOldest}},
		{"roomy", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *seed
			if s == 0 {
				s = uint64(time.Now().UnixNano())
			}
			t.Logf("seed %d", s)
			r := &modelRun{
				t: t, rand: rand.New(rand.NewPCG(s, 1)), disk: newDisk(), opts: c.opts,
				model: &model{refused: make(map[event.SourceID]uint64)}, dropping: c.name == "drop_oldest",
			}
			r.q = open(t, r.disk, r.opts...)
			for step := range *steps {
				r.step()
				if step%4 == 0 {
					r.check(step)
				}
			}
			for name, l := range r.disk.logs {
				first, _ := l.First(context.Background())
				t.Logf("%s: frames %d to %d, %d moved entries", name, first, l.last, l.records('m'))
			}
		})
	}
}

type modelRun struct {
	t        *testing.T
	rand     *rand.Rand
	disk     *disk
	opts     []option
	q        *quarantine.Quarantine
	model    *model
	dropping bool
}

var modelSources = []event.SourceID{"website", "shop"}

func (r *modelRun) step() {
	source := modelSources[r.rand.IntN(len(modelSources))]
	switch r.rand.IntN(12) {
	case 0:
		r.reopen()
	case 1, 2, 3:
		r.close(source)
	case 4:
		r.addFailing(source, false)
	case 5:
		r.addFailing(source, true)
	default:
		r.add(source)
	}
}

func (r *modelRun) pick() []int {
	whats := make([]int, 1+r.rand.IntN(6))
	for i := range whats {
		whats[i] = r.rand.IntN(60)
	}
	return whats
}

func refusals(source event.SourceID, whats []int) []event.Refusal {
	var out []event.Refusal
	for _, w := range whats {
		out = append(out, modelRefusal(source, w))
	}
	return out
}

func (r *modelRun) add(source event.SourceID) {
	whats := r.pick()
	if r.dropping {
		r.learn(source)
	}
	err := r.q.Add(context.Background(), refusals(source, whats))
	var full *quarantine.FullError
	switch {
	case err == nil:
		r.model.add(source, whats)
	case !errors.As(err, &full) || r.dropping:
		r.t.Fatal(err)
	}
}

// addFailing lets the log fail, with what was appended stored or not. The next
// Add that succeeds makes what was stored durable.
func (r *modelRun) addFailing(source event.SourceID, stored bool) {
	l := r.disk.logs[source]
	if l == nil || r.dropping {
		return
	}
	whats, disk := r.pick(), errors.New("no answer")
	called := false
	l.failWith(func(records [][]byte) error {
		called = slices.ContainsFunc(records, func(b []byte) bool { return b[0] == 'e' || b[0] == 'r' })
		return disk
	}, stored)
	err := r.q.Add(context.Background(), refusals(source, whats))
	l.failWith(nil, false)
	var full *quarantine.FullError
	switch {
	case errors.As(err, &full):
		return
	case !errors.Is(err, disk):
		r.t.Fatalf("error is %v", err)
	case stored && called:
		r.model.add(source, whats)
	}
	if r.q.Add(context.Background(), refusals(source, []int{61})) == nil {
		r.model.add(source, []int{61})
	} else {
		r.reopen()
	}
}

func (r *modelRun) close(source event.SourceID) {
	r.learn(source)
	open := r.model.of(source)
	r.rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	open = open[:r.rand.IntN(len(open)+1)]
	if r.rand.IntN(3) > 0 {
		open = open[:min(len(open), 3)]
	}
	var ids []quarantine.ID
	state := quarantine.State(1 + r.rand.IntN(3))
	for _, e := range open {
		ids = append(ids, e.id)
		e.state = state
	}
	n, err := r.q.SetState(context.Background(), ids, state, "model")
	if err != nil || n != len(ids) {
		r.t.Fatalf("%d of %d closed, %v", n, len(ids), err)
	}
}

// learn takes the ids of new entries, and what was dropped, into the model.
func (r *modelRun) learn(source event.SourceID) {
	got := list(r.t, r.q, quarantine.Filter{Source: source, OldestFirst: true})
	if r.dropping {
		r.forget(source, len(got))
	}
	for i, e := range r.model.of(source) {
		if e.id == (quarantine.ID{}) && i < len(got) {
			e.id = got[i].ID
		}
	}
}

func (r *modelRun) reopen() {
	r.disk = r.disk.copy()
	opts := slices.Clone(r.opts)
	if r.rand.IntN(2) == 0 {
		opts = append(opts, noCache)
	} else {
		stop(r.t, r.q)
	}
	r.q = open(r.t, r.disk, opts...)
}

func (r *modelRun) check(step int) {
	for _, source := range modelSources {
		r.learn(source)
		got := list(r.t, r.q, quarantine.Filter{Source: source, OldestFirst: true})
		want := r.model.of(source)
		if len(got) != len(want) {
			r.t.Fatalf("step %d: %s has %d entries, want %d", step, source, len(got), len(want))
		}
		var count uint64
		for i, e := range got {
			w := want[i]
			if e.ID != w.id || e.Count != w.count || e.MessageID != fmt.Sprint("m", w.what) || e.State != quarantine.StateOpen {
				r.t.Fatalf("step %d: entry %d of %s is %s %s %d %s, want %+v", step, i, source, e.ID, e.MessageID, e.Count, e.State, *w)
			}
			count += w.count
		}
		for _, s := range r.q.Status() {
			if s.Source == source && (s.Entries != len(want) || s.Count != count || s.Damaged != 0) {
				r.t.Fatalf("step %d: status is %+v, want %d entries, %d refused", step, s, len(want), count)
			}
		}
	}
	r.checkClosed(step)
	r.checkFiltered(step)
	r.checkPages(step)
}

// forget takes from the model what was dropped: all but the newest n.
func (r *modelRun) forget(source event.SourceID, n int) {
	open := r.model.of(source)
	for _, e := range open[:max(0, len(open)-n)] {
		e.forgotten = true
	}
}

func (r *modelRun) checkClosed(step int) {
	for e, err := range r.q.List(context.Background(), quarantine.Filter{State: quarantine.AnyState}) {
		if err != nil {
			r.t.Fatal(err)
		}
		ok := slices.ContainsFunc(r.model.entries, func(w *modelEntry) bool {
			return w.id == e.ID && w.state == e.State && (w.count == e.Count || w.state != quarantine.StateOpen)
		})
		if !ok {
			r.t.Fatalf("step %d: %s is listed as %s, refused %d times", step, e.ID, e.State, e.Count)
		}
	}
}

// checkFiltered compares a filtered listing and the groups with the whole.
func (r *modelRun) checkFiltered(step int) {
	f := quarantine.Filter{
		Code:  []string{"", event.CodePlan, event.CodeSchema}[r.rand.IntN(3)],
		Event: []string{"", "Event 1", "Event 5", "none"}[r.rand.IntN(4)],
	}
	var since time.Time
	all := list(r.t, r.q, quarantine.Filter{})
	if len(all) > 0 && r.rand.IntN(2) == 0 {
		since = all[r.rand.IntN(len(all))].LastSeen
	}
	f.Since = since
	var want []quarantine.Entry
	var count uint64
	for _, e := range all {
		if (f.Code == "" || e.Violations[0].Code == f.Code) && (f.Event == "" || e.Event == f.Event) && !e.LastSeen.Before(since) {
			want = append(want, e)
			count += e.Count
		}
	}
	if got := list(r.t, r.q, f); !slices.Equal(messageIDs(got), messageIDs(want)) {
		r.t.Fatalf("step %d: %+v lists %v, want %v", step, f, messageIDs(got), messageIDs(want))
	}
	entries := 0
	for _, g := range groups(r.t, r.q, f) {
		entries += g.Entries
		count -= g.Count
		if f.Code != "" && g.Code != f.Code || f.Event != "" && g.Event != f.Event || g.Last.Before(since) {
			r.t.Fatalf("step %d: %+v gives group %+v", step, f, g)
		}
	}
	if entries != len(want) || count != 0 {
		r.t.Fatalf("step %d: the groups of %+v have %d entries, want %d, and %d refusals too few", step, f, entries, len(want), int64(count))
	}
}

// checkPages reads a listing page by page.
func (r *modelRun) checkPages(step int) {
	f := quarantine.Filter{OldestFirst: r.rand.IntN(2) == 0, State: quarantine.AnyState}
	want := list(r.t, r.q, f)
	f.Limit = 1 + r.rand.IntN(40)
	var got []quarantine.Entry
	for {
		page := list(r.t, r.q, f)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		f.After = page[len(page)-1].Cursor()
	}
	if !slices.EqualFunc(got, want, func(a, b quarantine.Entry) bool { return a.ID == b.ID }) {
		r.t.Fatalf("step %d: pages of %d give %d entries, want %d", step, f.Limit, len(got), len(want))
	}
	for i := 1; i < len(want); i++ {
		if d := want[i].FirstSeen.Compare(want[i-1].FirstSeen); f.OldestFirst && d < 0 || !f.OldestFirst && d > 0 {
			r.t.Fatalf("step %d: %s is out of order", step, want[i].ID)
		}
	}
}
