package consent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// State is how a source's consent is. Its words are stable.
type State string

// States of a consent.
const (
	Granted      State = "granted"
	NeedsConsent State = "needs_consent"
	Failing      State = "failing" // there is a consent, but no access token now
	Untried      State = "untried" // of a flow without a person, until the first token
)

// Status tells how a source's consent is.
type Status struct {
	Source   event.SourceID
	Flow     Flow
	LoginURL string
	State    State
	Grant
	// Error is why there is no access token; nil: there is one.
	Error *Error
	// RetryAt is when Salesforce is asked again; zero: not by itself.
	RetryAt time.Time
}

// Status tells how a source's consent is.
func (k *Keeper) Status(source event.SourceID) (Status, error) {
	s := k.Source(source)
	if s == nil {
		return Status{}, unknown(source)
	}
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	if !loaded {
		if _, err := s.read(); err != nil {
			return Status{Source: source, Flow: s.app.settings.Auth.Flow, LoginURL: s.app.settings.loginURL(), State: Failing, Error: asError(err)}, nil
		}
	}
	return s.status(), nil
}

func (s *Source) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Source: s.name, Flow: s.app.settings.Auth.Flow, LoginURL: s.app.settings.loginURL(), State: Granted}
	g := s.grant
	if g == nil || g.Whose != s.app.settings.whose() {
		g = &grant{}
	}
	st.Grant = g.Grant
	switch missing := s.missing(); {
	case missing != nil:
		st.State, st.Error = NeedsConsent, missing
	case s.failure != nil && !s.good(g):
		st.State, st.Error, st.RetryAt = Failing, s.failure, s.retryAt
	case g.Access == "" && g.Refresh == "":
		st.State = Untried
	}
	return st
}

// Revoke ends a source's grant at Salesforce and forgets it here. A grant that
// Salesforce cannot be told of stays, unless it is void already.
func (k *Keeper) Revoke(ctx context.Context, source event.SourceID) error {
	s := k.Source(source)
	if s == nil {
		return unknown(source)
	}
	release, err := s.lease.Acquire(ctx, source)
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.save(); err != nil {
		return err
	}
	g, err := s.read()
	if err != nil {
		return err
	}
	if g == nil || g.Refresh == "" && g.Access == "" && len(g.Former) == 0 {
		return &Error{Code: CodeNeedsConsent, Message: fmt.Sprintf("source %s has no consent that could be revoked", source)}
	}
	for _, f := range g.Former {
		if err := s.app.revoke(ctx, f.InstanceURL, f.Refresh); err != nil {
			return err
		}
	}
	if token := cmp.Or(g.Refresh, g.Access); token != "" {
		if err := s.app.revoke(ctx, g.InstanceURL, token); err != nil {
			return err
		}
	}
	if err := s.store.remove(source); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.failure, s.tries, s.distrust, s.retryAt = "", nil, 0, 0, time.Time{}
	s.set(nil)
	k.Log.Info("consent revoked", "source", source, "org", g.OrgID, "user", g.UserID)
	return nil
}
