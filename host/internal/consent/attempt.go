package consent

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Attempt is a consent that was begun.
type Attempt struct {
	ID string
	// URL is what a browser opens; empty in flows that need none, whose Grant is
	// here at once.
	URL string
	// Callback is where Salesforce sends the browser back to.
	Callback string
	Expires  time.Time
	Grant    *Grant
}

const (
	// attemptLife is how long a person has, from the page to the confirmation.
	attemptLife = 15 * time.Minute
	// maxAttempts bounds those on their way; the oldest gives way.
	maxAttempts = 16
)

// attempt is an Attempt with its secrets.
type attempt struct {
	Attempt
	source   *Source
	state    string
	verifier string

	once  sync.Once
	done  chan struct{} // closed when grant or err is set
	grant *grant
	err   *Error
}

// Begin begins a consent. In the web flow the callback is the URL, exactly as the
// app has it, to which the browser is sent back. The error is an *Error.
func (k *Keeper) Begin(ctx context.Context, source event.SourceID, callback string) (Attempt, error) {
	s := k.Source(source)
	if s == nil {
		return Attempt{}, unknown(source)
	}
	if _, err := k.store.ready(); err != nil {
		return Attempt{}, err // before a person takes the trouble
	}
	a := &attempt{source: s, done: make(chan struct{})}
	a.ID, a.Expires = rand.Text(), time.Now().Add(attemptLife)
	if err := a.begin(ctx, callback); err != nil {
		return Attempt{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.makeRoom()
	k.attempts[a.ID] = a
	return a.Attempt, nil
}

// begin makes the URL for a person, or gets the grant where none is needed.
func (a *attempt) begin(ctx context.Context, callback string) error {
	app := a.source.app
	if app.settings.Auth.Flow != Web {
		g, err := a.settle(ctx, func(ctx context.Context) (*grant, error) { return app.renew(ctx, "") })
		a.Grant = &g
		return err
	}
	if what := badCallback(callback); what != "" {
		return &Error{Code: CodeUnsupported, Message: fmt.Sprintf("the callback URL %q %s", callback, what),
			Hint: "Salesforce takes https, or http on localhost"}
	}
	a.Callback, a.state, a.verifier = callback, rand.Text()+rand.Text(), oauth2.GenerateVerifier()
	a.URL = app.authorizeURL(callback, a.state, a.verifier)
	return nil
}

// badCallback says what is wrong with a callback URL; "": nothing.
func badCallback(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "is not one of a page"
	}
	u.Path = ""
	what, _ := badLoginURL(u.String())
	return what
}

func unknown(source event.SourceID) *Error {
	return &Error{Code: CodeUnsupported, Message: fmt.Sprintf("source %s needs no consent, or its plugin has not started yet", source),
		Hint: "see wellhead status"}
}

// makeRoom lets the oldest attempt give way to another. The caller holds mu.
func (k *Keeper) makeRoom() {
	k.expire()
	if len(k.attempts) < maxAttempts {
		return
	}
	oldest := slices.MinFunc(slices.Collect(maps.Values(k.attempts)), func(a, b *attempt) int { return a.Expires.Compare(b.Expires) })
	delete(k.attempts, oldest.ID)
}

// expire drops what took too long. The caller holds mu.
func (k *Keeper) expire() {
	maps.DeleteFunc(k.attempts, func(_ string, a *attempt) bool { return !time.Now().Before(a.Expires) })
}

func (k *Keeper) attempt(id string) (*attempt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire()
	if a := k.attempts[id]; a != nil {
		return a, nil
	}
	return nil, lost()
}

func lost() *Error {
	return &Error{Code: CodeState, Message: "this answer belongs to no consent that is under way here: it was answered before, or is more than 15 minutes old",
		Hint: "begin again with wellhead connect, and use the page that it opens"}
}

// Callback takes the answer that a browser brings, and finds by its state what it
// answers. The error is an *Error.
func (k *Keeper) Callback(ctx context.Context, answer url.Values) (Grant, error) {
	state := answer.Get("state")
	var found *attempt
	k.mu.Lock()
	k.expire()
	for _, a := range k.attempts {
		if a.state != "" && subtle.ConstantTimeCompare([]byte(a.state), []byte(state)) == 1 {
			found = a
		}
	}
	k.mu.Unlock()
	if found == nil {
		return Grant{}, lost()
	}
	return found.answer(ctx, answer)
}

// Answer takes an answer that a person brings: the code or the error of a page
// of Salesforce. A code without a state is good only for this attempt, whose
// PKCE verifier nobody else has.
func (k *Keeper) Answer(ctx context.Context, id string, answer url.Values) (Grant, error) {
	a, err := k.attempt(id)
	if err != nil {
		return Grant{}, err
	}
	state := answer.Get("state")
	if state != "" && subtle.ConstantTimeCompare([]byte(a.state), []byte(state)) != 1 {
		return Grant{}, lost()
	}
	return a.answer(ctx, answer)
}

// answer exchanges the code, once: what comes later hears what came of it.
func (a *attempt) answer(ctx context.Context, answer url.Values) (Grant, error) {
	app := a.source.app
	return a.settle(ctx, func(ctx context.Context) (*grant, error) {
		switch code := answer.Get("code"); {
		case answer.Get("error") != "":
			return nil, explain(answer.Get("error"), app.discreet(answer.Get("error_description")), a.source.name, a.Callback)
		case code == "":
			return nil, &Error{Code: CodeAnswer, Message: "the browser came back with neither a code nor an error",
				Hint: "begin again: wellhead connect " + string(a.source.name)}
		default:
			return app.exchange(ctx, a.Callback, code, a.verifier)
		}
	})
}

// settle asks Salesforce for the grant, the first time, and finds out whose it is.
func (a *attempt) settle(ctx context.Context, ask func(context.Context) (*grant, error)) (Grant, error) {
	a.once.Do(func() {
		defer close(a.done)
		// What Salesforce gives must not be lost because a browser went away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		g, err := ask(ctx)
		if err != nil {
			a.err = asError(err)
			return
		}
		g.Granted = g.Renewed
		a.source.app.identify(ctx, g)
		a.grant = g
	})
	return a.result()
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeAnswer, Message: err.Error(), Err: err}
}

func (a *attempt) result() (Grant, error) {
	if a.err != nil {
		return Grant{}, a.err
	}
	return a.grant.Grant, nil
}

// Wait returns what a browser's answer brought, when it is there.
func (k *Keeper) Wait(ctx context.Context, id string) (Grant, error) {
	a, err := k.attempt(id)
	if err != nil {
		return Grant{}, err
	}
	expired := time.NewTimer(time.Until(a.Expires))
	defer expired.Stop()
	select {
	case <-a.done:
		return a.result()
	case <-expired.C:
		return Grant{}, lost()
	case <-ctx.Done():
		return Grant{}, ctx.Err()
	}
}

// Keep keeps what an attempt brought: it is on disk when Keep returns, and the
// source uses it from then on. The grant before is revoked: it would count among
// the five that Salesforce allows, and nobody would know of it.
func (k *Keeper) Keep(ctx context.Context, id string) error {
	a, err := k.close(id)
	if err != nil {
		return err
	}
	s := a.source
	release, err := s.lease.Acquire(ctx, s.name)
	if err != nil {
		return err
	}
	defer release()
	g := *a.grant
	g.Warning = nil
	g.replaces(s.former())
	if err := s.store.put(s.name, &g); err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.attempts[id] = a // it can be kept once the disk is mended, or dropped
		return err
	}
	s.mu.Lock()
	s.unsaved, s.refused, s.failure, s.tries, s.distrust, s.retryAt = nil, "", nil, 0, 0, time.Time{}
	s.set(&g)
	s.mu.Unlock()
	k.Log.Info("consent granted", "source", s.name, "org", g.OrgID, "user", g.UserID, "scopes", strings.Join(g.Scopes, " "))
	s.retire(ctx, &g)
	return nil
}

// former is the grant that another takes the place of; nil: there is none, or
// none that can be read.
func (s *Source) former() *grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved != nil {
		return s.unsaved
	}
	g, err := s.store.get(s.name)
	if err != nil {
		return nil
	}
	return g
}

// Drop ends an attempt that a person does not want. What it brought is revoked,
// so that it does not count among the five that Salesforce allows.
func (k *Keeper) Drop(ctx context.Context, id string) error {
	a, err := k.close(id)
	if err != nil || a.grant == nil || a.grant.Refresh == "" {
		return nil //nolint:nilerr // there is nothing to drop
	}
	return a.source.app.revoke(ctx, "", a.grant.Refresh)
}

// close takes an attempt that has its grant out of those on their way.
func (k *Keeper) close(id string) (*attempt, error) {
	a, err := k.attempt(id)
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
	default:
		return nil, &Error{Code: CodeState, Message: "nobody has answered on the page of Salesforce yet"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempts[id] == nil {
		return nil, lost()
	}
	delete(k.attempts, id)
	if a.err != nil {
		return nil, a.err
	}
	return a, nil
}
