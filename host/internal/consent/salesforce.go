package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	// requestTimeout is for one question to Salesforce.
	requestTimeout = 30 * time.Second
	// assertionLife is how long a signed assertion is good. Salesforce wants it
	// short.
	assertionLife = 3 * time.Minute
	maxAnswer     = 1 << 20 // bytes; of tokens x/oauth2 reads as much
	// apiVersion serves two queries that every version since 2012 answers alike.
	apiVersion = "v60.0"
)

// scopes are what a source needs: the API, and to go on without the person.
var scopes = []string{"api", "refresh_token"}

// app speaks with Salesforce for one source.
type app struct {
	source   event.SourceID
	settings Settings
	key      []byte // of the JWT flow, in PEM
	http     *http.Client
}

func newApp(source event.SourceID, s Settings, transport http.RoundTripper) (*app, error) {
	a := &app{source: source, settings: s, http: &http.Client{
		Transport: transport, Timeout: requestTimeout,
		// Secrets go to the configured host and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if s.Auth.Flow == JWT {
		var err error
		if a.key, err = s.Auth.privateKey(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// newTransport makes no second try by itself: a code or a refresh token that
// rotates can be used once.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

func (a *app) url(path string) string { return a.settings.loginURL() + "/services/oauth2/" + path }

func (a *app) config(callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.settings.Auth.ClientID, ClientSecret: a.settings.Auth.ClientSecret.Reveal(),
		RedirectURL: callback, Scopes: scopes,
		// Else x/oauth2 would find the style out by a second try.
		Endpoint: oauth2.Endpoint{AuthURL: a.url("authorize"), TokenURL: a.url("token"), AuthStyle: oauth2.AuthStyleInParams},
	}
}

// authorizeURL is where a person grants access. It asks them to log in, since the
// browser may be in another org.
func (a *app) authorizeURL(callback, state, verifier string) string {
	return a.config(callback).AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "login consent"))
}

// exchange turns the code of the browser into a grant. It can be done once.
func (a *app) exchange(ctx context.Context, callback, code, verifier string) (*grant, error) {
	t, err := a.config(callback).Exchange(a.context(ctx), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, a.explain(err, callback)
	}
	if t.RefreshToken == "" {
		return nil, &Error{Code: CodeScope, Message: "Salesforce gave no refresh token, so that access would end with this session",
			Hint: "add \"Perform requests at any time (refresh_token, offline_access)\" to " + appSettings + " > OAuth Scopes"}
	}
	return a.grantOf(t)
}

// renew gets a new access token. refresh is that of the web flow.
func (a *app) renew(ctx context.Context, refresh string) (*grant, error) {
	ctx = a.context(ctx)
	var source oauth2.TokenSource
	switch auth := &a.settings.Auth; auth.Flow {
	case JWT:
		source = (&jwt.Config{
			Email: auth.ClientID, Subject: auth.Username, PrivateKey: a.key, TokenURL: a.url("token"),
			Audience: a.settings.loginURL(), Expires: assertionLife,
		}).TokenSource(ctx)
	case ClientCredentials:
		source = (&clientcredentials.Config{
			ClientID: auth.ClientID, ClientSecret: auth.ClientSecret.Reveal(),
			TokenURL: a.url("token"), AuthStyle: oauth2.AuthStyleInParams,
		}).TokenSource(ctx)
	default:
		source = a.config("").TokenSource(ctx, &oauth2.Token{RefreshToken: refresh})
	}
	t, err := source.Token()
	if err != nil {
		return nil, a.explain(err, "")
	}
	return a.grantOf(t)
}

func (a *app) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, a.http)
}

var identityForm = regexp.MustCompile(`/id/([0-9A-Za-z]{15,18})/([0-9A-Za-z]{15,18})$`)

// grantOf takes what is needed of an answer. instance_url may differ from one to
// the next: an org moves, or its My Domain gets another name.
func (a *app) grantOf(t *oauth2.Token) (*grant, error) {
	text := func(name string) string { s, _ := t.Extra(name).(string); return s }
	g := &grant{Whose: a.settings.whose(), Refresh: t.RefreshToken, Access: t.AccessToken}
	g.InstanceURL = strings.TrimRight(text("instance_url"), "/")
	if what, _ := badLoginURL(g.InstanceURL); what != "" {
		return nil, &Error{Code: CodeAnswer, Message: "instance_url in the answer of " + a.settings.loginURL() + " " + what,
			Hint: "check login_url"}
	}
	if strings.HasPrefix(a.settings.LoginURL, "https:") && !strings.HasPrefix(g.InstanceURL, "https:") {
		return nil, &Error{Code: CodeAnswer, Message: "instance_url in the answer of " + a.settings.loginURL() + " would send tokens unencrypted",
			Hint: "check login_url"}
	}
	if id := identityForm.FindStringSubmatch(text("id")); id != nil {
		g.OrgID, g.UserID = id[1], id[2]
	}
	g.Scopes = strings.Fields(text("scope"))
	g.Renewed = time.Now().UTC().Truncate(time.Second)
	return g, nil
}

// identify asks the org for the names of what it granted access to. It is for
// people: where Salesforce does not tell a name, Warning says why.
func (a *app) identify(ctx context.Context, g *grant) {
	g.Warning = nil
	var org struct {
		Name      string
		IsSandbox bool
	}
	if err := a.query(ctx, g, "SELECT Name, IsSandbox FROM Organization LIMIT 1", &org); err != nil {
		g.Warning = err
		return
	}
	g.Org, g.Sandbox = org.Name, org.IsSandbox
	if g.UserID == "" {
		return
	}
	var user struct{ Username string }
	// A user who may not read users still reads what else the source needs.
	if err := a.query(ctx, g, "SELECT Username FROM User WHERE Id = '"+g.UserID+"'", &user); err == nil {
		g.User = user.Username
	}
}

// query reads the one record of a query.
func (a *app) query(ctx context.Context, g *grant, soql string, record any) *Error {
	body, err := a.get(ctx, g, "/services/data/"+apiVersion+"/query?q="+url.QueryEscape(soql))
	if err != nil {
		return err
	}
	var page struct{ Records []json.RawMessage }
	if json.Unmarshal(body, &page) != nil || len(page.Records) == 0 || json.Unmarshal(page.Records[0], record) != nil {
		return &Error{Code: CodeAnswer, Message: "the answer of " + g.InstanceURL + " is not that of a Salesforce API", Hint: "check login_url"}
	}
	return nil
}

func (a *app) get(ctx context.Context, g *grant, path string) ([]byte, *Error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.InstanceURL+path, http.NoBody)
	if err != nil {
		return nil, a.explain(err, "")
	}
	req.Header.Set("Authorization", "Bearer "+g.Access)
	res, err := a.http.Do(req)
	if err != nil {
		return nil, a.explain(err, "")
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, a.explain(err, "")
	}
	if res.StatusCode == http.StatusOK {
		return body, nil
	}
	return nil, a.refused(res, body, "")
}

// revoke ends the grant of a token at Salesforce: where it was granted or, where
// that is not known, at the login URL. A token that is not good any more is no
// error.
func (a *app) revoke(ctx context.Context, instanceURL, token string) error {
	at := a.url("revoke")
	if instanceURL != "" {
		at = instanceURL + "/services/oauth2/revoke"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		return a.explain(err, "")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := a.http.Do(req)
	if err != nil {
		return a.explain(err, "")
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return a.explain(err, "")
	}
	if res.StatusCode == http.StatusOK {
		return nil
	}
	if code, _ := parseRefusal(body); code == "unsupported_token_type" || code == "invalid_token" {
		return nil
	}
	return a.refused(res, body, "")
}

// explain makes an *Error of what x/oauth2 or net/http return. Their texts may
// hold parts of answers, and are not shown as they are.
func (a *app) explain(err error, callback string) *Error {
	var refused *oauth2.RetrieveError
	var told *Error
	var network *url.Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &refused):
		return a.refused(refused.Response, refused.Body, callback)
	case errors.As(err, &network), strings.Contains(err.Error(), "cannot fetch token"):
		return &Error{Code: CodeUnreachable, Err: err,
			Message: "Salesforce cannot be reached at " + a.settings.loginURL() + ": " + quote("", networkCause(err)),
			Hint:    "check the network, HTTPS_PROXY and login_url"}
	}
	return &Error{Code: CodeAnswer, Err: err, Message: "the answer of " + a.settings.loginURL() + " is not that of Salesforce",
		Hint: "check login_url, and that no proxy answers in its place"}
}

// networkCause leaves out the URL, which was named before.
func networkCause(err error) string {
	var network *url.Error
	if errors.As(err, &network) {
		return network.Err.Error()
	}
	text := strings.TrimPrefix(err.Error(), "oauth2: cannot fetch token: ")
	if _, after, cut := strings.Cut(text, `": `); cut {
		return after
	}
	return text
}

// refused explains an answer that is none of success.
func (a *app) refused(res *http.Response, body []byte, callback string) *Error {
	code, description := parseRefusal(body)
	switch {
	case code != "":
		return explain(code, a.discreet(description), a.source, callback)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		host := "another host"
		if to, err := res.Location(); err == nil && to.Host != "" {
			host = to.Scheme + "://" + to.Host
		}
		return &Error{Code: CodeWrongDomain, Message: fmt.Sprintf("%s sends on to %s", a.settings.loginURL(), host),
			Hint: "write as login_url the host that Setup > My Domain shows"}
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == 420 || res.StatusCode == http.StatusNotAcceptable:
		e := unavailable
		e.Message += " (" + res.Status + ")"
		return &e
	}
	return &Error{Code: CodeAnswer, Message: fmt.Sprintf("%s answers %s", a.settings.loginURL(), quote("", res.Status)),
		Hint: "check login_url, and that no proxy answers in its place"}
}

var longWord = regexp.MustCompile(`[0-9A-Za-z_.!~+/=-]{20,}`)

// discreet leaves out of another's text what could be a secret that it was sent.
func (a *app) discreet(text string) string {
	if secret := a.settings.Auth.ClientSecret.Reveal(); secret != "" {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return longWord.ReplaceAllStringFunc(text, func(word string) string {
		if strings.ContainsAny(word, "0123456789") {
			return "[redacted]"
		}
		return word
	})
}

// parseRefusal reads an error of the token endpoint or of the API.
func parseRefusal(body []byte) (code, description string) {
	var one struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &one) == nil && one.Error != "" {
		return one.Error, one.Description
	}
	var many []struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &many) == nil && len(many) > 0 {
		return many[0].Code, many[0].Message
	}
	return "", ""
}
