package console

import (
	"context"
	"net/url"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Consents is what people do with a host's consents; a Client does it over the
// admin API. Its methods are called from many goroutines. An error that is no *Error is told as
// CodeInternal.
type Consents interface {
	// BeginConsent begins a consent of a source. The callback is where the browser
	// is sent back to.
	BeginConsent(ctx context.Context, source event.SourceID, callback string) (Attempt, error)
	// AnswerConsent takes an answer that a person brings for an attempt: code,
	// state, error and error_description.
	AnswerConsent(ctx context.Context, id string, answer url.Values) (Grant, error)
	// AwaitConsent returns what a browser brings for an attempt to the console's
	// own callback.
	AwaitConsent(ctx context.Context, id string) (Grant, error)
	// KeepConsent keeps what an attempt brought; DropConsent gives it back.
	KeepConsent(ctx context.Context, id string) error
	DropConsent(ctx context.Context, id string) error

	Consent(ctx context.Context, source event.SourceID) (Consent, error)
	// RevokeConsent revokes a source's grant where it was given, and forgets it.
	RevokeConsent(ctx context.Context, source event.SourceID) error
	// AccessToken returns what a source itself would get.
	AccessToken(ctx context.Context, source event.SourceID) (AccessToken, error)
}

// Attempt is a consent on its way.
type Attempt struct {
	ID string `json:"id"`
	// URL is what a browser opens; empty where the flow needs none, and the Grant is
	// here at once.
	URL      string    `json:"url,omitempty"`
	Callback string    `json:"callback,omitempty"`
	Expires  time.Time `json:"expires"`
	Grant    *Grant    `json:"grant,omitempty"`
}

// Grant tells who granted what.
type Grant struct {
	InstanceURL string    `json:"instance_url,omitempty"`
	OrgID       string    `json:"org_id,omitempty"`
	Org         string    `json:"org,omitempty"` // its name, where it is known
	Sandbox     bool      `json:"sandbox"`
	UserID      string    `json:"user_id,omitempty"`
	User        string    `json:"user,omitempty"` // username, where it is known
	Scopes      []string  `json:"scopes"`
	Granted     time.Time `json:"granted,omitzero"` // by the person
	Renewed     time.Time `json:"renewed,omitzero"` // the access token
	// Warning is what to know before the grant is kept.
	Warning *Error `json:"warning,omitempty"`
}

// Consent tells how a source's consent is.
type Consent struct {
	Source   event.SourceID `json:"source"`
	Flow     string         `json:"flow"`
	LoginURL string         `json:"login_url"`
	// State is granted, needs_consent, failing or untried.
	State string `json:"state"`
	Grant
	// Error is why there is no access token; nil: there is one.
	Error   *Error    `json:"error,omitempty"`
	ErrorAt time.Time `json:"error_at,omitzero"`
	RetryAt time.Time `json:"retry_at,omitzero"` // zero: not by itself
}

// AccessToken is short-lived. It is a secret.
type AccessToken struct {
	AccessToken string `json:"access_token"`
	InstanceURL string `json:"instance_url"`
}

// Callbacks takes what browsers bring to the console's own callback.
type Callbacks interface {
	// CallbackConsent finds by an answer's state the attempt that it is for.
	CallbackConsent(ctx context.Context, answer url.Values) (Grant, error)
}
