package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// consents answer as they are told, and remember what they were asked.
type consents struct {
	grant   console.Grant
	attempt console.Attempt
	consent console.Consent
	err     error
	asked   *[]string
}

func (c consents) note(what ...string) error {
	if c.asked != nil {
		*c.asked = append(*c.asked, strings.Join(what, " "))
	}
	return c.err
}

func (c consents) BeginConsent(_ context.Context, source event.SourceID, callback string) (console.Attempt, error) {
	return c.attempt, c.note("begin", string(source), callback)
}

func (c consents) AnswerConsent(_ context.Context, id string, answer url.Values) (console.Grant, error) {
	return c.grant, c.note("answer", id, answer.Encode())
}

func (c consents) CallbackConsent(_ context.Context, answer url.Values) (console.Grant, error) {
	return c.grant, c.note("callback", answer.Encode())
}

func (c consents) AwaitConsent(_ context.Context, id string) (console.Grant, error) {
	return c.grant, c.note("await", id)
}

func (c consents) KeepConsent(_ context.Context, id string) error { return c.note("keep", id) }
func (c consents) DropConsent(_ context.Context, id string) error { return c.note("drop", id) }

func (c consents) Consent(_ context.Context, source event.SourceID) (console.Consent, error) {
	return c.consent, c.note("status", string(source))
}

func (c consents) RevokeConsent(_ context.Context, source event.SourceID) error {
	return c.note("revoke", string(source))
}

func (c consents) AccessToken(_ context.Context, source event.SourceID) (console.AccessToken, error) {
	return console.AccessToken{AccessToken: "a", InstanceURL: "https://i"}, c.note("token", string(source))
}

func TestConsentsArriveWhole(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	grant := console.Grant{
		InstanceURL: "https://i", OrgID: "00D", Org: "A <b> & c", Sandbox: true, UserID: "005", User: "u@example", Scopes: []string{"api"},
		Granted: at, Renewed: at, Warning: &console.Error{Code: "w", Message: "m", Hint: "h"},
	}
	var asked []string
	c := consents{
		grant: grant, attempt: console.Attempt{ID: "1", URL: "https://l?x=y&z", Callback: "http://localhost:1/x", Expires: at, Grant: &grant},
		consent: console.Consent{Source: "crm", Flow: "web", LoginURL: "https://l", State: "failing", Grant: grant, Error: &console.Error{Code: "e"}, ErrorAt: at, RetryAt: at},
		asked:   &asked,
	}
	client, ctx := start(t, &fake{consents: c}, shortDir(t)).dial(t), t.Context()
	same := func(got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	a, err := client.BeginConsent(ctx, "crm", "http://localhost:1/x")
	same(a, c.attempt, err)
	g, err := client.AnswerConsent(ctx, "1", url.Values{"code": {"a+b/c=="}, "state": {"s t"}})
	same(g, grant, err)
	g, err = client.AwaitConsent(ctx, "1")
	same(g, grant, err)
	st, err := client.Consent(ctx, "crm")
	same(st, c.consent, err)
	token, err := client.AccessToken(ctx, "crm")
	same(token, console.AccessToken{AccessToken: "a", InstanceURL: "https://i"}, err)
	same(nil, nil, errors.Join(client.KeepConsent(ctx, "1"), client.DropConsent(ctx, "1"), client.RevokeConsent(ctx, "crm")))
	same(asked, []string{
		"begin crm http://localhost:1/x", "answer 1 code=a%2Bb%2Fc%3D%3D&state=s+t", "await 1", "status crm", "token crm", "keep 1", "drop 1", "revoke crm",
	}, nil)

	c.err = &console.Error{Code: "consent_denied", Message: "no", Hint: "yes"}
	client = start(t, &fake{consents: c}, shortDir(t)).dial(t)
	_, err = client.AwaitConsent(ctx, "1")
	want, _ := errors.AsType[*console.Error](c.err)
	if e, ok := errors.AsType[*console.Error](err); !ok || *e != *want {
		t.Errorf("%v", err)
	}
}

func TestTheCallbackShowsWhatCameOfIt(t *testing.T) {
	var asked []string
	r := start(t, &fake{consents: consents{grant: console.Grant{Org: "<script>alert(1)</script>", OrgID: "00D", User: "u@example"}, asked: &asked}}, shortDir(t))
	got := r.ask(t, http.MethodGet, "/oauth/callback?code=a%2Bb&state=s", nil)
	if got.status != http.StatusOK || !strings.Contains(got.body, "&lt;script&gt;") || strings.Contains(got.body, "<script>") || !strings.Contains(got.body, "u@example") {
		t.Errorf("%d %s", got.status, got.body)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q", name, got.header.Get(name))
		}
	}
	if len(asked) != 1 || asked[0] != "callback code=a%2Bb&state=s" {
		t.Errorf("asked %q", asked)
	}
	// Nobody else uses a code up.
	r.ask(t, http.MethodHead, "/oauth/callback?code=c&state=s", nil)
	r.ask(t, http.MethodGet, "/oauth/callback?code=c&state=s", func(req *http.Request) { req.Host = "evil.example" })
	r.ask(t, http.MethodGet, "/oauth/callback?code=c&state=s", func(req *http.Request) { req.Header.Set("Origin", "https://evil.example") })
	if len(asked) != 1 {
		t.Errorf("asked %q", asked)
	}

	r = start(t, &fake{consents: consents{err: &console.Error{Code: "app_blocked", Message: "an admin has blocked the app", Hint: "Setup > Unblock"}}}, shortDir(t))
	got = r.ask(t, http.MethodGet, "/oauth/callback?error=x", nil)
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "an admin has blocked the app") || !strings.Contains(got.body, "Setup &gt; Unblock") || !strings.Contains(got.body, "app_blocked") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
