package deliver_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// world is a destination with a random character. It checks as it goes what
// may only be told of a send.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	poison  map[string]destination.Kind // Failed or Refused for ever
	outages []outage
	partial bool // answers for each event
	lossy   bool // sometimes takes a batch and does not say so
	began   time.Time
	failed  map[string]bool // events of a send that failed
	taken   []string
	// alone counts an event's failures alone, but the first only those with
	// something taken since the one before, when seen events had been taken.
	alone, seen map[string]int
}

// outage is a time in which everything gets one answer.
type outage struct {
	from, to time.Duration
	kind     destination.Kind
}

func newWorld(t *testing.T, seed uint64, events int) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &world{
		t: t, rng: rng, began: time.Now(), poison: map[string]destination.Kind{},
		failed: map[string]bool{}, alone: map[string]int{}, seen: map[string]int{},
		partial: rng.IntN(4) == 0, lossy: rng.IntN(4) == 0,
	}
	rate := []int{0, 1, 5, 40}[rng.IntN(4)]
	for n := range events {
		if rng.IntN(100) < rate {
			w.poison[fmt.Sprintf("m%d", n)] = []destination.Kind{destination.Failed, destination.Refused}[rng.IntN(2)]
		}
	}
	for range rng.IntN(4) {
		from := time.Duration(rng.IntN(300)) * time.Second
		length := time.Duration(rng.IntN(3600)) * time.Second
		w.outages = append(w.outages, outage{from, from + length, []destination.Kind{destination.Failed, destination.Unavailable}[rng.IntN(2)]})
	}
	return w
}

func (w *world) send(_ int, batch []destination.Event) error {
	ids := ids(batch)
	if !slices.IsSortedFunc(ids, byNumber) {
		w.t.Errorf("a batch out of order: %v", ids)
	}
	err := w.verdict(ids)
	var p destination.Partial
	partial := errors.As(err, &p)
	for i, id := range ids {
		if err == nil || partial && p[i] == nil {
			w.taken = append(w.taken, id)
		} else {
			w.failed[id] = true
		}
	}
	if last, again := w.seen[ids[0]]; len(ids) == 1 && err != nil && (!again || len(w.taken) > last) {
		w.alone[ids[0]]++
		w.seen[ids[0]] = len(w.taken)
	}
	if err == nil && w.lossy && w.rng.IntN(10) == 0 {
		for _, id := range ids {
			w.failed[id] = true
		}
		return failure(destination.Unavailable)
	}
	return err
}

func (w *world) verdict(ids []string) error {
	now := time.Since(w.began)
	for _, o := range w.outages {
		if now >= o.from && now < o.to {
			return failure(o.kind)
		}
	}
	p := destination.Partial{}
	for i, id := range ids {
		if kind, bad := w.poison[id]; bad {
			if !w.partial {
				return failure(kind)
			}
			p[i] = failure(kind)
		}
	}
	if len(p) > 0 {
		return p
	}
	return nil
}

func TestWhateverADestinationAnswersEachEventEndsWhereItShould(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkSeed(t, seed) })
		})
	}
}

func checkSeed(t *testing.T, seed uint64) {
	const events, tail = 150, 60
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, seed, events)
	d := &target{answer: w.send}
	r := newRig(t, d)
	r.options.Target = bounded{target: d, events: 1 + rng.IntN(20), bytes: 20 + rng.IntN(200)}
	r.start()
	for r.journal.events < events {
		r.journal.addEvents(min(1+rng.IntN(12), events-r.journal.events))
		pass(time.Duration(rng.IntN(3000)) * time.Millisecond)
		if rng.IntN(20) == 0 {
			r.stop()
			r.start()
		}
	}
	pass(3 * time.Hour)
	for range tail { // good ones, for the last bad ones to be compared with
		r.journal.addEvents(1)
		pass(2 * time.Minute)
	}
	pass(6 * time.Hour)
	s := r.loop.Status()
	r.stop()

	if s.LagFrames != 0 {
		t.Errorf("%d frames are not delivered: %+v", s.LagFrames, s)
	}
	taken, refused := map[string]int{}, map[string]int{}
	for _, id := range w.taken {
		taken[id]++
	}
	for _, id := range r.quarantine.ids() {
		refused[id]++
	}
	for _, id := range numbered(0, events+tail) {
		kind, bad := w.poison[id]
		switch {
		case bad && (refused[id] == 0 || taken[id] > 0):
			t.Errorf("%s, always %v, was taken %d times and refused %d times", id, kind, taken[id], refused[id])
		case !bad && (refused[id] > 0 || taken[id] == 0):
			t.Errorf("%s, a good one, was taken %d times and refused %d times", id, taken[id], refused[id])
		}
		// A failure within a Partial counts too, but is not seen alone.
		if kind == destination.Failed && bad && w.alone[id] < 9 {
			t.Errorf("%s was refused after %d failures with others passing", id, w.alone[id])
		}
	}
	w.checkOrder()
}

// checkOrder checks that no event was overtaken before a send with it had
// failed.
func (w *world) checkOrder() {
	seen := map[string]bool{}
	highest := ""
	for _, id := range w.taken {
		if seen[id] {
			continue // again, after an answer that got lost or a restart
		}
		seen[id] = true
		if highest != "" && byNumber(id, highest) < 0 && !w.failed[id] {
			w.t.Errorf("%s was overtaken by %s though no send with it had failed", id, highest)
		}
		if highest == "" || byNumber(id, highest) > 0 {
			highest = id
		}
	}
}
