package consent_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/consent"
)

// What Salesforce answers to a refresh, what it means, and a part of the remedy.
func TestEachRefusalOfSalesforceIsExplained(t *testing.T) {
	for _, c := range []struct {
		code, description string
		want, hint        string
		final             bool
	}{
		{"invalid_grant", "expired access/refresh token", consent.CodeExpired, "wellhead connect crm", true},
		{"invalid_grant", "authentication failure", consent.CodeLoginFailed, "Setup > Login History", true},
		{"invalid_grant", "Audience validation failed", consent.CodeAudience, "https://test.salesforce.com for a sandbox", true},
		{"invalid_grant", "user hasn't approved this consumer", consent.CodeUserNotApproved, "Permitted Users", true},
		{"invalid_grant", "no client credentials user enabled", consent.CodeNoRunAsUser, "Run As (Username)", true},
		{"invalid_grant", "request not supported on this domain", consent.CodeWrongDomain, "Setup > My Domain", true},
		{"invalid_grant", "invalid assertion", consent.CodeAssertion, "certificate", true},
		{"invalid_grant", "ip restricted or invalid login hours", consent.CodeRestricted, "Login IP Ranges", false},
		{"invalid_grant", "inactive user", consent.CodeUserInactive, "Setup > Users", false},
		{"invalid_grant", "something new", consent.CodeExpired, "wellhead connect crm", true},
		{"inactive_user", "user is inactive", consent.CodeUserInactive, "Setup > Users", false},
		{"inactive_org", "organization is not active", consent.CodeOrgInactive, "owner", false},
		{"rate_limit_exceeded", "login rate exceeded", consent.CodeLoginRate, "Login History", false},
		{"invalid_client_id", "client identifier invalid", consent.CodeAppUnknown, "Consumer Key and Secret", false},
		{"invalid_client", "invalid client credentials", consent.CodeAppSecret, "consumer secret", false},
		{"invalid_client", "app must be installed into org", consent.CodeAppNotInstalled, "Setup > Connected Apps OAuth Usage > the app > Install", false},
		{"OAUTH_EC_APP_NOT_FOUND", "external client app is not found", consent.CodeAppNotInstalled, "Install", false},
		{"OAUTH_APPROVAL_ERROR_GENERIC", "An unexpected error has occurred during authentication. Please try again.", consent.CodeAppNotInstalled, "Approve Uninstalled Connected Apps", false},
		{"invalid_request", "Cross-org OAuth flows are not supported for this external client app", consent.CodeAppNotInstalled, "package", false},
		{"OAUTH_APP_BLOCKED", "this app is blocked by admin", consent.CodeAppBlocked, "Setup > Connected Apps OAuth Usage > the app > Unblock", false},
		{"OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app", consent.CodeUserNotAdmitted, "App Policies", false},
		{"redirect_uri_mismatch", "redirect_uri must match configuration", consent.CodeCallbackMismatch, "Callback URL", false},
		{"access_denied", "end-user denied authorization", consent.CodeDenied, "choose Allow", false},
		{"unsupported_grant_type", "grant type not supported", consent.CodeFlowDisabled, "Flow Enablement", false},
		{"invalid_scope", "the requested scope is not allowed", consent.CodeScope, "OAuth Scopes", false},
		{"invalid_request", "missing required code challenge", consent.CodePKCE, "wellhead connect crm", false},
		{"invalid_request", "bad", consent.CodeRequest, "login_url", false},
		{"unknown_error", "retry your request", consent.CodeUnavailable, "status.salesforce.com", false},
		{"a_new_error", "of another year", consent.CodeOther, "Login History", false},
	} {
		run(t, func(t *testing.T, b *bench) {
			b.connect()
			b.set(func(f *fake) {
				f.refuse = func(url.Values) (int, string) {
					return 400, fmt.Sprintf(`{"error":%q,"error_description":%q}`, c.code, c.description)
				}
			})
			_, err := b.renewed()
			var e *consent.Error
			if !errors.As(err, &e) || e.Code != c.want || e.Final != c.final || !strings.Contains(e.Hint, c.hint) {
				t.Fatalf("%s: %s: got %v, final %v; want %s, final %v, to do with %q", c.code, c.description, err, e != nil && e.Final, c.want, c.final, c.hint)
			}
			if !strings.Contains(strings.ToLower(e.Message), strings.ToLower(c.code)) || strings.Contains(e.Error(), "SOURCE") || strings.HasSuffix(e.Error(), ". [") {
				t.Errorf("%s", e)
			}
		})
	}
}

// What no Salesforce would answer is told as that, and is tried again.
func TestAnswersThatAreNotSalesforcesAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"maintenance":     {http.StatusServiceUnavailable, "<html>We are down</html>", consent.CodeUnavailable},
		"a page":          {http.StatusOK, "<html>Welcome to the hotel</html>", consent.CodeAnswer},
		"no token":        {http.StatusOK, `{"instance_url":"https://x.my.salesforce.com"}`, consent.CodeAnswer},
		"no instance":     {http.StatusOK, `{"access_token":"t"}`, consent.CodeAnswer},
		"another service": {http.StatusNotFound, "not here", consent.CodeAnswer},
		"a redirect":      {http.StatusFound, "", consent.CodeWrongDomain},
		"an API error":    {http.StatusForbidden, `[{"message":"The API is disabled","errorCode":"API_DISABLED_FOR_ORG"}]`, consent.CodeAPIDisabled},
	} {
		run(t, func(t *testing.T, b *bench) {
			b.connect()
			b.set(func(f *fake) { f.refuse = func(url.Values) (int, string) { return c.status, c.body } })
			_, err := b.renewed()
			var e *consent.Error
			if !errors.As(err, &e) || e.Code != c.want || e.Final {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		})
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.set(func(f *fake) {
			f.refuse = func(form url.Values) (int, string) {
				return 400, fmt.Sprintf(`{"error":"invalid_client","error_description":"got %s and %s"}`, form.Get("client_secret"), form.Get("refresh_token"))
			}
		})
		_, err := b.renewed()
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), refreshToken(1)) {
			t.Errorf("%v", err)
		}
	})
}

// What another says does not turn the text around it, nor move the cursor.
func TestErrorsAreOneLineInOneDirection(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.set(func(f *fake) {
			f.refuse = func(url.Values) (int, string) {
				return 400, `{"error":"invalid_client","error_description":"a\u202eb\u2066c\u001bd\ne"}`
			}
		})
		if _, err := b.renewed(); err == nil || !strings.Contains(err.Error(), "a b c d e") {
			t.Errorf("%q", err)
		}
	})
}
