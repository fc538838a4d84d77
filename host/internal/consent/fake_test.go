package consent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/consent"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "child:", child(dir, os.Getenv(childEnv+"_URL")))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

const (
	clientID = "3MVG9.consumer"
	secret   = "hush-client-secret"
)

// fake is the token endpoint of an org whose refresh tokens rotate, and as much
// of its API as tells names.
type fake struct {
	mu         sync.Mutex
	base       string // instance_url and host of id; empty: where it was asked
	generation int    // of the refresh token that is good, and of the last access token
	requests   []url.Values
	revoked    []string
	revokedAt  []string // hosts
	down       bool     // nothing can be revoked
	// refuse answers instead where it returns a status.
	refuse func(url.Values) (int, string)
	// used is called with each access token that the API sees.
	used func(string)
}

func refreshToken(n int) string { return fmt.Sprintf("5Aep861zx0.refresh-of-no-meaning.%d", n) }
func accessToken(n int) string  { return fmt.Sprintf("00D000000000001!access.%d", n) }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/services/oauth2/token":
		f.token(w, r)
	case "/services/oauth2/revoke":
		_ = r.ParseForm()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.revoked, f.revokedAt = append(f.revoked, r.PostForm.Get("token")), append(f.revokedAt, r.Host)
	default:
		f.api(w, r)
	}
}

func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := r.PostForm
	if user, _, basic := r.BasicAuth(); basic {
		form.Set("basic", user)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, form)
	w.Header().Set("Content-Type", "application/json")
	if f.refuse != nil {
		if status, body := f.refuse(form); status != 0 {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
	}
	if form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") != refreshToken(f.generation) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"expired access/refresh token"}`))
		return
	}
	f.generation++
	base := f.base
	if base == "" {
		base = "https://" + r.Host
	}
	answer := map[string]string{
		"access_token": accessToken(f.generation), "instance_url": base, "token_type": "Bearer",
		"id": base + "/id/00D000000000001EAA/005000000000001AAA", "issued_at": "1764000000000", "scope": "refresh_token api",
	}
	if g := form.Get("grant_type"); g == "refresh_token" || g == "authorization_code" {
		answer["refresh_token"] = refreshToken(f.generation)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fake) api(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	used := f.used
	f.mu.Unlock()
	if used != nil {
		used(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	record := `{"Name":"Acme, Inc.","IsSandbox":true}`
	if strings.Contains(r.URL.Query().Get("q"), "FROM User") {
		record = `{"Username":"admin@acme.example"}`
	}
	fmt.Fprintf(w, `{"totalSize":1,"done":true,"records":[%s]}`, record)
}

func (f *fake) asked() []url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]url.Values(nil), f.requests...)
}

// revocations are those since the last call: host and token.
func (f *fake) revocations() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for i := range f.revoked {
		all = append(all, f.revokedAt[i]+" "+f.revoked[i])
	}
	f.revoked, f.revokedAt = nil, nil
	return strings.Join(all, ", ")
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// RoundTrip implements http.RoundTripper: a network would not stand still with a
// test's clock.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// bench is a keeper with one source, crm, at a fake.
type bench struct {
	*fake
	*consent.Keeper
	t   *testing.T
	dir string
	log *lockedBuffer
}

// run runs a test on a clock of its own.
func run(t *testing.T, test func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newBench(t)) })
}

const loginURL = "https://acme.my.salesforce.com"

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{fake: &fake{}, t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	b.open(webSettings())
	return b
}

func webSettings() consent.Settings {
	return consent.Settings{LoginURL: loginURL, Auth: consent.Auth{Flow: consent.Web, ClientID: clientID, ClientSecret: config.NewSecret(secret)}}
}

// open opens the keeper as the next host does.
func (b *bench) open(s consent.Settings) {
	b.t.Helper()
	k := consent.Open(consent.Options{Dir: b.dir, Log: slog.New(slog.NewTextHandler(b.log, nil)), Transport: b.fake})
	if err := k.Configure("crm", s); err != nil {
		b.t.Fatal(err)
	}
	b.Keeper = k
	b.t.Cleanup(func() {
		_ = k.Close(b.t.Context())
		if text := b.log.String(); strings.Contains(text, secret) || strings.Contains(text, "refresh-of") || strings.Contains(text, "access.") {
			b.t.Errorf("a secret is in the log:\n%s", text)
		}
	})
}

// connect grants access as a person would.
func (b *bench) connect() {
	b.t.Helper()
	a, err := b.Begin(b.t.Context(), "crm", callback)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Callback(b.t.Context(), url.Values{"code": {"aPrx.code"}, "state": {stateOf(b.t, a)}}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Keep(b.t.Context(), a.ID); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) token() (consent.Token, error) { return b.Source("crm").Token(b.t.Context()) }

func (b *bench) mustToken() consent.Token {
	b.t.Helper()
	t, err := b.token()
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) grantFile() string { return filepath.Join(b.dir, "consent", "crm.grant") }

const callback = "http://localhost:8094/oauth/callback"

func stateOf(t *testing.T, a consent.Attempt) string {
	t.Helper()
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}

// renewed is a token after the one that was given out has been rejected, in its
// old age.
func (b *bench) renewed() (consent.Token, error) {
	b.t.Helper()
	old := b.mustToken()
	time.Sleep(time.Hour)
	b.Source("crm").Rejected(old.Access)
	return b.token()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
