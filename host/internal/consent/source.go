package consent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Token is an access token and where it is good.
type Token struct {
	Access      string
	InstanceURL string
}

const (
	backoffMin = time.Second
	backoffMax = 10 * time.Minute
	// young is how long an access token should last at least. One that is refused
	// before makes the next wait, or a service that refuses all of them would be
	// asked for ever.
	young = time.Minute
)

// Source gives the access tokens of one source. Its methods may be called from
// any goroutine.
type Source struct {
	name    event.SourceID
	app     *app
	version string // of the settings
	store   *store
	lease   Lease
	log     *slog.Logger

	mu sync.Mutex
	// grant is what was read or written last; nil: nothing was read, or there is
	// none.
	grant  *grant
	loaded bool
	// unsaved came from Salesforce and could not be written. The refresh token
	// before it may be void, so it is kept until it is on disk, and used only then.
	unsaved *grant
	refused string // access token that the service does not take
	flight  *flight
	// failure is why the last try to get a token failed; nil: it did not.
	failure  *Error
	tries    int       // that failed, in a row
	distrust int       // access tokens that were refused while young, in a row
	retryAt  time.Time // before which Salesforce is not asked
	changed  chan struct{}
	closed   bool
	work     sync.WaitGroup
}

// flight is a refresh that several wait for.
type flight struct {
	done  chan struct{}
	token Token
	err   *Error
}

// Token returns an access token. It is good as far as is known: Salesforce does
// not tell how long. The error is an *Error, or that of ctx; a refresh goes on
// after ctx has ended, for what it brings must not be lost.
func (s *Source) Token(ctx context.Context) (Token, error) {
	s.mu.Lock()
	if token, err, known := s.known(); known {
		s.mu.Unlock()
		if err != nil {
			return Token{}, err
		}
		return token, nil
	}
	f := s.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.flight = f
		s.work.Go(func() { s.fly(f) })
	}
	s.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
	if f.err != nil {
		return Token{}, f.err
	}
	return f.token, nil
}

// known returns what can be said without asking anyone.
func (s *Source) known() (Token, *Error, bool) {
	switch {
	case s.closed:
		return Token{}, &Error{Code: CodeUnavailable, Message: "the host stops"}, true
	case s.unsaved == nil && !s.loaded:
		return Token{}, nil, false
	case s.unsaved == nil && s.missing() != nil:
		return Token{}, s.missing(), true
	case s.unsaved == nil && s.good(s.grant):
		return Token{s.grant.Access, s.grant.InstanceURL}, nil, true
	case s.failure != nil && time.Now().Before(s.retryAt):
		return Token{}, s.failure, true
	}
	return Token{}, nil, false
}

// missing is the error of a source that a person has to see to; nil: none.
func (s *Source) missing() *Error {
	g := s.grant
	switch {
	case g != nil && g.Refused != nil && g.Version == s.version:
		return g.Refused
	case s.app.settings.Auth.Flow != Web:
		return nil
	case g != nil && g.Refresh != "" && g.Whose != s.app.settings.whose():
		return &Error{Code: CodeNeedsConsent, Final: true, Message: "access was granted to another client_id, or at another login_url, than the config has now",
			Hint: fmt.Sprintf("run: wellhead connect %s", s.name)}
	case g == nil || g.Refresh == "":
		return needsConsent(s.name)
	}
	return nil
}

// good reports whether there is an access token that may be used.
func (s *Source) good(g *grant) bool {
	return g != nil && g.Access != "" && g.Access != s.refused && g.Whose == s.app.settings.whose()
}

// Rejected tells that the service did not take an access token. The next Token
// is another one.
func (s *Source) Rejected(access string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if access == "" || s.grant == nil || access != s.grant.Access || access == s.refused {
		return // not the token that is given out now
	}
	s.refused = access
	if time.Since(s.grant.Renewed) >= young {
		s.distrust = 0
		return
	}
	s.tries = s.distrust // the refreshes between did succeed
	s.postpone(tokenRefused())
	s.distrust = s.tries
}

func tokenRefused() *Error {
	return &Error{Code: CodeTokenRefused, Message: "the API refuses an access token that Salesforce has just issued",
		Hint: "see whether the user may use the API: API Enabled in Setup > Profiles > the user's profile"}
}

// postpone lets Salesforce alone for a while.
func (s *Source) postpone(e *Error) {
	wait := min(backoffMin<<min(s.tries, 20), backoffMax)
	if e.Code == CodeLoginRate {
		wait = max(wait, time.Minute)
	}
	wait = wait/2 + rand.N(wait/2+1)
	s.tries++
	e.At = time.Now().UTC().Truncate(time.Second)
	s.failure, s.retryAt = e, time.Now().Add(wait)
	s.log.Warn("no access token", "source", s.name, "code", e.Code, "error", e.Message, "hint", e.Hint, "retry_in", wait.Round(time.Millisecond))
}

// flightTimeout bounds one refresh, with the waits for its lease and for names.
const flightTimeout = 2 * time.Minute

// fly does one refresh and tells those who wait.
func (s *Source) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), flightTimeout)
	defer cancel()
	g, err := s.refresh(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	defer close(f.done)
	switch {
	case err == nil && g.Access == s.refused:
		err = tokenRefused()
	case err == nil:
		f.token = Token{g.Access, g.InstanceURL}
		s.failure, s.tries = nil, 0
		return
	}
	if !errors.As(err, &f.err) {
		f.err = &Error{Code: CodeUnavailable, Message: "the refresh of the access token did not end in time", Err: err}
	}
	if !f.err.Final {
		s.postpone(f.err)
	}
}

// refresh returns a grant whose access token may be used: it is on disk.
func (s *Source) refresh(ctx context.Context) (*grant, error) {
	release, err := s.lease.Acquire(ctx, s.name)
	if err != nil {
		return nil, err
	}
	defer release()
	if g, err := s.save(); g != nil || err != nil {
		return g, err
	}
	have, err := s.read()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	missing, good := s.missing(), s.good(have)
	s.mu.Unlock()
	switch {
	case missing != nil:
		return nil, missing
	case good: // another host has refreshed it
		return have, nil
	case have == nil || have.Whose != s.app.settings.whose():
		other := have
		have = &grant{}
		have.replaces(other)
	}
	fresh, err := s.app.renew(ctx, have.Refresh)
	if err != nil {
		return nil, s.take(have, err)
	}
	s.keepNames(ctx, have, fresh)
	fresh.Former = have.Former
	s.mu.Lock()
	s.unsaved = fresh
	s.mu.Unlock()
	g, err := s.save()
	if err != nil {
		return nil, err
	}
	return s.retire(ctx, g), nil
}

// retireWithin bounds the revoking of what other grants have taken the place of.
const retireWithin = 10 * time.Second

// retire revokes the grants whose place one has taken, which is on disk. What
// cannot be revoked now is tried again with the next refresh. The caller has the
// lease.
func (s *Source) retire(ctx context.Context, g *grant) *grant {
	if len(g.Former) == 0 {
		return g
	}
	ctx, cancel := context.WithTimeout(ctx, retireWithin)
	defer cancel()
	next := *g
	next.Former = slices.DeleteFunc(slices.Clone(g.Former), func(f former) bool {
		err := s.app.revoke(ctx, f.InstanceURL, f.Refresh)
		if err != nil {
			s.log.Warn("an earlier consent is not revoked yet", "source", s.name, "instance_url", f.InstanceURL, "error", err,
				"hint", "it is tried again with the next refresh; by hand: Setup > Connected Apps OAuth Usage")
		}
		return err == nil
	})
	if len(next.Former) == len(g.Former) {
		return g
	}
	if err := s.store.put(s.name, &next); err != nil {
		s.log.Warn("that an earlier consent is revoked cannot be written", "source", s.name, "error", err)
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(&next)
	return &next
}

// save writes what Salesforce has given, and lets it be used. It returns nil
// where there is nothing to write.
func (s *Source) save() (*grant, error) {
	s.mu.Lock()
	g := s.unsaved
	s.mu.Unlock()
	if g == nil {
		return nil, nil
	}
	if err := s.store.put(s.name, g); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved = nil
	s.set(g)
	return g, nil
}

// read reads the grant again.
func (s *Source) read() (*grant, error) {
	g, err := s.store.get(s.name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(g)
	return g, nil
}

// set takes over a grant, and wakes those who wait for one. The caller holds mu.
func (s *Source) set(g *grant) {
	before := s.loaded && s.missing() == nil
	s.grant, s.loaded = g, true
	if now := s.missing() == nil; now != before {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// take remembers a refusal that only a person can mend, so that Salesforce is
// not asked again, also by the next host.
func (s *Source) take(have *grant, err error) error {
	var e *Error
	if !errors.As(err, &e) || !e.Final {
		return err
	}
	e.At = time.Now().UTC().Truncate(time.Second)
	refused := *have
	refused.Refused, refused.Version, refused.Access = e, s.version, ""
	if refused.Whose == "" {
		refused.Whose = s.app.settings.whose()
	}
	s.log.Error("the source needs consent", "source", s.name, "code", e.Code, "error", e.Message, "hint", e.Hint)
	if err := s.store.put(s.name, &refused); err != nil {
		s.log.Warn("the refusal of a consent cannot be written, so that the next host asks once more", "source", s.name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(&refused)
	return e
}

// keepNames gives a fresh grant what its answer does not tell.
func (s *Source) keepNames(ctx context.Context, have, fresh *grant) {
	fresh.Granted = have.Granted
	if fresh.Granted.IsZero() {
		fresh.Granted = fresh.Renewed
	}
	if len(fresh.Scopes) == 0 {
		fresh.Scopes = have.Scopes
	}
	if fresh.OrgID == "" {
		fresh.OrgID, fresh.UserID = have.OrgID, have.UserID
	}
	if fresh.OrgID == have.OrgID && fresh.UserID == have.UserID && have.Org != "" {
		fresh.Org, fresh.User, fresh.Sandbox = have.Org, have.User, have.Sandbox
		return
	}
	if s.app.settings.Auth.Flow != Web { // nobody was shown whose token it is
		s.app.identify(ctx, fresh)
	}
}

// Consented reports whether the source has a consent that is not known to be
// refused, and returns a channel that is closed when that changes. Of a source
// whose grant cannot be read nothing is known.
func (s *Source) Consented() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.loaded || s.missing() == nil, s.changed
}

// close waits until what was asked of Salesforce is on disk.
func (s *Source) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}
