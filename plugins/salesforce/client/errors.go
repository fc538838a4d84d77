package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

// Kind says what became of a request, in words of Wellhead: the code of a
// problem that an operator sees. The values are stable.
type Kind string

// The kinds of Error.
const (
	SessionRefused   Kind = "session_refused"
	DailyLimit       Kind = "daily_limit"
	ConcurrentLimit  Kind = "concurrent_limit"
	BulkLimit        Kind = "bulk_limit"
	BulkUnsupported  Kind = "bulk_unsupported"
	BulkFailed       Kind = "bulk_failed"
	QueryTimeout     Kind = "query_timeout"
	QueryTooLarge    Kind = "query_too_large"
	MalformedQuery   Kind = "malformed_query"
	UnknownField     Kind = "unknown_field"
	UnknownObject    Kind = "unknown_object"
	LocatorLost      Kind = "locator_lost"
	URITooLong       Kind = "uri_too_long"
	NoPermission     Kind = "no_permission"
	APIDisabled      Kind = "api_disabled"
	SecurityPolicy   Kind = "security_policy"
	VersionRetired   Kind = "version_retired"
	ReplicationRange Kind = "replication_range"
	TooManyDeletions Kind = "too_many_deletions"
	NotFound         Kind = "not_found"
	WrongHost        Kind = "wrong_host"
	Unavailable      Kind = "unavailable" // for a while: it is asked again
	Refused          Kind = "refused"     // any other answer
)

// Error is an answer by which Salesforce refused a request.
type Error struct {
	Kind    Kind
	Status  int
	Code    string // Salesforce's own, such as INVALID_FIELD; empty where there was none
	Message string // Salesforce's own, shortened
	// RetryAfter is how long Salesforce asks for silence; 0: it does not.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	s := "salesforce: " + strings.ReplaceAll(string(e.Kind), "_", " ")
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Temporary reports whether the same request may succeed a little later.
func (e *Error) Temporary() bool { return e.Kind == Unavailable || e.Kind == ConcurrentLimit }

func (e *Error) sessionLost() bool {
	switch e.Code {
	case "INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT":
		return e.Status == http.StatusUnauthorized
	}
	return false
}

// Is reports whether err is an Error of this kind.
func Is(err error, k Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == k
}

// QuotaError is returned without asking Salesforce, while the org's daily
// requests are used up to the source's mark.
type QuotaError struct {
	Used, Allowed int64
	StopAt        float64
	RetryAfter    time.Duration
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("%d of the org's %d API requests of 24 hours are used, and the source stops at %.0f%%", e.Used, e.Allowed, e.StopAt*100)
}

// kinds maps Salesforce's error codes.
var kinds = map[string]Kind{
	"INVALID_SESSION_ID": SessionRefused, "INVALID_AUTH_HEADER": SessionRefused, "INVALID_JWT_FORMAT": SessionRefused,
	"QUERY_TIMEOUT": QueryTimeout, "OPERATION_TOO_LARGE": QueryTooLarge, "QUERY_TOO_COMPLICATED": QueryTooLarge,
	"MALFORMED_QUERY": MalformedQuery, "INVALID_QUERY_FILTER_OPERATOR": MalformedQuery, "MALFORMED_ID": MalformedQuery,
	"INVALID_FIELD": UnknownField, "INVALID_TYPE": UnknownObject, "INVALIDENTITY": BulkUnsupported,
	"INVALID_QUERY_LOCATOR": LocatorLost, "INVALID_LOCATOR": LocatorLost,
	"INSUFFICIENT_ACCESS": NoPermission, "INSUFFICIENT_ACCESS_OR_READONLY": NoPermission, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": NoPermission,
	"API_DISABLED_FOR_ORG": APIDisabled, "API_CURRENTLY_DISABLED": APIDisabled,
	"TXN_SECURITY_METERING_ERROR": SecurityPolicy, "TXN_SECURITY_BLOCK": SecurityPolicy,
	"UNSUPPORTED_API_VERSION": VersionRetired, "GONE": VersionRetired, "InvalidVersion": VersionRetired,
	"INVALID_REPLICATION_DATE": ReplicationRange, "EXCEEDED_ID_LIMIT": TooManyDeletions,
	"NOT_FOUND": NotFound, "UNABLE_TO_LOCK_ROW": Unavailable, "SERVER_UNAVAILABLE": Unavailable, "UNKNOWN_EXCEPTION": Unavailable,
}

// parseError makes an Error of an answer. body is at most 64 KiB of it.
func parseError(status int, html bool, body []byte) error {
	e := &Error{Status: status, Code: "", Message: ""}
	var list []struct{ Message, ErrorCode string }
	var one struct {
		Message, ErrorCode string
		Error              string `json:"error"`
		Description        string `json:"error_description"`
	}
	switch {
	case html:
	case json.Unmarshal(body, &list) == nil && len(list) > 0:
		e.Code, e.Message = list[0].ErrorCode, list[0].Message
	case json.Unmarshal(body, &one) == nil:
		e.Code, e.Message = one.ErrorCode, one.Message
		if one.Error != "" {
			e.Code, e.Message = one.Error, one.Description
		}
	default:
		e.Message = string(bytes.TrimSpace(body))
	}
	e.Code, e.Message = clip(e.Code), clip(strings.Join(strings.Fields(e.Message), " "))
	e.Kind = kindOf(e, html)
	if e.Message == "" {
		e.Message = fmt.Sprintf("status %d", status)
		if html {
			e.Message += " with a web page instead of JSON"
		}
	}
	return e
}

func kindOf(e *Error, html bool) Kind {
	m := strings.ToLower(e.Message)
	switch {
	case e.Code == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(m, "concurrent"):
		return ConcurrentLimit
	case e.Code == "REQUEST_LIMIT_EXCEEDED":
		return DailyLimit
	case strings.HasPrefix(m, "max bulk v2 query"), e.Code == "LIMIT_EXCEEDED":
		return BulkLimit
	case strings.Contains(m, "not supported in bulk"), strings.Contains(m, "not supported by the bulk"):
		return BulkUnsupported
	case strings.Contains(m, "retried more than"):
		return BulkFailed
	}
	if k, ok := kinds[e.Code]; ok {
		return k
	}
	// Bulk jobs put the query's own code into the message.
	if code, _, _ := strings.Cut(e.Message, ":"); e.Code == "API_ERROR" || e.Code == "" {
		if k, ok := kinds[code]; ok {
			return k
		}
	}
	switch {
	case e.Status == http.StatusRequestURITooLong || e.Status == http.StatusRequestHeaderFieldsTooLarge:
		return URITooLong
	case e.Status == http.StatusUnauthorized:
		return SessionRefused
	case e.Status >= 300 && e.Status < 400, html && e.Status == http.StatusNotFound:
		return WrongHost
	case e.Status == http.StatusGone:
		return VersionRetired
	case e.Status == http.StatusNotFound:
		return NotFound
	case html, e.Status >= 500, e.Status == http.StatusTooManyRequests, e.Status == http.StatusNotAcceptable, e.Status == 420, e.Status == http.StatusRequestTimeout:
		return Unavailable
	case e.Status == http.StatusForbidden:
		return NoPermission
	}
	return Refused
}

// fixes says for each kind what a person can do.
var fixes = map[Kind]string{
	SessionRefused:   "run wellhead connect SOURCE; if that does not help, look at Setup > Session Settings (IP ranges) and Setup > OAuth Usage (whether the app is blocked)",
	DailyLimit:       "nothing is lost, the source goes on when requests are free again; see Setup > Company Information > API Requests, Last 24 Hours, and raise interval or lower quota.stop_at",
	ConcurrentLimit:  "too many requests of 20 seconds and more run in the org at once; a source that runs tries again by itself",
	BulkLimit:        "the org's Bulk API limit of 24 hours is used up; the source goes on when it is free again, see Setup > Company Information and GET /limits DailyBulkV2QueryJobs",
	BulkUnsupported:  "nothing to do: the object is read by REST",
	BulkFailed:       "see Setup > Bulk Data Load Jobs for the job's message; narrow the sync by where or fields",
	QueryTimeout:     "narrow the sync by where or fields, or ask Salesforce support for an index on SystemModstamp",
	QueryTooLarge:    "narrow the sync by fields",
	MalformedQuery:   "mend where: it must be the condition of a SOQL query on this object, without the word WHERE",
	UnknownField:     "mend the field's name, or make it visible: Setup > Object Manager > the object > Fields & Relationships > the field > Set Field-Level Security",
	UnknownObject:    "mend the object's API name (custom objects end in __c), or let the user read it: Setup > Permission Sets > the user's set > Object Settings > the object > Read",
	LocatorLost:      "nothing to do: the read goes on behind the last record",
	URITooLong:       "name fewer fields in the sync",
	NoPermission:     "let the connected user read it: Setup > Permission Sets > the user's set > Object Settings > the object > Read and View All Records",
	APIDisabled:      "enable the API: Setup > Permission Sets > the user's set > System Permissions > API Enabled; the org's edition must have the API",
	SecurityPolicy:   "a transaction security policy forbids it: Setup > Transaction Security Policies, exempt the connected user",
	VersionRetired:   `set api_version to a supported one, such as "` + DefaultVersion + `"`,
	ReplicationRange: "nothing to do: deletions of that time are found by comparing ids",
	TooManyDeletions: "nothing to do: the deletions are found by comparing ids",
	NotFound:         "look whether the object exists and whether the connected user may read it",
	WrongHost:        "set login_url to the org's My Domain (Setup > My Domain > Current My Domain URL) and run wellhead connect SOURCE",
	Unavailable:      "nothing is lost, and a source that runs tries again; see status.salesforce.com for the org's instance",
	Refused:          "see the message",
}

// Problem says what is wrong and what to do about it. path is the JSON Pointer
// of the config that it concerns.
func Problem(err error, path string) sdk.Problem {
	if e, ok := errors.AsType[*Error](err); ok {
		return sdk.Problem{Code: string(e.Kind), Path: path, Message: e.Error(), Fix: fixes[e.Kind]}
	}
	if e, ok := errors.AsType[*QuotaError](err); ok {
		return sdk.Problem{Code: "quota", Path: "/quota/stop_at", Message: e.Error(), Fix: "nothing is lost, the source goes on when requests are free again; raise quota.stop_at or interval to go on sooner"}
	}
	switch {
	case errors.Is(err, sdk.ErrNeedsConsent):
		return sdk.Problem{Code: "needs_consent", Path: "/auth", Message: err.Error(), Fix: "run wellhead connect SOURCE"}
	case errors.Is(err, sdk.ErrNoToken):
		return sdk.Problem{Code: "no_token", Path: "/auth", Message: err.Error(), Fix: "see wellhead consent status"}
	}
	return sdk.Problem{Code: "unreachable", Path: path, Message: err.Error(), Fix: "look at the network between this machine and the org, then at status.salesforce.com"}
}
