package console

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

// CallbackPath is where browsers come back to with an answer to a consent.
const CallbackPath = "/oauth/callback"

// callback takes the answer of a browser that Salesforce sent back. What it
// answers is known by its state alone, which nobody can guess.
func callback(c Callbacks, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet { // a HEAD would use the code up
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		// It fails only where there is no connection to write to.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(consentTimeout))
		grant, err := c.CallbackConsent(r.Context(), r.URL.Query())
		if err != nil {
			log.Warn("a browser's answer to a consent is not good", "error", err)
		}
		WriteCallback(w, grant, err)
	}
}

// WriteCallback tells a person in a browser what came of a consent, and that it
// is confirmed elsewhere.
func WriteCallback(w http.ResponseWriter, grant Grant, err error) {
	page := struct {
		Grant
		Problem *Error
	}{Grant: grant}
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		if !errors.As(err, &page.Problem) {
			page.Problem = &Error{Message: err.Error(), Hint: "look at the host's log"}
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the page's URL holds a code
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(status)
	// What cannot be written has nobody to read it.
	_ = callbackPage.Execute(w, page)
}

var callbackPage = template.Must(template.New("callback").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Wellhead: consent</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem}dt{color:#666}dd{margin:0 0 .5rem}</style>
</head><body>
{{- with .Problem}}
<h1>Not connected</h1>
<p>{{.Message}}</p>
<p>{{.Hint}}</p>
<p><small>{{.Code}}</small></p>
{{- else}}
<h1>Access granted</h1>
<dl><dt>Org</dt><dd>{{or .Org "name unknown"}}{{if .Sandbox}}, a sandbox{{end}} ({{.OrgID}})</dd><dt>User</dt><dd>{{or .User .UserID}}</dd>
<dt>Scopes</dt><dd>{{range .Scopes}}{{.}} {{end}}</dd></dl>
<p>Return to the terminal, where <code>wellhead connect</code> asks whether that is right.</p>
{{- end}}
</body></html>
`))
