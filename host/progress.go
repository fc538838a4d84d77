package host

import "slices"

// maxHeld bounds what is remembered of one stream: the checkpoints that wait for
// an earlier batch to be sent again, and the batches that are missing. Beyond
// it the oldest checkpoint is forgotten, which loses no event: the source would
// only read a little more again. A stream that never sends missing batches
// again, as an HTTP source whose clients do that, has no checkpoint to wait.
const maxHeld = 1024

// progress decides which checkpoint of a stream may become durable: the latest
// one before which no batch is missing. It is told of batches in their order.
type progress struct {
	missing map[uint64]bool // batches that were not stored and have not come again
	gaveUp  bool            // more were missing than are remembered: no checkpoint any more
	held    []mark          // in the order of seq
}

type mark struct {
	seq        uint64
	checkpoint []byte
}

// lost notes that a batch was not stored.
func (p *progress) lost(seq uint64) {
	if p.missing == nil {
		p.missing = map[uint64]bool{}
	}
	if len(p.missing) == maxHeld {
		p.gaveUp = true
		return
	}
	p.missing[seq] = true
}

// stored notes that all of a batch is durable, and returns the checkpoint that
// may be so too; nil: none.
func (p *progress) stored(seq uint64, checkpoint []byte) []byte {
	delete(p.missing, seq)
	if len(checkpoint) > 0 {
		at, _ := slices.BinarySearchFunc(p.held, seq, func(m mark, seq uint64) int { return compare(m.seq, seq) })
		p.held = slices.Insert(p.held, at, mark{seq, checkpoint})
		if len(p.held) > maxHeld {
			p.held = slices.Delete(p.held, 0, 1)
		}
	}
	var ready []byte
	n := 0
	for _, m := range p.held {
		if p.missingBefore(m.seq) {
			break
		}
		ready = m.checkpoint
		n++
	}
	p.held = slices.Delete(p.held, 0, n)
	return ready
}

func (p *progress) missingBefore(seq uint64) bool {
	for m := range p.missing {
		if m < seq {
			return true
		}
	}
	return p.gaveUp
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
