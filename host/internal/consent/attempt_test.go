package consent_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
)

func TestAConsentIsAskedForAsSalesforceWants(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"response_type": "code", "client_id": clientID, "redirect_uri": callback, "prompt": "login consent",
			"scope": "api refresh_token", "code_challenge_method": "S256", "client_secret": "",
		} {
			if q.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, q.Get(name), want)
			}
		}
		if u.Scheme+"://"+u.Host+u.Path != loginURL+"/services/oauth2/authorize" || len(q.Get("state")) < 32 {
			t.Error(a.URL)
		}
		if _, err := b.Callback(t.Context(), url.Values{"code": {"the code"}, "state": {q.Get("state")}}); err != nil {
			t.Fatal(err)
		}
		form := b.asked()[0]
		challenge := sha256.Sum256([]byte(form.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
			t.Error("the verifier is not that of the challenge")
		}
		if form.Get("code") != "the code" || form.Get("redirect_uri") != callback || form.Get("client_secret") != secret || form.Has("basic") {
			t.Errorf("%v", form)
		}
	})
}

func TestOnlyTheAnswerOfAnAttemptIsTaken(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []string{"", "guess", stateOf(t, a) + "x", stateOf(t, a)[1:]} {
			if _, err := b.Callback(t.Context(), url.Values{"code": {"c"}, "state": {state}}); !is(err, consent.CodeState) {
				t.Errorf("state %q: %v", state, err)
			}
			if state == "" {
				continue // a person brings a code alone
			}
			if _, err := b.Answer(t.Context(), a.ID, url.Values{"code": {"c"}, "state": {state}}); !is(err, consent.CodeState) {
				t.Errorf("state %q: %v", state, err)
			}
		}
		if err := b.Keep(t.Context(), a.ID); !is(err, consent.CodeState) {
			t.Errorf("kept before it was granted: %v", err)
		}
		if len(b.asked()) != 0 {
			t.Errorf("Salesforce was asked %v", b.asked())
		}
		if _, err := b.Callback(t.Context(), url.Values{"code": {"c"}, "state": {stateOf(t, a)}}); err != nil {
			t.Error(err)
		}
	})
}

func TestACodeIsExchangedOnce(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		answer := url.Values{"code": {"c"}, "state": {stateOf(t, a)}}
		first, err := b.Callback(t.Context(), answer)
		if err != nil || first.Org != "Acme, Inc." || first.User != "admin@acme.example" || !first.Sandbox || first.OrgID != "00D000000000001EAA" || len(first.Scopes) != 2 {
			t.Fatalf("%+v %v", first, err)
		}
		if again, err := b.Callback(t.Context(), answer); err != nil || again.Org != first.Org { // the page was loaded again
			t.Errorf("%+v %v", again, err)
		}
		if waited, err := b.Wait(t.Context(), a.ID); err != nil || waited.Org != first.Org {
			t.Errorf("%+v %v", waited, err)
		}
		if len(b.asked()) != 1 {
			t.Errorf("%d exchanges", len(b.asked()))
		}
		if err := b.Keep(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Callback(t.Context(), answer); !is(err, consent.CodeState) {
			t.Error(err)
		}
	})
}

func TestWhatIsNotKeptIsGivenBack(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Answer(t.Context(), a.ID, url.Values{"code": {"c"}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Drop(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		if len(b.revoked) != 1 || b.revoked[0] != refreshToken(1) {
			t.Errorf("revoked %q", b.revoked)
		}
		if _, err := b.token(); !is(err, consent.CodeNeedsConsent) {
			t.Error(err)
		}
		if err := b.Keep(t.Context(), a.ID); !is(err, consent.CodeState) {
			t.Error(err)
		}
	})
}

func TestADenialIsExplainedToBothEnds(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() { _, err := b.Wait(t.Context(), a.ID); waited <- err }()
		_, err = b.Callback(t.Context(), url.Values{"error": {"access_denied"}, "error_description": {"end-user denied authorization"}, "state": {stateOf(t, a)}})
		if !is(err, consent.CodeDenied) {
			t.Error(err)
		}
		if err := <-waited; !is(err, consent.CodeDenied) {
			t.Error(err)
		}
	})
}

func TestAnAttemptHasAnEnd(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Wait(t.Context(), a.ID); !is(err, consent.CodeState) {
			t.Error(err)
		}
		if _, err := b.Callback(t.Context(), url.Values{"code": {"c"}, "state": {stateOf(t, a)}}); !is(err, consent.CodeState) || time.Now().Before(a.Expires) {
			t.Error(err)
		}
	})
}

func TestAGrantWithoutARefreshTokenIsRefused(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.set(func(f *fake) {
			f.refuse = func(url.Values) (int, string) {
				return 200, `{"access_token":"a","instance_url":"https://a.my.salesforce.com"}`
			}
		})
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Answer(t.Context(), a.ID, url.Values{"code": {"c"}}); !is(err, consent.CodeScope) {
			t.Error(err)
		}
	})
}

func TestACallbackThatSalesforceRefusesIsRefused(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		for _, bad := range []string{"", "/oauth/callback", "http://example.com/oauth/callback", "ftp://localhost/x", "http://localhost:1/x?y=z"} {
			if _, err := b.Begin(t.Context(), "crm", bad); !is(err, consent.CodeUnsupported) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if _, err := b.Begin(t.Context(), "crm", "https://wellhead.example.com/oauth/callback"); err != nil {
			t.Error(err)
		}
		if _, err := b.Begin(t.Context(), "website", callback); !is(err, consent.CodeUnsupported) {
			t.Error(err)
		}
	})
}
