package quarantine_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// large is a refusal of about 80 KiB.
func large(source string, n int) event.Refusal {
	r := refusal(source, n)
	r.Claim = append(bytes.TrimSuffix(r.Claim, []byte("}")), `,"x":"`...)
	r.Claim = append(append(r.Claim, bytes.Repeat([]byte("0123456789"), 8<<10)...), `"}`...)
	r.Size = len(r.Claim)
	return r
}

// The log of a source is a ring. Whatever pushes through it, an open entry stays where it is listed, under its id, with its count.
func TestOpenEntriesOutliveTheRing(t *testing.T) {
	d := newDisk()
	ring := []option{maxBytes(1 << 20), spare(3 << 20)}
	q := open(t, d, ring...)
	for i := range 200 {
		add(t, q, refusal("website", i))
		if i%3 == 0 {
			add(t, q, refusal("website", i))
		}
	}
	all := list(t, q, quarantine.Filter{OldestFirst: true})
	setState(t, q, quarantine.StateDropped, all[10:150]...)
	want := append(slices.Clone(all[:10]), all[150:]...)

	for i := range 200 { // 16 MB
		add(t, q, large("website", 1000+i))
		got := list(t, q, quarantine.Filter{Limit: 1})
		setState(t, q, quarantine.StateDropped, got...)
	}
	add(t, q, refusal("website", 5))
	want[5].Count++
	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy(), ring...), open(t, d.copy(), append(ring, noCache)...)} {
		got := list(t, q, quarantine.Filter{OldestFirst: true})
		if len(got) == len(want) {
			want[5].LastSeen = got[5].LastSeen
		}
		for i := range min(len(got), len(want)) {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("entry %d is %+v, want %+v", i, got[i], want[i])
				break
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d: %v", len(got), len(want), messageIDs(got))
		}
		if e, err := q.Show(context.Background(), want[20].ID); err != nil || !reflect.DeepEqual(e, want[20]) {
			t.Errorf("shown is %+v, %v", e, err)
		}
		if s := status(t, q, "website"); s.Entries != len(want) || s.Expired != 0 || s.Dropped != 0 {
			t.Errorf("status is %+v", s)
		}
	}
	first, _ := d.log("website").First(context.Background())
	if first < 100 || d.log("website").records('m') == 0 {
		t.Errorf("nothing was pushed out: the first frame is %d", first)
	}
	reversed := list(t, q, quarantine.Filter{})
	slices.Reverse(reversed)
	if !slices.Equal(messageIDs(reversed), messageIDs(want)) {
		t.Errorf("newest first is %v", messageIDs(reversed))
	}
}

// An event that a client sends again and again must not fill the quarantine
// with its repeats.
func TestRepeatsWithoutEndFillNothing(t *testing.T) {
	d := newDisk()
	q := open(t, d, maxBytes(limit), spare(1<<20))
	for i := range 20 {
		add(t, q, refusal("website", i))
	}
	var burst []event.Refusal
	for i := range 20 {
		burst = append(burst, refusal("website", i))
	}
	const rounds = 4000 // of about 600 bytes
	for range rounds {
		add(t, q, burst...)
	}
	if s := status(t, q, "website"); s.Entries != 20 || s.Count != 20*(rounds+1) || s.Full {
		t.Errorf("status is %+v", s)
	}
	for _, e := range list(t, open(t, d.copy(), maxBytes(limit), spare(1<<20), noCache), quarantine.Filter{}) {
		if e.Count != rounds+1 {
			t.Errorf("%s was refused %d times, want %d", e.ID, e.Count, rounds+1)
		}
	}
	if d.log("website").records('m') == 0 {
		t.Error("the ring was never full")
	}
}

// A crash in the middle of a move leaves the entries where they were.
func TestCrashInTheMiddleOfAMove(t *testing.T) {
	d := newDisk()
	ring := []option{maxBytes(2 << 20), spare(3 << 20)}
	q := open(t, d, ring...)
	for i := range 15 {
		add(t, q, large("website", i))
	}
	var want []string
	for i := range 15 {
		want = append(want, fmt.Sprint("m", i))
	}
	var crashes []*disk
	moving := false
	d.logs["website"].failWith(func(records [][]byte) error {
		// The records of a move come in several appends: copy what is there
		// between them.
		if now := records[0][0] == 'm' || records[0][0] == 'v'; now || moving {
			crashes = append(crashes, d.copy())
			moving = now
		}
		return nil
	}, false)
	for i := range 60 {
		add(t, q, large("website", 100+i))
		setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Limit: 1})...)
	}
	if len(crashes) < 10 {
		t.Fatalf("%d moments in moves", len(crashes))
	}
	for i, crash := range crashes[:min(len(crashes), 20)] {
		for _, opts := range [][]option{ring, append(ring, noCache)} {
			q := open(t, crash.copy(), opts...)
			got := messageIDs(list(t, q, quarantine.Filter{OldestFirst: true}))
			if !slices.Equal(got[:15], want) {
				t.Fatalf("after crash %d of %d: %v", i, len(crashes), got)
			}
			add(t, q, refusal("website", 1), large("website", 3))
			if n := len(list(t, q, quarantine.Filter{})); n != len(got)+1 {
				t.Fatalf("after crash %d: %d entries, want %d", i, n, len(got)+1)
			}
		}
	}
}
