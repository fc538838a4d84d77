package supervise_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// consents is an intake whose sources need consent.
type consents struct {
	*intake
	mu      sync.Mutex
	granted bool
	changed chan struct{}
}

func (c *consents) Consented(event.SourceID) (bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.granted, c.changed
}

func (c *consents) set(granted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.granted = granted
	close(c.changed)
	c.changed = make(chan struct{})
}

func TestASourceWithoutConsentWaitsAndDoesNotLoop(t *testing.T) {
	in, logs := newIntake(), &buffer{}
	in.token = &wire.Token{AccessToken: "t"}
	c := &consents{intake: in, changed: make(chan struct{})}
	without := source("a", fakeConfig{Token: true})
	spec := fakeSpec(t, "consent", supervise.SourceSpec{
		ID: "a", Config: source("a", fakeConfig{Fail: "it has auth"}).Config, WithoutAuth: without.Config,
	})
	o := options(t, in, logs, spec)
	o.Intake = c
	r := startWith(t, in, logs, o)
	s := r.await("needs consent", func(s supervise.Status) bool {
		return s.State == supervise.Running && s.Sources[0].State == supervise.NeedsConsent
	})
	in.mu.Lock()
	opened := len(in.generations)
	in.mu.Unlock()
	if opened != 0 || s.Sources[0].Restarts != 0 || s.Sources[0].Error != nil {
		t.Errorf("%d streams, %+v", opened, s.Sources[0])
	}

	c.set(true)
	s = r.await("the token", func(s supervise.Status) bool {
		return s.Sources[0].State == supervise.Running && len(s.Sources[0].Problems) == 1
	})
	if got := s.Sources[0].Problems[0].Message; got != "t" || s.Sources[0].Restarts != 0 {
		t.Errorf("hears %q, %+v", got, s.Sources[0])
	}
	if n := strings.Count(logs.String(), "waits for a person to grant access"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}
