package consent

import (
	"context"
	"sync"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Lease lets one at a time change a source's grant: a refresh token that rotates
// is good once. Whoever acquires it reads the grant again, as another may have
// changed it. Hosts that share their grants share a Lease.
type Lease interface {
	// Acquire waits for the source's lease until ctx ends. The holder calls
	// release.
	Acquire(ctx context.Context, source event.SourceID) (release func(), err error)
}

// localLease is that of one process, to which its data_dir belongs.
type localLease struct {
	mu   sync.Mutex
	held map[event.SourceID]chan struct{}
}

func newLocalLease() *localLease { return &localLease{held: map[event.SourceID]chan struct{}{}} }

// Acquire implements Lease.
func (l *localLease) Acquire(ctx context.Context, source event.SourceID) (func(), error) {
	l.mu.Lock()
	held := l.held[source]
	if held == nil {
		held = make(chan struct{}, 1)
		l.held[source] = held
	}
	l.mu.Unlock()
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
