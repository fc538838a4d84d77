package journal

import (
	"context"
	"fmt"
	"sync"
)

// queue holds what was appended and is not yet durable, bounded in bytes. Who
// finds it full waits in order.
type queue[T any] struct {
	max int

	mu      sync.Mutex
	bytes   int // of what was put and not yet released
	pending []T
	waiting []*waiter[T]
	closed  error         // why nothing may be put; nil: open
	filled  chan struct{} // has a value while pending may not be empty
}

type waiter[T any] struct {
	item   T
	size   int
	result chan error
}

func newQueue[T any](max int) *queue[T] {
	return &queue[T]{max: max, filled: make(chan struct{}, 1)}
}

// put queues an item, waiting for room until ctx ends. An item larger than the
// whole queue passes when nothing else is in it.
func (q *queue[T]) put(ctx context.Context, item T, size int) error {
	q.mu.Lock()
	if err := q.closed; err != nil {
		q.mu.Unlock()
		return err
	}
	if len(q.waiting) == 0 && q.fits(size) {
		q.admit(item, size)
		q.mu.Unlock()
		return nil
	}
	w := &waiter[T]{item, size, make(chan error, 1)}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()

	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return q.giveUp(ctx, w)
	}
}

// giveUp takes a waiter out of the line. Where its turn has just come, it has
// been put after all.
func (q *queue[T]) giveUp(ctx context.Context, w *waiter[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting {
		if other == w {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.admitWaiting() // the next may be small enough
			return fmt.Errorf("waiting for room in the journal's queue: %w", context.Cause(ctx))
		}
	}
	return <-w.result
}

func (q *queue[T]) fits(size int) bool { return q.bytes == 0 || q.bytes+size <= q.max }

func (q *queue[T]) admit(item T, size int) {
	q.bytes += size
	q.pending = append(q.pending, item)
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

func (q *queue[T]) admitWaiting() {
	for len(q.waiting) > 0 && q.fits(q.waiting[0].size) {
		w := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.admit(w.item, w.size)
		w.result <- nil
	}
}

// take removes and returns what is pending. Its bytes count until release.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.pending
	q.pending = nil
	return items
}

// release makes room for size bytes that were taken.
func (q *queue[T]) release(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= size
	q.admitWaiting()
}

// gate refuses everything from now on, and everyone who waits, with err; nil
// takes items again. What is pending stays.
func (q *queue[T]) gate(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = err
	if err == nil {
		return
	}
	for _, w := range q.waiting {
		w.result <- err
	}
	q.waiting = nil
}

// size is how many bytes were put and not yet released.
func (q *queue[T]) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
