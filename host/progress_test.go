package host

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestACheckpointWaitsForTheBatchesBeforeIt(t *testing.T) {
	var p progress
	step := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("checkpoint %q may become durable, want %q", got, want)
		}
	}
	step(p.stored(1, []byte("one")), "one")
	p.lost(2)
	step(p.stored(3, []byte("three")), "")
	p.lost(4)
	step(p.stored(5, []byte("five")), "")
	step(p.stored(2, []byte("two")), "three")
	step(p.stored(6, nil), "")
	step(p.stored(4, nil), "five")
	step(p.stored(7, []byte("seven")), "seven")
}

// However batches are lost and sent again, a durable checkpoint never has a
// batch before it that is not stored, and at the end it is the last one.
func TestCheckpointsNeverOvertakeALostBatch(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var p progress
		stored := map[uint64]bool{}
		var lost []uint64
		next, durable := uint64(1), uint64(0)
		try := func(seq uint64) {
			if r.IntN(3) == 0 {
				p.lost(seq)
				lost = append(lost, seq)
				return
			}
			stored[seq] = true
			if cp := p.stored(seq, []byte(fmt.Sprint(seq))); cp != nil {
				_, _ = fmt.Sscan(string(cp), &durable)
				for s := uint64(1); s <= durable; s++ {
					if !stored[s] {
						t.Fatalf("checkpoint %d became durable without batch %d", durable, s)
					}
				}
			}
		}
		for next <= 60 || len(lost) > 0 {
			if len(lost) > 0 && (next > 60 || r.IntN(2) == 0) {
				i := r.IntN(len(lost))
				seq := lost[i]
				lost = append(lost[:i], lost[i+1:]...)
				try(seq)
				continue
			}
			try(next)
			next++
		}
		if durable != 60 {
			t.Fatalf("at the end checkpoint %d is durable, want 60", durable)
		}
	}
}
