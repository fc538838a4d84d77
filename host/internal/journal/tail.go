package journal

import (
	"cmp"
	"slices"
	"sync"
)

// tail holds the newest committed frames in memory, in order and without a gap,
// up to a bound in bytes, for readers that keep up.
type tail struct {
	max int // 0: no frame is held; who waits is woken all the same

	mu     sync.RWMutex
	frames []*Frame
	bytes  int
	grown  chan struct{} // closed at the next add or clear
}

func newTail(max int) *tail { return &tail{max: max, grown: make(chan struct{})} }

// add appends a committed frame and wakes those who wait for it.
func (t *tail) add(f *Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.max > 0 {
		t.frames = append(t.frames, f)
		t.bytes += f.size
	}
	drop := 0
	for t.bytes > t.max && drop < len(t.frames)-1 {
		t.bytes -= t.frames[drop].size
		t.frames[drop] = nil
		drop++
	}
	t.frames = t.frames[drop:]
	t.wake()
}

// get returns the first frame at or after seq, where the tail reaches back to
// seq; otherwise nil and the channel that closes when the tail has changed.
func (t *tail) get(seq uint64) (*Frame, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.frames) == 0 || seq < t.frames[0].seq {
		return nil, t.grown
	}
	i, _ := slices.BinarySearchFunc(t.frames, seq, func(f *Frame, seq uint64) int { return cmp.Compare(f.seq, seq) })
	if i == len(t.frames) {
		return nil, t.grown
	}
	return t.frames[i], nil
}

// clear forgets all frames and wakes those who wait.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames, t.bytes = nil, 0
	t.wake()
}

func (t *tail) wake() {
	close(t.grown)
	t.grown = make(chan struct{})
}
