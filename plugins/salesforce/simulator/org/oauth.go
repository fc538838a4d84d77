package org

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultClientID is of the app that every org has:
	// web server flow with rotation and client credentials as the admin, with
	// any port of this machine as its callback, at /callback or /oauth/callback.
	DefaultClientID = "wellhead-simulator"
	// DefaultClientSecret is its secret.
	DefaultClientSecret = "simulator-secret"
)

// App is an external client app (or connected app) of the org. PKCE is required
// of all of them.
type App struct {
	ClientID string `json:"clientId"`
	// ClientSecret is asked for where the app has one.
	ClientSecret string `json:"clientSecret"`
	// RedirectURIs are compared exactly, but for the simulator's own convenience
	// of a * in place of a port.
	RedirectURIs []string `json:"redirectUris"`
	// Certificate is the PEM of the certificate, or of the public key, with which
	// assertions of the JWT bearer flow are verified.
	Certificate []byte `json:"certificate"`
	// RunAs is the username of the client credentials flow; without it the flow is
	// refused.
	RunAs string `json:"runAs"`
	// Scopes are those that can be asked for, and those given when none are:
	// api, refresh_token, id and openid when nil.
	Scopes []string `json:"scopes"`
	// Rotate makes each use of a refresh token invalidate it and give another.
	Rotate bool `json:"rotate"`
	// PreApproved lets the JWT bearer flow act for users who gave no consent.
	PreApproved bool `json:"preApproved"`
	// Blocked and NotInstalled end an authorization after the login, with
	// OAUTH_APP_BLOCKED and OAUTH_EC_APP_NOT_FOUND.
	Blocked      bool `json:"blocked"`
	NotInstalled bool `json:"notInstalled"`
	// Lifetime is that of the app's access tokens; zero is the org's.
	Lifetime time.Duration `json:"lifetime"`
	// Quota is a limit of the app's own on daily API requests, which
	// Sforce-Limit-Info then tells too.
	Quota int `json:"quota"`

	key *rsa.PublicKey
}

// oauth is the org's authorization server.
type oauth struct {
	org    *Org
	secret []byte // signs token answers

	mu     sync.Mutex
	apps   map[string]*App
	codes  map[string]*code
	access map[string]*session
	// grants are by refresh token; the order of approval is in each.
	grants    map[string]*grant
	approvals uint64
}

// session is what an access token stands for.
type session struct {
	token           string
	app             *App // nil for Org.Token's
	user            uint32
	scopes          []string
	issued, expires time.Time
	grant           *grant
}

// grant is one approval of a user for an app.
type grant struct {
	app      *App
	user     uint32
	scopes   []string
	refresh  string
	approval uint64
}

// maxGrants is how many approvals of a user for an app hold; one more revokes
// the oldest.
const maxGrants = 5

func newOAuth(o *Org) *oauth {
	a := &oauth{org: o, secret: []byte(rand.Text()), apps: map[string]*App{}, codes: map[string]*code{}, access: map[string]*session{}, grants: map[string]*grant{}}
	a.apps[DefaultClientID] = &App{ClientID: DefaultClientID, ClientSecret: DefaultClientSecret, Rotate: true, RunAs: AdminUsername, Scopes: defaultScopes,
		RedirectURIs: []string{"http://localhost:*/callback", "http://localhost:*/oauth/callback", "http://127.0.0.1:*/callback", "http://127.0.0.1:*/oauth/callback"}}
	return a
}

var defaultScopes = []string{"api", "refresh_token", "id", "openid"}

// RegisterApp adds an app, or replaces the one of the same ClientID.
func (o *Org) RegisterApp(a App) error {
	if a.ClientID == "" {
		return fmt.Errorf("an app needs a client id")
	}
	if a.Certificate != nil {
		key, err := publicKey(a.Certificate)
		if err != nil {
			return fmt.Errorf("certificate of app %s: %w", a.ClientID, err)
		}
		a.key = key
	}
	if a.Scopes == nil {
		a.Scopes = defaultScopes
	}
	o.oauth.mu.Lock()
	defer o.oauth.mu.Unlock()
	o.oauth.apps[a.ClientID] = &a
	return nil
}

func publicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("not PEM")
	}
	var key any
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		key = cert.PublicKey
	default:
		var err error
		if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, err
		}
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		return k, nil
	}
	return nil, fmt.Errorf("not an RSA key")
}

// Token is an access token of the admin user, good for TokenLifetime.
func (o *Org) Token() string {
	o.oauth.mu.Lock()
	defer o.oauth.mu.Unlock()
	return o.oauth.issue(&session{user: adminNumber, scopes: defaultScopes}).token
}

// issue makes a session's access token.
func (a *oauth) issue(s *session) *session {
	lifetime := a.org.options.TokenLifetime
	if s.app != nil && s.app.Lifetime > 0 {
		lifetime = s.app.Lifetime
	}
	s.issued = a.org.Now()
	s.expires = s.issued.Add(lifetime)
	s.token = DefaultOrgID[:15] + "!" + rand.Text() + rand.Text()
	for token, old := range a.access { // what has expired is of no use to keep
		if s.issued.After(old.expires.Add(24 * time.Hour)) {
			delete(a.access, token)
		}
	}
	a.access[s.token] = s
	if s.app != nil { // those of Token are not kept
		a.note(a.keptSession(s))
	}
	a.org.stats.tokens.Add(1)
	return s
}

// session finds the session of an API request.
func (a *oauth) session(r *http.Request) (*session, error) {
	kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "OAuth") {
		return nil, failure("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
	}
	s, ok := a.find(token)
	if !ok || !slices.ContainsFunc(s.scopes, func(scope string) bool { return scope == "api" || scope == "full" }) {
		return nil, failure("INVALID_SESSION_ID", "Session expired or invalid")
	}
	return s, nil
}

// find is the session of an access token that is valid now.
func (a *oauth) find(token string) (*session, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.access[token]
	return s, ok && a.org.Now().Before(s.expires)
}

// ExpireAccessTokens ends all access tokens; refresh tokens stay good.
func (o *Org) ExpireAccessTokens() {
	o.oauth.mu.Lock()
	defer o.oauth.mu.Unlock()
	o.oauth.endAll()
}

// ExpireAccessToken ends one.
func (o *Org) ExpireAccessToken(token string) {
	o.oauth.mu.Lock()
	defer o.oauth.mu.Unlock()
	o.oauth.end(token)
}

// RevokeGrants takes back what a user has approved: refresh tokens, and the
// access tokens of them.
func (o *Org) RevokeGrants(username string) {
	user, ok := o.user(username)
	if !ok {
		return
	}
	o.oauth.mu.Lock()
	defer o.oauth.mu.Unlock()
	for _, g := range o.oauth.grants {
		if g.user == user {
			o.oauth.revoke(g)
		}
	}
}

// revoke ends a grant and its access tokens.
func (a *oauth) revoke(g *grant) {
	a.note(entry{At: a.org.Now(), Revoked: g.refresh})
	a.drop(g)
}

func (a *oauth) drop(g *grant) {
	delete(a.grants, g.refresh)
	for token, s := range a.access {
		if s.grant == g {
			delete(a.access, token)
		}
	}
}

// approve notes a user's consent, of which only the last five hold.
func (a *oauth) approve(g *grant) {
	a.approvals++
	g.approval = a.approvals
	g.refresh = "5Aep861" + rand.Text() + rand.Text()
	a.grants[g.refresh] = g
	a.note(a.kept(g, ""))
	var same []*grant
	for _, other := range a.grants {
		if other.app.ClientID == g.app.ClientID && other.user == g.user {
			same = append(same, other)
		}
	}
	if len(same) > maxGrants {
		a.revoke(slices.MinFunc(same, func(x, y *grant) int { return int(x.approval) - int(y.approval) }))
	}
}

// user finds an active user by name.
func (o *Org) user(username string) (uint32, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	t := o.tables["user"]
	name, active := t.byName["username"], t.byName["isactive"]
	for i := range t.rows {
		r := &t.rows[i]
		if r.state == live && strings.EqualFold(string(text(one(r.data, name.slot))), username) && string(one(r.data, active.slot)) == "true" {
			return uint32(i + 1), true
		}
	}
	return 0, false
}

// serveOAuth answers below /services/oauth2, /id and /.well-known.
func (o *Org) serveOAuth(w http.ResponseWriter, r *http.Request, path []string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	switch path[0] {
	case ".well-known":
		o.configuration(w, r)
	case "id":
		o.identity(w, r, path)
	default:
		switch path[len(path)-1] {
		case "authorize":
			o.oauth.authorize(w, r)
		case "token":
			o.oauth.token(w, r)
		case "revoke":
			o.oauth.revokeToken(w, r)
		case "introspect":
			o.oauth.introspect(w, r)
		case "userinfo":
			o.userinfo(w, r)
		default:
			notFound(w)
		}
	}
}

// redirects reports whether the app may be called back at uri.
func (a *App) redirects(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	port := u.Port()
	return slices.ContainsFunc(a.RedirectURIs, func(allowed string) bool {
		return allowed == uri || port != "" && strings.Replace(allowed, ":*/", ":"+port+"/", 1) == uri
	})
}
