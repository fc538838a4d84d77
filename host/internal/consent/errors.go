package consent

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Error is why there is no access token, or no consent: what is wrong, and what
// a person does about it. It never holds a secret.
type Error struct {
	Code    string `json:"code"` // stable
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Final tells that asking again cannot help before a person has acted.
	Final bool      `json:"final,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Err   error     `json:"-"` // the cause; nil: none
}

// Error writes everything on one line: what, remedy and code.
func (e *Error) Error() string {
	s := e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s + " [" + e.Code + "]"
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Codes of what Salesforce refuses. They are stable.
const (
	CodeNeedsConsent     = "needs_consent"
	CodeExpired          = "consent_expired"
	CodeDenied           = "consent_denied"
	CodeCodeExpired      = "consent_code_expired"
	CodeLoginFailed      = "login_failed"
	CodeUserInactive     = "user_inactive"
	CodeUserNotApproved  = "user_not_approved"
	CodeUserNotAdmitted  = "user_not_admitted"
	CodeRestricted       = "login_restricted"
	CodeLoginRate        = "login_rate"
	CodeOrgInactive      = "org_inactive"
	CodeAppUnknown       = "app_unknown"
	CodeAppSecret        = "app_secret"
	CodeAppBlocked       = "app_blocked"
	CodeAppNotInstalled  = "app_not_installed"
	CodeFlowDisabled     = "flow_disabled"
	CodeNoRunAsUser      = "no_run_as_user"
	CodeWrongDomain      = "wrong_domain"
	CodeAudience         = "wrong_audience"
	CodeAssertion        = "assertion_refused"
	CodeCallbackMismatch = "callback_mismatch"
	CodePKCE             = "pkce_refused"
	CodeScope            = "scope_refused"
	CodeAPIDisabled      = "api_disabled"
	CodeRequest          = "request_refused"
)

// Codes of what goes wrong on the way.
const (
	CodeUnreachable  = "salesforce_unreachable"
	CodeUnavailable  = "salesforce_unavailable"
	CodeAnswer       = "salesforce_answer" // not what Salesforce answers
	CodeTokenRefused = "token_refused"     // an access token that is just issued is refused
	CodeOther        = "oauth_refused"     // an error of Salesforce that is not known here
	CodeStore        = "consent_store"
	CodeState        = "consent_state" // an answer that belongs to no attempt
	CodeTimeout      = "consent_timeout"
	CodeUnsupported  = "consent_unsupported"
)

// Places in Setup, as External Client Apps have them since connected apps cannot
// be made any more.
const (
	appSettings = "Setup > External Client App Manager > the app > Settings > OAuth Settings"
	appPolicies = "Setup > External Client App Manager > the app > Policies > OAuth Policies"
	oauthUsage  = "Setup > Connected Apps OAuth Usage"
	loginLog    = "Setup > Login History says why"
)

// refusal is what Salesforce says, as error and error_description of RFC 6749 or
// on its own error pages, and what it means.
type refusal struct {
	code  string // of Salesforce; empty: any
	says  string // part of the description in lower case; empty: any
	means Error
}

// catalogue has every refusal that is known, the more particular ones first.
// Texts of Salesforce are from its page "OAuth 2.0 Authorization Errors"
// (remoteaccess_oauth_flow_errors), its article 005132365 on the restriction of
// uninstalled apps, and from what users of other connectors report.
var catalogue = []refusal{
	{"invalid_grant", "expired access/refresh token", Error{Code: CodeExpired, Final: true,
		Message: "Salesforce does not take the refresh token any more: it was revoked, used by another program, unused for too long, or displaced by a sixth approval of this user and app",
		Hint:    "consent anew: wellhead connect SOURCE; where it recurs, look at " + appPolicies + " > Refresh Token Policy, and let no other program share this user and app"}},
	{"invalid_grant", "expired authorization code", codeExpired},
	{"invalid_grant", "invalid authorization code", codeExpired},
	{"invalid_grant", "code verifier", pkce},
	{"invalid_request", "code verifier", pkce},
	{"invalid_request", "code challenge", pkce},
	{"invalid_grant", "audience", Error{Code: CodeAudience, Final: true,
		Message: "Salesforce does not take login_url as the audience of the signed assertion",
		Hint:    "write login_url: https://login.salesforce.com, https://test.salesforce.com for a sandbox, or the org's My Domain, as Setup > My Domain shows it"}},
	{"invalid_grant", "hasn't approved this consumer", userNotApproved},
	{"invalid_grant", "has not approved this consumer", userNotApproved},
	{"invalid_app_access", "", userNotAdmitted},
	{"", "not admin approved to access this app", userNotAdmitted},
	{"oauth_app_access_denied", "", userNotAdmitted},
	{"", "no client credentials user enabled", Error{Code: CodeNoRunAsUser, Final: true,
		Message: "the app has no user to run as, which flow: client_credentials needs",
		Hint:    "set " + appPolicies + " > OAuth Flows > Enable Client Credentials Flow, with the user in Run As (Username)"}},
	{"invalid_grant", "request not supported on this domain", Error{Code: CodeWrongDomain, Final: true,
		Message: "Salesforce offers flow: client_credentials on a My Domain only",
		Hint:    "write the org's own host as login_url, such as https://example.my.salesforce.com; Setup > My Domain shows it"}},
	{"invalid_grant", "ip restricted", restricted},
	{"invalid_grant", "login hours", restricted},
	{"invalid_grant", "assertion", assertion},
	{"invalid_grant", "signature", assertion},
	{"invalid_grant", "inactive user", userInactive},
	{"invalid_grant", "user is inactive", userInactive},
	{"invalid_grant", "authentication failure", Error{Code: CodeLoginFailed, Final: true,
		Message: "Salesforce refuses this user's login",
		Hint:    loginLog + "; then consent anew: wellhead connect SOURCE"}},
	{"invalid_grant", "", Error{Code: CodeExpired, Final: true,
		Message: "Salesforce does not take this grant any more",
		Hint:    loginLog + "; then consent anew: wellhead connect SOURCE"}},

	{"inactive_user", "", userInactive},
	{"inactive_org", "", Error{Code: CodeOrgInactive,
		Message: "the org is locked, closed or suspended",
		Hint:    "ask the org's owner, or Salesforce"}},
	{"rate_limit_exceeded", "", loginRate},
	{"", "login rate exceeded", loginRate},

	{"", "app must be installed into org", notInstalled},
	{"oauth_approval_error_generic", "", notInstalled},
	{"oauth_ec_app_not_found", "", notInstalled},
	{"", "cross-org oauth flows are not supported", notInstalled},
	{"oauth_app_blocked", "", blocked},
	{"", "app is blocked", blocked},
	{"invalid_client", "invalid client credentials", Error{Code: CodeAppSecret,
		Message: "Salesforce does not take auth.client_secret",
		Hint:    "copy the consumer secret anew from " + appSettings + " > Consumer Key and Secret, and restart the host"}},
	{"invalid_client_id", "", appUnknown},
	{"invalid_client", "", appUnknown},

	{"redirect_uri_mismatch", "", Error{Code: CodeCallbackMismatch,
		Message: "the app does not allow this callback URL",
		Hint:    "add CALLBACK, exactly so, to " + appSettings + " > Callback URL; it can take ten minutes until Salesforce knows it"}},
	{"access_denied", "", denied},
	{"access-denied", "", denied},
	{"unsupported_grant_type", "", flowDisabled},
	{"unsupported_response_type", "", flowDisabled},
	{"unauthorized_client", "", flowDisabled},
	{"invalid_scope", "", Error{Code: CodeScope,
		Message: "the app does not allow the scopes that a source needs",
		Hint:    "add \"Manage user data via APIs (api)\" and \"Perform requests at any time (refresh_token, offline_access)\" to " + appSettings + " > OAuth Scopes"}},
	{"invalid_request", "", Error{Code: CodeRequest,
		Message: "Salesforce refuses the request",
		Hint:    "compare flow, client_id and login_url of the source with " + appSettings}},

	// Of the API, which is asked who granted access.
	{"api_disabled_for_org", "", Error{Code: CodeAPIDisabled,
		Message: "the org's edition, or this user, may not use the API",
		Hint:    "set API Enabled in Setup > Profiles > the user's profile > Administrative Permissions, or by a permission set; Professional Edition has to buy it"}},
	{"api_currently_disabled", "", Error{Code: CodeAPIDisabled,
		Message: "this user may not use the API",
		Hint:    "set API Enabled in Setup > Profiles > the user's profile > Administrative Permissions, or by a permission set"}},
	{"", "not valid for use with the rest api", noAPIScope},
	{"", "not attached to agent", notInstalled},
	{"insufficient_scope", "", noAPIScope},

	{"temporarily_unavailable", "", unavailable},
	{"server_error", "", unavailable},
	{"server_unavailable", "", unavailable},
	{"unknown_error", "", unavailable},
}

var (
	codeExpired = Error{Code: CodeCodeExpired,
		Message: "the code from the browser is too old or was used before",
		Hint:    "begin again: wellhead connect SOURCE"}
	pkce = Error{Code: CodePKCE,
		Message: "the code belongs to another attempt",
		Hint:    "begin again, and grant access on the page that opens: wellhead connect SOURCE"}
	userNotApproved = Error{Code: CodeUserNotApproved, Final: true,
		Message: "the user auth.username was not pre-authorized for this app",
		Hint:    "set " + appPolicies + " > Permitted Users to \"Admin approved users are pre-authorized\", and select the user's profile or permission set in App Policies beside it"}
	userNotAdmitted = Error{Code: CodeUserNotAdmitted,
		Message: "an admin has to let this user use the app",
		Hint:    "select the user's profile or permission set in Setup > External Client App Manager > the app > Policies > App Policies, or set " + appPolicies + " > Permitted Users to \"All users can self-authorize\""}
	restricted = Error{Code: CodeRestricted,
		Message: "this user may not log in from this address, or at this hour",
		Hint:    "look at Setup > Profiles > the user's profile > Login IP Ranges and Login Hours, and at " + appPolicies + " > IP Relaxation"}
	assertion = Error{Code: CodeAssertion, Final: true,
		Message: "Salesforce does not take the signed assertion",
		Hint:    "upload the certificate of auth.private_key_file in " + appSettings + " > Enable JWT Bearer Flow, and check auth.client_id and this machine's clock"}
	userInactive = Error{Code: CodeUserInactive,
		Message: "the user who granted access is not active",
		Hint:    "set Setup > Users > the user > Edit > Active, or let another user consent: wellhead connect SOURCE"}
	loginRate = Error{Code: CodeLoginRate,
		Message: "this user has logged in too often within the last hour",
		Hint:    "look in Setup > Login History for programs that share the user"}
	notInstalled = Error{Code: CodeAppNotInstalled,
		Message: "the login is good, but the app is not installed in this org",
		Hint:    oauthUsage + " > the app > Install, or install the app's package, or make an External Client App in this very org; a user with the permission \"Approve Uninstalled Connected Apps\" needs none of it"}
	blocked = Error{Code: CodeAppBlocked,
		Message: "an admin of this org has blocked the app",
		Hint:    oauthUsage + " > the app > Unblock, and Install beside it"}
	appUnknown = Error{Code: CodeAppUnknown,
		Message: "Salesforce knows no app with auth.client_id at login_url",
		Hint:    "copy the consumer key from " + appSettings + " > Consumer Key and Secret; a new app takes up to ten minutes, and a sandbox has login_url: https://test.salesforce.com"}
	denied = Error{Code: CodeDenied,
		Message: "access was denied on the page of Salesforce",
		Hint:    "begin again and choose Allow: wellhead connect SOURCE"}
	flowDisabled = Error{Code: CodeFlowDisabled,
		Message: "the app or the org does not allow this flow",
		Hint:    "enable it in " + appSettings + " > Flow Enablement, and see Setup > OAuth and OpenID Connect Settings"}
	noAPIScope = Error{Code: CodeScope,
		Message: "the access token is not good for the API",
		Hint:    "add \"Manage user data via APIs (api)\" to " + appSettings + " > OAuth Scopes, and consent anew: wellhead connect SOURCE"}
	unavailable = Error{Code: CodeUnavailable,
		Message: "Salesforce has an outage or maintenance",
		Hint:    "see https://status.salesforce.com"}
)

// explain finds what an error of Salesforce means. The callback is that of an
// attempt; empty: none.
func explain(code, description string, source event.SourceID, callback string) *Error {
	code, says := strings.ToLower(strings.TrimSpace(code)), strings.ToLower(description)
	for i := range catalogue {
		r := &catalogue[i]
		if (r.code == "" || r.code == code) && strings.Contains(says, r.says) {
			e := r.means
			e.Message += " (" + quote(code, description) + ")"
			e.Hint = strings.NewReplacer("SOURCE", string(source), "CALLBACK", callback).Replace(e.Hint)
			if e.Final && !strings.Contains(e.Hint, "wellhead connect") {
				e.Hint += "; then run: wellhead connect " + string(source)
			}
			return &e
		}
	}
	return &Error{Code: CodeOther, Message: "Salesforce refuses: " + quote(code, description), Hint: loginLog}
}

// maxQuote bounds what is shown of another's text.
const maxQuote = 300 // bytes

// quote shows Salesforce's own words: short, on one line, and in its direction.
func quote(code, description string) string {
	text := code
	if description != "" && !strings.EqualFold(code, description) {
		text = strings.TrimPrefix(text+": "+description, ": ")
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "…"
	}
	return text
}

// needsConsent is the error of a source that nobody has granted access yet.
func needsConsent(source event.SourceID) *Error {
	return &Error{Code: CodeNeedsConsent, Final: true, Message: "nobody has granted access yet",
		Hint: fmt.Sprintf("run: wellhead connect %s", source)}
}
