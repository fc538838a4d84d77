package org_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

const callback = "http://localhost:43210/callback"

// post sends a form without following redirects.
func (b *box) post(path string, form url.Values) (int, http.Header, string) {
	b.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(b.url+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// token asks the token endpoint, for the seeded app unless the form says
// otherwise.
func (b *box) exchange(pairs ...string) map[string]string {
	b.t.Helper()
	form := url.Values{"client_id": {org.DefaultClientID}, "client_secret": {org.DefaultClientSecret}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	_, _, text := b.post("/services/oauth2/token", form)
	var out map[string]string
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		b.t.Fatalf("%v in %s", err, text)
	}
	return out
}

const verifier = "a-verifier-that-is-long-enough-for-the-rfc-0123456789"

// authorize fills in the page and gives the callback's parameters back.
func (b *box) authorize(change ...string) url.Values {
	b.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	form := url.Values{"response_type": {"code"}, "client_id": {org.DefaultClientID}, "redirect_uri": {callback}, "state": {"s1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"un": {org.UserUsername}, "pw": {"any"}, "decision": {"allow"}}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	status, header, text := b.post("/services/oauth2/authorize", form)
	if status != http.StatusFound {
		return url.Values{"page": {text}}
	}
	to, err := url.Parse(header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), callback) || to.Query().Get("state") != "s1" {
		b.t.Fatalf("sent to %s, %v", to, err)
	}
	return to.Query()
}

func (b *box) grant() map[string]string {
	b.t.Helper()
	return b.exchange("grant_type", "authorization_code", "code", b.authorize().Get("code"), "redirect_uri", callback, "code_verifier", verifier)
}

func TestWebServerFlow(t *testing.T) {
	b := newBox(t, org.Options{})
	res, err := http.Get(b.url + "/services/oauth2/authorize?response_type=code&client_id=" + org.DefaultClientID + "&code_challenge=x&code_challenge_method=S256&state=%22%3E&redirect_uri=" + url.QueryEscape(callback))
	b.must(err)
	page, err := io.ReadAll(res.Body)
	b.must(err)
	b.must(res.Body.Close())
	if !strings.Contains(string(page), `<button id="allow"`) || !strings.Contains(string(page), `name="state" value="&#34;&gt;"`) {
		t.Errorf("page: %s", page)
	}
	tokens := b.grant()
	if tokens["expires_in"] != "" || tokens["instance_url"] != b.url || tokens["refresh_token"] == "" || !strings.HasPrefix(tokens["id"], b.url+"/id/"+org.DefaultOrgID) {
		t.Errorf("token answer: %v", tokens)
	}
	b.token = tokens["access_token"]
	if got := b.column("query", "SELECT COUNT(Id) n FROM Account", "n"); got != "5" {
		t.Errorf("the token reads %s accounts", got)
	}
	if _, text := b.do("GET", "/services/oauth2/userinfo", ""); !strings.Contains(text, `"organization_id":"`+org.DefaultOrgID+`"`) || !strings.Contains(text, org.UserUsername) {
		t.Errorf("userinfo: %s", text)
	}
	identity, err := http.Get(tokens["id"] + "?format=json&oauth_token=" + b.token)
	b.must(err)
	b.must(identity.Body.Close())
	if identity.StatusCode != http.StatusOK {
		t.Errorf("identity: %s", identity.Status)
	}
	_, _, text := b.post("/services/oauth2/introspect", url.Values{"token": {b.token}, "client_id": {org.DefaultClientID}, "client_secret": {org.DefaultClientSecret}})
	if want := fmt.Sprintf(`"exp":%d`, start.Add(2*time.Hour).Unix()); !strings.Contains(text, `"active":true`) || !strings.Contains(text, want) {
		t.Errorf("introspect: %s", text)
	}
	b.Advance(2 * time.Hour)
	if _, text := b.do("GET", "limits", ""); !strings.Contains(text, "INVALID_SESSION_ID") {
		t.Errorf("an expired token: %s", text)
	}
}

func TestCodesAreBoundAndGoodOnce(t *testing.T) {
	b := newBox(t, org.Options{})
	for name, change := range map[string][2]string{
		"invalid code verifier":           {"code_verifier", "another"},
		"redirect_uri must match":         {"redirect_uri", callback + "x"},
		"invalid client credentials":      {"client_secret", "wrong"},
		"client identifier invalid":       {"client_id", "nobody"},
		"grant type not supported":        {"grant_type", "password"},
		"invalid authorization code":      {"code", "nonsense"},
		"invalid code verifier (missing)": {"code_verifier", ""},
	} {
		pairs := []string{"grant_type", "authorization_code", "code", b.authorize().Get("code"), "redirect_uri", callback, "code_verifier", verifier, change[0], change[1]}
		want, _, _ := strings.Cut(name, " (")
		if got := b.exchange(pairs...); !strings.Contains(got["error_description"], want) || got["access_token"] != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
	code := b.authorize().Get("code")
	pairs := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}
	if got := b.exchange(pairs...); got["access_token"] == "" {
		t.Errorf("first use: %v", got)
	}
	if got := b.exchange(pairs...); got["error"] != "invalid_grant" {
		t.Errorf("second use: %v", got)
	}
	code = b.authorize().Get("code")
	b.Advance(16 * time.Minute)
	pairs[3] = code
	if got := b.exchange(pairs...); got["error_description"] != "expired authorization code" {
		t.Errorf("late use: %v", got)
	}
}

func TestAuthorizationRefusals(t *testing.T) {
	b := newBox(t, org.Options{})
	if got := b.authorize("decision", "deny"); got.Get("error") != "access_denied" {
		t.Errorf("deny: %v", got)
	}
	if got := b.authorize("code_challenge", ""); got.Get("error_description") != "missing required code challenge" {
		t.Errorf("without PKCE: %v", got)
	}
	if got := b.authorize("code_challenge_method", "plain"); got.Get("error") != "invalid_request" {
		t.Errorf("plain PKCE: %v", got)
	}
	if got := b.authorize("scope", "api web"); got.Get("error") != "invalid_scope" {
		t.Errorf("scope: %v", got)
	}
	for _, change := range [][2]string{{"redirect_uri", "http://localhost:1/other"}, {"redirect_uri", "http://evil.example/callback"}, {"client_id", "x"}, {"pw", "wrong"}, {"un", "x"}} {
		if got := b.authorize(change[0], change[1]); got.Get("page") == "" || got.Get("code") != "" {
			t.Errorf("%v: %v", change, got)
		}
	}
	for fault, want := range map[string]string{"oauth_app_blocked": "OAUTH_APP_BLOCKED", "oauth_ec_app_not_found": "OAUTH_EC_APP_NOT_FOUND"} {
		b.must(b.Fail(org.Fault{Name: fault, Times: 1}))
		if got := b.authorize(); got.Get("error") != want {
			t.Errorf("%s: %v", fault, got)
		}
	}
	b.must(b.Fail(org.Fault{Name: "oauth_approval_error", Times: 1}))
	if got := b.authorize(); !strings.Contains(got.Get("page"), "OAUTH_APPROVAL_ERROR_GENERIC") {
		t.Errorf("approval error: %v", got)
	}
	b.must(b.Fail(org.Fault{Name: "oauth_error", Code: "inactive_user", Message: "user is inactive", Times: 1}))
	if got := b.exchange("grant_type", "client_credentials"); got["error"] != "inactive_user" {
		t.Errorf("oauth_error: %v", got)
	}
}

func TestRefreshTokensRotateAndFiveGrantsHold(t *testing.T) {
	b := newBox(t, org.Options{})
	first := b.grant()
	refresh := func(token string) map[string]string {
		return b.exchange("grant_type", "refresh_token", "refresh_token", token)
	}
	second := refresh(first["refresh_token"])
	if second["access_token"] == "" || second["refresh_token"] == "" || second["refresh_token"] == first["refresh_token"] {
		t.Fatalf("refresh: %v", second)
	}
	if got := refresh(first["refresh_token"]); got["error"] != "invalid_grant" || got["error_description"] != "expired access/refresh token" {
		t.Errorf("a rotated token: %v", got)
	}
	for range 4 {
		b.grant()
	}
	third := refresh(second["refresh_token"])
	if third["access_token"] == "" {
		t.Fatalf("the fifth approval revoked the first: %v", third)
	}
	b.grant()
	if got := refresh(third["refresh_token"]); got["error"] != "invalid_grant" {
		t.Errorf("six approvals hold: %v", got)
	}
	last := b.grant()
	status, _, _ := b.post("/services/oauth2/revoke", url.Values{"token": {last["refresh_token"]}})
	b.token = last["access_token"]
	if _, text := b.do("GET", "limits", ""); status != http.StatusOK || !strings.Contains(text, "INVALID_SESSION_ID") {
		t.Errorf("revoked: %d, then %s", status, text)
	}
}

func TestClientCredentials(t *testing.T) {
	b := newBox(t, org.Options{})
	got := b.exchange("grant_type", "client_credentials")
	if got["access_token"] == "" || got["refresh_token"] != "" {
		t.Errorf("%v", got)
	}
	b.must(b.RegisterApp(org.App{ClientID: "other"}))
	if got := b.exchange("grant_type", "client_credentials", "client_id", "other"); got["error_description"] != "no client credentials user enabled" {
		t.Errorf("without a user: %v", got)
	}
	elsewhere := newBox(t, org.Options{NotMyDomain: true})
	if got := elsewhere.exchange("grant_type", "client_credentials"); got["error"] != "invalid_grant" {
		t.Errorf("not on My Domain: %v", got)
	}
}

func TestJWTBearer(t *testing.T) {
	b := newBox(t, org.Options{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	b.must(err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	b.must(err)
	app := org.App{ClientID: "jwt", Certificate: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	b.must(b.RegisterApp(app))
	sign := func(change ...any) string {
		claims := map[string]any{"iss": "jwt", "sub": org.UserUsername, "aud": "https://login.salesforce.com", "exp": start.Add(3 * time.Minute).Unix()}
		for i := 0; i < len(change); i += 2 {
			claims[fmt.Sprint(change[i])] = change[i+1]
		}
		payload, err := json.Marshal(claims)
		b.must(err)
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		b.must(err)
		return text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	ask := func(assertion string) map[string]string {
		return b.exchange("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion)
	}
	if got := ask(sign()); got["error_description"] != "user hasn't approved this consumer" {
		t.Errorf("not approved: %v", got)
	}
	app.PreApproved = true
	b.must(b.RegisterApp(app))
	if got := ask(sign()); got["access_token"] == "" || got["refresh_token"] != "" {
		t.Errorf("approved: %v", got)
	}
	for want, assertion := range map[string]string{
		"Audience validation failed":         sign("aud", "https://elsewhere.example"),
		"expired assertion":                  sign("exp", start.Add(-time.Second).Unix()),
		"user hasn't approved this consumer": sign("sub", "nobody@simulator.example"),
		"client identifier invalid":          sign("iss", "nobody"),
		"invalid assertion":                  sign()[:40] + "x" + sign()[41:],
	} {
		if got := ask(assertion); got["error_description"] != want {
			t.Errorf("%s: %v", want, got)
		}
	}
}
