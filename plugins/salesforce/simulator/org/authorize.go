package org

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// code is an authorization code, good once and for 15 minutes.
type code struct {
	app       *App
	user      uint32
	scopes    []string
	redirect  string
	challenge string
	expires   time.Time
}

const codeLife = 15 * time.Minute

// request is an authorization request that names an app and a callback of its.
type request struct {
	app      *App
	form     url.Values
	redirect string
	scopes   []string
}

// authorize shows the page on which a user logs in and consents, and takes what
// the user decided.
func (a *oauth) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		errorPage(w, "invalid_request", "the form cannot be read")
		return
	}
	q, ok := a.request(w, r)
	if !ok {
		return
	}
	if r.Method != http.MethodPost {
		showPage(w, q, "")
		return
	}
	user, known := a.org.user(r.PostForm.Get("un"))
	if !known || r.PostForm.Get("pw") == "wrong" {
		w.WriteHeader(http.StatusUnauthorized)
		showPage(w, q, "Please check your username and password. If you still can't log in, contact your Salesforce administrator.")
		return
	}
	a.decide(w, r, q, user)
}

// request reads the parameters, and answers itself where they are wrong: on a
// page, as long as the callback cannot be trusted.
func (a *oauth) request(w http.ResponseWriter, r *http.Request) (*request, bool) {
	q := &request{form: r.Form, redirect: r.Form.Get("redirect_uri")}
	a.mu.Lock()
	q.app = a.apps[r.Form.Get("client_id")]
	a.mu.Unlock()
	switch {
	case q.app == nil:
		errorPage(w, "invalid_client_id", "client identifier invalid")
		return nil, false
	case !q.app.redirects(q.redirect):
		errorPage(w, "redirect_uri_mismatch", "redirect_uri must match configuration")
		return nil, false
	case r.Form.Get("response_type") != "code":
		back(w, r, q, url.Values{"error": {"unsupported_response_type"}, "error_description": {"response type not supported"}})
		return nil, false
	case r.Form.Get("code_challenge") == "":
		back(w, r, q, url.Values{"error": {"invalid_request"}, "error_description": {"missing required code challenge"}})
		return nil, false
	case r.Form.Get("code_challenge_method") != "S256":
		back(w, r, q, url.Values{"error": {"invalid_request"}, "error_description": {"invalid code challenge method"}})
		return nil, false
	}
	q.scopes = strings.Fields(r.Form.Get("scope"))
	if len(q.scopes) == 0 {
		q.scopes = q.app.Scopes
	}
	for _, s := range q.scopes {
		if s == "offline_access" {
			s = "refresh_token"
		}
		if !slices.Contains(q.app.Scopes, s) {
			back(w, r, q, url.Values{"error": {"invalid_scope"}, "error_description": {"the requested scope is invalid, unknown, or malformed"}})
			return nil, false
		}
	}
	return q, true
}

func (a *oauth) decide(w http.ResponseWriter, r *http.Request, q *request, user uint32) {
	if r.PostForm.Get("decision") != "allow" {
		back(w, r, q, url.Values{"error": {"access_denied"}, "error_description": {"end-user denied authorization"}})
		return
	}
	f, struck := a.org.faults.strike(atAuthorize, target(r))
	switch {
	case struck && f.Name == "oauth_approval_error":
		errorPage(w, "invalid_client", "app must be installed into org")
		return
	case struck && f.Name == "oauth_app_blocked" || q.app.Blocked:
		back(w, r, q, url.Values{"error": {"OAUTH_APP_BLOCKED"}, "error_description": {"this app is blocked by admin"}})
		return
	case struck || q.app.NotInstalled:
		back(w, r, q, url.Values{"error": {"OAUTH_EC_APP_NOT_FOUND"}, "error_description": {"external client app is not installed in this org"}})
		return
	}
	text := "aPrx" + rand.Text()
	a.mu.Lock()
	a.codes[text] = &code{q.app, user, q.scopes, q.redirect, q.form.Get("code_challenge"), a.org.Now().Add(codeLife)}
	a.mu.Unlock()
	back(w, r, q, url.Values{"code": {text}})
}

// back sends the browser to the app's callback with these parameters.
func back(w http.ResponseWriter, r *http.Request, q *request, answer url.Values) {
	u, err := url.Parse(q.redirect)
	if err != nil {
		errorPage(w, "redirect_uri_mismatch", "redirect_uri must match configuration")
		return
	}
	values := u.Query()
	maps.Copy(values, answer)
	if state := q.form.Get("state"); state != "" {
		values.Set("state", state)
	}
	u.RawQuery = values.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound) //nolint:gosec // to a callback that the app has registered
}

// verifies reports whether the verifier is that of the code's challenge.
func (c *code) verifies(verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == c.challenge
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Log in | Salesforce simulator</title>
<body>
<h1>Allow access?</h1>
<p>The app <strong>{{.App}}</strong> asks to: <span id="scopes">{{.Scopes}}</span></p>
{{with .Problem}}<p id="error" role="alert">{{.}}</p>{{end}}
<form method="post" action="/services/oauth2/authorize">
{{range $name, $value := .Hidden}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}<p><label>Username <input id="username" name="un" value="{{.Username}}" autocomplete="off"></label></p>
<p><label>Password <input id="password" name="pw" type="password" autocomplete="off"></label> any but "wrong"</p>
<button id="allow" name="decision" value="allow">Allow</button>
<button id="deny" name="decision" value="deny">Deny</button>
</form>
</body>
</html>
`))

func showPage(w http.ResponseWriter, q *request, problem string) {
	hidden := map[string]string{}
	for _, name := range []string{"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method", "prompt"} {
		if v := q.form.Get(name); v != "" {
			hidden[name] = v
		}
	}
	username := AdminUsername
	if hint := q.form.Get("login_hint"); hint != "" {
		username = hint
	}
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = loginPage.Execute(w, map[string]any{"App": q.app.ClientID, "Scopes": strings.Join(q.scopes, " "), "Problem": problem, "Hidden": hidden, "Username": username})
}

var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>OAuth error | Salesforce simulator</title>
<body>
<p>We can't authorize you because of an OAuth error. For more information, contact your Salesforce administrator.</p>
<p id="error">{{.Shown}}</p>
<p>error={{.Code}}&amp;error_description={{.Message}}</p>
</body>
</html>
`))

// errorPage is what a user sees of an error that no callback gets. That of an
// app which is not installed shows another code than its URL has.
func errorPage(w http.ResponseWriter, code, message string) {
	shown := code + " : " + message
	if code == "invalid_client" {
		shown = "OAUTH_APPROVAL_ERROR_GENERIC : An unexpected error has occured during authentication. Please try again." //nolint:misspell // so Salesforce spells it
	}
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.WriteHeader(http.StatusBadRequest)
	_ = refusalPage.Execute(w, map[string]string{"Shown": shown, "Code": code, "Message": message})
}
