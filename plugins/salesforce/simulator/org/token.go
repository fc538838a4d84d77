package org

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// refusal is an error of the token endpoint.
type refusal struct {
	code, message string
}

func (e *refusal) Error() string { return e.code + ": " + e.message }

func refused(w http.ResponseWriter, e *refusal) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": e.code, "error_description": e.message})
}

// token answers /services/oauth2/token.
func (a *oauth) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		refused(w, &refusal{"invalid_request", "must use HTTP POST"})
		return
	}
	if f, ok := a.org.faults.strike(atToken, target(r)); ok {
		refused(w, &refusal{f.Code, f.Message})
		return
	}
	a.mu.Lock()
	s, refresh, err := a.exchange(r)
	a.mu.Unlock()
	if err != nil {
		refused(w, err)
		return
	}
	a.org.json(w, r, http.StatusOK, a.answer(s, refresh))
}

// answer is a token response. It has no expires_in, as Salesforce's has none.
func (a *oauth) answer(s *session, refresh string) map[string]string {
	base := a.org.base()
	id := base + "/id/" + DefaultOrgID + "/" + makeID(userPrefix, uint64(s.user))
	issued := strconv.FormatInt(s.issued.UnixMilli(), 10)
	mac := hmac.New(sha256.New, append([]byte(s.app.ClientSecret), a.secret...))
	mac.Write([]byte(id + issued))
	out := map[string]string{"access_token": s.token, "signature": base64.StdEncoding.EncodeToString(mac.Sum(nil)), "scope": strings.Join(s.scopes, " "),
		"instance_url": base, "id": id, "token_type": "Bearer", "issued_at": issued}
	if refresh != "" {
		out["refresh_token"] = refresh
	}
	return out
}

func (a *oauth) exchange(r *http.Request) (s *session, refresh string, err *refusal) {
	grantType := r.PostForm.Get("grant_type")
	if grantType == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		s, err = a.byAssertion(r.PostForm.Get("assertion"))
		return s, "", err
	}
	app, err := a.client(r)
	if err != nil {
		return nil, "", err
	}
	switch grantType {
	case "authorization_code":
		return a.byCode(app, r)
	case "refresh_token":
		return a.byRefresh(app, r.PostForm.Get("refresh_token"))
	case "client_credentials":
		s, err = a.byCredentials(app)
		return s, "", err
	}
	return nil, "", &refusal{"unsupported_grant_type", "grant type not supported"}
}

// client is the app that asks, by parameters or by a Basic header.
func (a *oauth) client(r *http.Request) (*App, *refusal) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		id, secret = user, password
	}
	app := a.apps[id]
	switch {
	case app == nil:
		return nil, &refusal{"invalid_client_id", "client identifier invalid"}
	case app.ClientSecret != "" && secret != app.ClientSecret:
		return nil, &refusal{"invalid_client", "invalid client credentials"}
	case app.Blocked:
		return nil, &refusal{"OAUTH_APP_BLOCKED", "this app is blocked by admin"}
	}
	return app, nil
}

func (a *oauth) byCode(app *App, r *http.Request) (*session, string, *refusal) {
	text := r.PostForm.Get("code")
	c := a.codes[text]
	delete(a.codes, text) // one use, whatever becomes of it
	switch {
	case c == nil || c.app.ClientID != app.ClientID:
		return nil, "", &refusal{"invalid_grant", "invalid authorization code"}
	case a.org.Now().After(c.expires):
		return nil, "", &refusal{"invalid_grant", "expired authorization code"}
	case r.PostForm.Get("redirect_uri") != c.redirect:
		return nil, "", &refusal{"redirect_uri_mismatch", "redirect_uri must match configuration"}
	case !c.verifies(r.PostForm.Get("code_verifier")):
		return nil, "", &refusal{"invalid_grant", "invalid code verifier"}
	}
	g := &grant{app: app, user: c.user, scopes: c.scopes}
	a.approve(g)
	s := a.issue(&session{app: app, user: g.user, scopes: g.scopes, grant: g})
	if !slices.Contains(g.scopes, "refresh_token") && !slices.Contains(g.scopes, "offline_access") {
		return s, "", nil
	}
	return s, g.refresh, nil
}

func (a *oauth) byRefresh(app *App, refresh string) (*session, string, *refusal) {
	g := a.grants[refresh]
	if g == nil || g.app.ClientID != app.ClientID {
		return nil, "", &refusal{"invalid_grant", "expired access/refresh token"}
	}
	s := a.issue(&session{app: app, user: g.user, scopes: g.scopes, grant: g})
	if !app.Rotate {
		return s, "", nil
	}
	delete(a.grants, refresh)
	g.refresh = "5Aep861" + rand.Text() + rand.Text()
	a.grants[g.refresh] = g
	a.note(a.kept(g, refresh))
	return s, g.refresh, nil
}

func (a *oauth) byCredentials(app *App) (*session, *refusal) {
	if a.org.options.NotMyDomain {
		return nil, &refusal{"invalid_grant", "request not supported on this domain"}
	}
	user, ok := a.org.user(app.RunAs)
	if !ok {
		return nil, &refusal{"invalid_grant", "no client credentials user enabled"}
	}
	return a.issue(&session{app: app, user: user, scopes: slices.DeleteFunc(slices.Clone(app.Scopes), func(s string) bool { return s == "refresh_token" })}), nil
}

// byAssertion is the JWT bearer flow.
func (a *oauth) byAssertion(assertion string) (*session, *refusal) {
	invalid := &refusal{"invalid_grant", "invalid assertion"}
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return nil, invalid
	}
	var header struct{ Alg string }
	var claims struct {
		Iss, Sub, Prn string
		Aud           any
		Exp           json.Number
	}
	if !readPart(parts[0], &header) || !readPart(parts[1], &claims) || header.Alg != "RS256" {
		return nil, invalid
	}
	app := a.apps[claims.Iss]
	if app == nil {
		return nil, &refusal{"invalid_client_id", "client identifier invalid"}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || app.key == nil || rsa.VerifyPKCS1v15(app.key, crypto.SHA256, sum[:], signature) != nil {
		return nil, invalid
	}
	if !a.audience(claims.Aud) {
		return nil, &refusal{"invalid_grant", "Audience validation failed"}
	}
	if exp, err := claims.Exp.Float64(); err != nil || a.org.Now().After(time.Unix(int64(exp), 0)) {
		return nil, &refusal{"invalid_grant", "expired assertion"}
	}
	name := claims.Sub
	if name == "" {
		name = claims.Prn
	}
	user, ok := a.org.user(name)
	if !ok || !app.PreApproved && !a.approved(app, user) {
		return nil, &refusal{"invalid_grant", "user hasn't approved this consumer"}
	}
	return a.issue(&session{app: app, user: user, scopes: app.Scopes}), nil
}

// audience accepts the login hosts and the org's own.
func (a *oauth) audience(aud any) bool {
	allowed := []string{"https://login.salesforce.com", "https://test.salesforce.com", a.org.base()}
	switch aud := aud.(type) {
	case string:
		return slices.Contains(allowed, strings.TrimSuffix(aud, "/"))
	case []any:
		return len(aud) == 1 && a.audience(aud[0])
	}
	return false
}

func (a *oauth) approved(app *App, user uint32) bool {
	for _, g := range a.grants {
		if g.app.ClientID == app.ClientID && g.user == user {
			return true
		}
	}
	return false
}

func readPart(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

// revokeToken answers /services/oauth2/revoke: a refresh token takes its access
// tokens along, an access token only itself.
func (a *oauth) revokeToken(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refused(w, &refusal{"invalid_request", "the form cannot be read"})
		return
	}
	token := r.Form.Get("token")
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.grants[token]; g != nil {
		a.revoke(g)
	} else if _, ok := a.access[token]; ok {
		a.end(token)
	} else {
		refused(w, &refusal{"invalid_token", "the token does not exist or is already revoked"})
	}
}

// introspect answers /services/oauth2/introspect, the only place that tells when
// an access token ends.
func (a *oauth) introspect(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil {
		refused(w, &refusal{"invalid_request", "the form cannot be read"})
		return
	}
	a.mu.Lock()
	app, err := a.client(r)
	token := r.PostForm.Get("token")
	g := a.grants[token]
	a.mu.Unlock()
	if err != nil {
		refused(w, err)
		return
	}
	out := map[string]any{"active": false}
	if s, ok := a.find(token); ok && (s.app == nil || s.app.ClientID == app.ClientID) {
		out = map[string]any{"active": true, "token_type": "access_token", "exp": s.expires.Unix(), "iat": s.issued.Unix(), "nbf": s.issued.Unix(),
			"scope": strings.Join(s.scopes, " "), "client_id": app.ClientID, "sub": a.org.subject(s.user), "username": a.org.profile(s.user).username}
	} else if g != nil && g.app.ClientID == app.ClientID {
		out = map[string]any{"active": true, "token_type": "refresh_token", "scope": strings.Join(g.scopes, " "), "client_id": app.ClientID,
			"sub": a.org.subject(g.user), "username": a.org.profile(g.user).username}
	}
	a.org.json(w, r, http.StatusOK, out)
}
