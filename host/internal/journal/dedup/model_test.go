package dedup_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

var seedFlag = flag.Uint64("seed", 0, "of the tests that draw; 0: a new one each time")

// newSeed returns the seed to draw with, and prints it.
func newSeed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return seed
}

// journal is what the index is to agree with: a list of events.
type journal struct {
	events []logged
	synced int // how many of them a power cut leaves
}

type logged struct {
	key dedup.Key
	pos event.Position
	at  time.Time
}

func (j *journal) sync(_ context.Context, upTo event.Position) error {
	for j.synced < len(j.events) && j.events[j.synced].pos <= upTo {
		j.synced++
	}
	return nil
}

func (j *journal) end() event.Position {
	if len(j.events) == 0 {
		return 0
	}
	return j.events[len(j.events)-1].pos
}

// model drives an index and a journal, and compares them.
type model struct {
	*testing.T
	r       *rand.Rand
	o       dedup.Options
	disk    *memDisk
	journal journal
	ix      *dedup.Index
	at      time.Time // the caller's clock
	ticks   time.Time // Run's
	next    uint64    // the next new key
	cut     []dedup.Key
	failing bool
}

func newModel(t *testing.T, r *rand.Rand) *model {
	m := &model{T: t, r: r, disk: newMemDisk(), at: begin, ticks: time.Unix(0, 0)}
	m.o = dedup.Options{Window: 24 * time.Hour, MaxIDs: 16 * 1000, Synced: m.journal.sync}.WithTable(100)
	m.open()
	return m
}

func (m *model) open() {
	m.Helper()
	ix, err := dedup.OpenOn(m.disk, m.o)
	if err != nil {
		m.Fatalf("open: %v", err)
	}
	m.ix = ix
	m.disk.before = func(op, _ string) error {
		if m.failing && op != "read" && m.r.IntN(3) == 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := ix.Forget(m.journal.end()); err != nil {
		m.Fatalf("forget: %v", err)
	}
	for _, e := range m.journal.events {
		if e.pos > ix.Covered() && !m.put(e) {
			m.Fatal("there is no room on a disk that works")
		}
	}
}

// put adds an event as the committer does. It reports false where there is no
// room for it.
func (m *model) put(e logged) bool {
	m.Helper()
	ctx, cancel := context.WithCancel(m.Context())
	cancel()
	if m.ix.Reserve(ctx, 1) != nil {
		m.work()
		if m.ix.Reserve(ctx, 1) != nil {
			return false
		}
	}
	if _, ok := m.ix.Has(e.key); !ok {
		m.ix.Add(e.key, e.pos, e.at)
	}
	return true
}

func (m *model) work() {
	if err := m.ix.Work(m.Context()); err != nil && !m.failing {
		m.Fatalf("work: %v", err)
	}
}

func (m *model) add(n int) {
	frame := m.journal.end().Frame() + 1
	for i := range n {
		m.at = m.at.Add(time.Duration(m.r.IntN(5000)) * time.Millisecond)
		e := logged{key(m.next), event.At(frame, i), m.at}
		m.next++
		if _, ok := m.ix.Has(e.key); ok {
			m.Fatalf("id %d is new and counts as held", m.next-1)
		}
		m.journal.events = append(m.journal.events, e)
		if !m.put(e) { // its intake is closed
			m.journal.events = m.journal.events[:len(m.journal.events)-1]
			return
		}
	}
}

// check compares what the index says of every so many events with the journal.
func (m *model) check(stride int) {
	m.Helper()
	m.ix.Tick(m.ticks)
	now := time.Time{}
	if n := len(m.journal.events); n > 0 {
		now = m.journal.events[n-1].at
	}
	st := m.ix.Stats()
	if st.IDs > m.o.MaxIDs {
		m.Fatalf("%d ids are held, want at most %d", st.IDs, m.o.MaxIDs)
	}
	for i := m.r.IntN(stride); i < len(m.journal.events); i += stride {
		e := m.journal.events[i]
		pos, ok := m.ix.Has(e.key)
		age := now.Sub(e.at)
		recent := age <= m.o.Window && len(m.journal.events)-i <= sure(m.ix, m.o)
		switch {
		case ok && pos != e.pos:
			m.Fatalf("event %d is said to be at %s, want %s", i, pos, e.pos)
		case !ok && recent:
			m.Fatalf("event %d of %d, %s old, at %s is not held; covered %s", i, len(m.journal.events), age, e.pos, st.Covered)
		case ok && age > m.o.Window+m.o.Window/16+m.o.Window/24:
			m.Fatalf("event %d is held at the age of %s", i, age)
		}
	}
	for _, k := range m.cut {
		if pos, ok := m.ix.Has(k); ok {
			m.Fatalf("an event that the journal lost is held at %s", pos)
		}
	}
}

// crash loses what a kill or a power cut can lose, and starts again.
func (m *model) crash() {
	if m.r.IntN(2) == 0 {
		m.disk = m.disk.kill()
	} else {
		m.disk = m.disk.cutPower(m.r)
		keep := m.journal.synced + m.r.IntN(len(m.journal.events)-m.journal.synced+1)
		for _, e := range m.journal.events[keep:] {
			m.cut = append(m.cut, e.key)
		}
		m.journal.events = m.journal.events[:keep]
		m.journal.synced = keep
	}
	m.failing = false
	m.open()
}

func (m *model) step() string {
	switch n := m.r.IntN(100); {
	case n < 55:
		ids := m.r.IntN(400)
		m.add(ids)
		return fmt.Sprintf("add %d", ids)
	case n < 85:
		m.work()
		return "work"
	case n < 88:
		d := time.Duration(m.r.IntN(50)) * time.Minute
		m.at = m.at.Add(d)
		return fmt.Sprintf("wait %s", d)
	case n < 92:
		m.failing = !m.failing
		return fmt.Sprintf("failing %t", m.failing)
	case n < 95:
		if err := m.ix.Close(); err != nil {
			m.Fatal(err)
		}
		m.failing = false
		m.open()
		return "reopen"
	}
	m.crash()
	return "crash"
}

func TestAgreesWithTheJournalWhateverHappens(t *testing.T) {
	first := newSeed(t)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for i := range uint64(rounds) {
		t.Run(fmt.Sprintf("seed=%d", first+i), func(t *testing.T) {
			m := newModel(t, rand.New(rand.NewPCG(first+i, 0)))
			for range 300 {
				what := m.step()
				if m.r.IntN(8) == 0 {
					m.check(10)
				}
				if testing.Verbose() {
					st := m.ix.Stats()
					t.Logf("%s: %d events, %d ids in %d slices, covered %s", what, len(m.journal.events), st.IDs, st.Slices, st.Covered)
				}
			}
			m.check(1)
		})
	}
}
