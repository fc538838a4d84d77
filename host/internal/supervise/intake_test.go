package supervise_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// intake is a host in miniature: it keeps what it is given.
type intake struct {
	// verdict answers each batch; nil: stored.
	verdict func(ctx context.Context, source event.SourceID, b *wire.Batch) (*wire.Verdict, error)
	// open refuses streams; nil: none.
	open  func(ctx context.Context, source event.SourceID) error
	token *wire.Token // nil: sessions have no tokens
	// syncs takes reports; nil: sessions take none.
	syncs func(event.SourceID, *wire.SyncReport)

	mu          sync.Mutex
	events      map[event.SourceID][]string
	checkpoints map[event.SourceID][]byte
	generations []uint64
	order       []uint64 // batch numbers as submitted
	sessions    int      // open ones
}

func newIntake() *intake {
	return &intake{events: map[event.SourceID][]string{}, checkpoints: map[event.SourceID][]byte{}}
}

func (in *intake) Open(ctx context.Context, source event.SourceID, generation uint64) (supervise.Session, error) {
	if in.open != nil {
		if err := in.open(ctx, source); err != nil {
			return nil, err
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sessions++
	in.generations = append(in.generations, generation)
	s := &session{in: in, source: source}
	if in.token != nil {
		return tokenSession{s}, nil
	}
	if in.syncs != nil {
		return syncSession{s}, nil
	}
	return s, nil
}

func (in *intake) received(source event.SourceID) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]string(nil), in.events[source]...)
}

func (in *intake) openSessions() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.sessions
}

func (in *intake) submitted() []uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]uint64(nil), in.order...)
}

func stored() *wire.Verdict {
	return &wire.Verdict{Outcome: &wire.Verdict_Stored{Stored: &wire.Stored{}}}
}

type session struct {
	in     *intake
	source event.SourceID
}

func (s *session) Checkpoint() []byte {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	return s.in.checkpoints[s.source]
}

func (s *session) Submit(_ context.Context, b *wire.Batch) (supervise.Wait, error) {
	s.in.mu.Lock()
	s.in.order = append(s.in.order, b.GetSeq())
	s.in.mu.Unlock()
	return func(ctx context.Context) (*wire.Verdict, error) {
		verdict := stored()
		if s.in.verdict != nil {
			var err error
			verdict, err = s.in.verdict(ctx, s.source, b)
			if err != nil || verdict.GetNotStored() != nil {
				return verdict, err
			}
		}
		s.in.mu.Lock()
		defer s.in.mu.Unlock()
		for _, e := range b.GetEvents() {
			s.in.events[s.source] = append(s.in.events[s.source], string(e))
		}
		if len(b.GetCheckpoint()) > 0 {
			s.in.checkpoints[s.source] = b.GetCheckpoint()
		}
		return verdict, nil
	}, nil
}

func (s *session) Close() {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.sessions--
}

type tokenSession struct{ *session }

func (s tokenSession) Token(context.Context) *wire.Token         { return s.in.token }
func (s tokenSession) TokenRejected(_ context.Context, _ string) {}

type syncSession struct{ *session }

func (s syncSession) Report(r *wire.SyncReport) { s.in.syncs(s.source, r) }

var errNotToday = errors.New("not today")

// within fails the test where a condition does not become true in time.
func within(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(time.Millisecond)
	}
}
