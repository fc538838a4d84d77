package journal

import "sync"

// tail holds the latest committed frames in memory, whole and without a gap,
// up to a bound in bytes, for readers that keep up. Frames are large beside
// their number, so a slice serves as the ring.
type tail struct {
	max int

	mu     sync.RWMutex
	frames []*Frame
	bytes  int
	grown  chan struct{} // closed at the next add
}

func newTail(max int) *tail { return &tail{max: max, grown: make(chan struct{})} }

// add appends a committed frame and wakes those who wait for it.
func (t *tail) add(f *Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames = append(t.frames, f)
	t.bytes += f.size
	drop := 0
	for t.bytes > t.max && drop < len(t.frames)-1 {
		t.bytes -= t.frames[drop].size
		t.frames[drop] = nil
		drop++
	}
	t.frames = t.frames[drop:]
	close(t.grown)
	t.grown = make(chan struct{})
}

// get returns the first frame at or after seq, where the tail reaches back to
// seq; otherwise nil and the channel that closes when the tail grows.
func (t *tail) get(seq uint64) (*Frame, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.frames) == 0 || seq < t.frames[0].Seq {
		return nil, t.grown
	}
	lo, hi := 0, len(t.frames)
	for lo < hi {
		if mid := (lo + hi) / 2; t.frames[mid].Seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(t.frames) {
		return t.frames[lo], nil
	}
	return nil, t.grown
}

// clear forgets all frames.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames, t.bytes = nil, 0
}
