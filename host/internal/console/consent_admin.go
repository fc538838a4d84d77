package console

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	maxConsentBody = 64 << 10 // bytes
	// consentTimeout is for what asks Salesforce.
	consentTimeout = 2 * time.Minute
)

func (a admin) consentRoutes(mux *http.ServeMux) {
	c := a.host
	source := func(r *http.Request) event.SourceID { return event.SourceID(r.PathValue("source")) }
	id := func(r *http.Request) string { return r.PathValue("id") }
	for pattern, do := range map[string]func(ctx context.Context, r *http.Request) (any, error){
		"GET /consent/{source}": func(ctx context.Context, r *http.Request) (any, error) { return c.Consent(ctx, source(r)) },
		"POST /consent/{source}/begin": func(ctx context.Context, r *http.Request) (any, error) {
			form, err := formOf(r)
			if err != nil {
				return nil, err
			}
			return c.BeginConsent(ctx, source(r), form.Get("callback"))
		},
		"POST /consent/{source}/revoke": func(ctx context.Context, r *http.Request) (any, error) {
			return struct{}{}, c.RevokeConsent(ctx, source(r))
		},
		"POST /consent/{source}/token": func(ctx context.Context, r *http.Request) (any, error) { return c.AccessToken(ctx, source(r)) },
		"POST /attempts/{id}/answer": func(ctx context.Context, r *http.Request) (any, error) {
			form, err := formOf(r)
			if err != nil {
				return nil, err
			}
			return c.AnswerConsent(ctx, id(r), form)
		},
		"GET /attempts/{id}":       func(_ context.Context, r *http.Request) (any, error) { return c.AwaitConsent(r.Context(), id(r)) },
		"POST /attempts/{id}/keep": func(ctx context.Context, r *http.Request) (any, error) { return struct{}{}, c.KeepConsent(ctx, id(r)) },
		"POST /attempts/{id}/drop": func(ctx context.Context, r *http.Request) (any, error) { return struct{}{}, c.DropConsent(ctx, id(r)) },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), consentTimeout)
			defer cancel()
			r.Body = http.MaxBytesReader(w, r.Body, maxConsentBody)
			found, err := do(ctx, r)
			if err != nil {
				answerError(w, a.log, err)
				return
			}
			answer(w, http.StatusOK, found)
		})
	}
}

func formOf(r *http.Request) (url.Values, error) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		form, bad := url.ParseQuery(string(body))
		if bad == nil {
			return form, nil
		}
		err = bad
	}
	return nil, &Error{Code: CodeBadRequest, Message: "read the form: " + err.Error()}
}

// BeginConsent implements Consents.
func (c *Client) BeginConsent(ctx context.Context, source event.SourceID, callback string) (a Attempt, err error) {
	return a, c.post(ctx, consentPath(source)+"/begin", url.Values{"callback": {callback}}, &a)
}

// AnswerConsent implements Consents.
func (c *Client) AnswerConsent(ctx context.Context, id string, answer url.Values) (g Grant, err error) {
	return g, c.post(ctx, attemptPath(id)+"/answer", answer, &g)
}

// AwaitConsent implements Consents.
func (c *Client) AwaitConsent(ctx context.Context, id string) (g Grant, err error) {
	return g, c.get(ctx, attemptPath(id), nil, &g)
}

// KeepConsent implements Consents.
func (c *Client) KeepConsent(ctx context.Context, id string) error {
	return c.post(ctx, attemptPath(id)+"/keep", nil, &struct{}{})
}

// DropConsent implements Consents.
func (c *Client) DropConsent(ctx context.Context, id string) error {
	return c.post(ctx, attemptPath(id)+"/drop", nil, &struct{}{})
}

// Consent implements Consents.
func (c *Client) Consent(ctx context.Context, source event.SourceID) (st Consent, err error) {
	return st, c.get(ctx, consentPath(source), nil, &st)
}

// RevokeConsent implements Consents.
func (c *Client) RevokeConsent(ctx context.Context, source event.SourceID) error {
	return c.post(ctx, consentPath(source)+"/revoke", nil, &struct{}{})
}

// AccessToken implements Consents.
func (c *Client) AccessToken(ctx context.Context, source event.SourceID) (t AccessToken, err error) {
	return t, c.post(ctx, consentPath(source)+"/token", nil, &t)
}

func consentPath(source event.SourceID) string { return "/consent/" + url.PathEscape(string(source)) }
func attemptPath(id string) string             { return "/attempts/" + url.PathEscape(id) }
