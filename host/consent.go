package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/consent"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// salesforce is the one provider of consents that plugins can name.
const salesforce = "salesforce"

// codeConsent marks a plugin that needs what this host does not have.
const codeConsent = "plugin_consent"

// openKeeper makes the keeper of a data_dir's consents.
func openKeeper(dir string, log *slog.Logger) *consent.Keeper {
	return consent.Open(consent.Options{Dir: dir, Key: os.Getenv(consent.KeyVariable), Log: log})
}

// consentSettings returns what the sources' configs say of their consent; none
// where the plugin needs none.
func (a *ask) consentSettings(d *wire.Description) (map[event.SourceID]consent.Settings, error) {
	switch d.GetConsent() {
	case "":
		return nil, nil
	case salesforce:
	default:
		return nil, a.conf.Problem("plugins."+string(a.spec.Name), config.Problem{
			Code: codeConsent, What: fmt.Sprintf("%s needs a consent of %q, and this host knows %s only", a.spec.Path, d.GetConsent(), salesforce),
			Hint: "run a later wellhead",
		})
	}
	all := map[event.SourceID]consent.Settings{}
	var errs []error
	for i := range a.spec.Sources {
		var s consent.Settings
		id := a.spec.Sources[i].ID
		if err := a.sourceConfig(id).Decode(&s); err != nil {
			errs = append(errs, err)
			continue
		}
		all[id] = s
	}
	return all, config.Join(errs...)
}

// configureConsents tells the keeper of the sources of a plugin, which fit.
func (a *ask) configureConsents(k *consent.Keeper, d *wire.Description) error {
	all, err := a.consentSettings(d)
	if err != nil {
		return err
	}
	for source, settings := range all {
		if err := k.Configure(source, settings); err != nil {
			return a.sourceConfig(source).Problem("/auth/private_key_file", config.Problem{Code: config.CodeWrongValue, What: err.Error()})
		}
	}
	return nil
}

// Token implements supervise.Tokens.
func (s *session) Token(ctx context.Context) *wire.Token {
	t, err := s.lane.in.token(ctx, s.lane.source)
	var e *consent.Error
	switch {
	case err == nil:
		return &wire.Token{AccessToken: t.Access, InstanceUrl: t.InstanceURL}
	case errors.As(err, &e) && e.Final:
		return &wire.Token{Error: wire.NeedsConsent}
	default:
		return &wire.Token{Error: wire.Unavailable}
	}
}

// TokenRejected implements supervise.Tokens.
func (s *session) TokenRejected(_ context.Context, accessToken string) {
	if source := s.lane.in.consented(s.lane.source); source != nil {
		source.Rejected(accessToken)
	}
}

// Consented implements supervise.Consents.
func (in *intake) Consented(source event.SourceID) (bool, <-chan struct{}) {
	s := in.consented(source)
	if s == nil {
		return true, nil
	}
	return s.Consented()
}

func (in *intake) token(ctx context.Context, source event.SourceID) (consent.Token, error) {
	s := in.consented(source)
	if s == nil {
		return consent.Token{}, errNoConsent
	}
	return s.Token(ctx)
}

var errNoConsent = errors.New("the source needs no consent")

// consented returns a source's consent; nil: it needs none.
func (in *intake) consented(source event.SourceID) *consent.Source {
	if in.consents == nil {
		return nil
	}
	return in.consents.Source(source)
}

// noToken is why a source has no access token; nil: it has one, or needs none.
func (r *running) noToken(source event.SourceID) *consent.Error {
	if r.intake.consented(source) == nil {
		return nil
	}
	st, err := r.keeper.Status(source)
	if err != nil {
		return nil //nolint:nilerr // Status fails for sources that need no consent
	}
	return st.Error
}

// consentProblems tells why a source gets no access token; noToken may be nil.
func consentProblems(st *supervise.SourceStatus, noToken *consent.Error) []console.Problem {
	p := console.Problem{Where: "source " + string(st.Source)}
	switch {
	case noToken != nil && !noToken.Final:
		p.Code, p.What, p.Hint = noToken.Code, "no access token: "+noToken.Message, noToken.Hint
	case noToken != nil && noToken.Code != codeNeedsConsent:
		p.Code, p.What, p.Hint = codeNeedsConsent, fmt.Sprintf("it waits for a person to grant access: %s [%s]", noToken.Message, noToken.Code), noToken.Hint
	case noToken != nil, st.State == supervise.NeedsConsent:
		p.Code, p.What, p.Hint = codeNeedsConsent, "it waits for a person to grant access", "run: wellhead connect "+string(st.Source)
	default:
		return nil
	}
	p.Hint = forSource(p.Hint, st.Source)
	return []console.Problem{p}
}

// consents puts a keeper's answers into the console's words.
type consents struct{ keeper *consent.Keeper }

// BeginConsent implements console.Consents.
func (c consents) BeginConsent(ctx context.Context, source event.SourceID, callback string) (console.Attempt, error) {
	a, err := c.keeper.Begin(ctx, source, callback)
	if err != nil {
		return console.Attempt{}, consentError(err)
	}
	out := console.Attempt{ID: a.ID, URL: a.URL, Callback: a.Callback, Expires: a.Expires}
	if a.Grant != nil {
		g := grantOf(a.Grant)
		out.Grant = &g
	}
	return out, nil
}

// AnswerConsent implements console.Consents.
func (c consents) AnswerConsent(ctx context.Context, id string, answer url.Values) (console.Grant, error) {
	g, err := c.keeper.Answer(ctx, id, answer)
	return grantOf(&g), consentError(err)
}

// CallbackConsent implements console.Callbacks.
func (c consents) CallbackConsent(ctx context.Context, answer url.Values) (console.Grant, error) {
	g, err := c.keeper.Callback(ctx, answer)
	return grantOf(&g), consentError(err)
}

// AwaitConsent implements console.Consents.
func (c consents) AwaitConsent(ctx context.Context, id string) (console.Grant, error) {
	g, err := c.keeper.Wait(ctx, id)
	return grantOf(&g), consentError(err)
}

// KeepConsent implements console.Consents.
func (c consents) KeepConsent(ctx context.Context, id string) error {
	return consentError(c.keeper.Keep(ctx, id))
}

// DropConsent implements console.Consents.
func (c consents) DropConsent(ctx context.Context, id string) error {
	return consentError(c.keeper.Drop(ctx, id))
}

// Consent implements console.Consents.
func (c consents) Consent(_ context.Context, source event.SourceID) (console.Consent, error) {
	s, err := c.keeper.Status(source)
	if err != nil {
		return console.Consent{}, consentError(err)
	}
	out := console.Consent{
		Source: s.Source, Flow: string(s.Flow), LoginURL: s.LoginURL, State: string(s.State), Grant: grantOf(&s.Grant), RetryAt: s.RetryAt,
	}
	if s.Error != nil {
		out.Error, out.ErrorAt = shownError(s.Error), s.Error.At
		out.Error.Hint = forSource(out.Error.Hint, source)
	}
	return out, nil
}

// RevokeConsent implements console.Consents.
func (c consents) RevokeConsent(ctx context.Context, source event.SourceID) error {
	return consentError(c.keeper.Revoke(ctx, source))
}

// AccessToken implements console.Consents.
func (c consents) AccessToken(ctx context.Context, source event.SourceID) (console.AccessToken, error) {
	s := c.keeper.Source(source)
	if s == nil {
		_, err := c.keeper.Status(source)
		return console.AccessToken{}, consentError(err)
	}
	t, err := s.Token(ctx)
	return console.AccessToken{AccessToken: t.Access, InstanceURL: t.InstanceURL}, consentError(err)
}

func grantOf(g *consent.Grant) console.Grant {
	out := console.Grant{
		InstanceURL: g.InstanceURL, OrgID: g.OrgID, Org: g.Org, Sandbox: g.Sandbox, UserID: g.UserID, User: g.User,
		Scopes: append([]string{}, g.Scopes...), Granted: g.Granted, Renewed: g.Renewed,
	}
	if g.Warning != nil {
		out.Warning = shownError(g.Warning)
	}
	return out
}

func consentError(err error) error {
	var e *consent.Error
	if errors.As(err, &e) {
		return shownError(e)
	}
	return err
}

func shownError(e *consent.Error) *console.Error {
	return &console.Error{Code: e.Code, Message: e.Message, Hint: e.Hint}
}

// Consents are those of a data_dir on which no host runs. They belong to this
// process until Close.
type Consents struct {
	consents
	lock *journal.DirLock
}

// OpenConsents takes a data_dir for the consent of one source. It launches the
// source's plugin to hear whether it needs one. The error is an ErrLocked of the
// journal where a host runs.
func OpenConsents(ctx context.Context, c *config.Config, source string, log *slog.Logger) (_ *Consents, err error) {
	a, d, err := describeSource(ctx, c, source)
	if err != nil {
		return nil, err
	}
	lock, err := journal.Lock(string(c.DataDir))
	if err != nil {
		return nil, err
	}
	opened := &Consents{consents{openKeeper(string(c.DataDir), log)}, lock}
	if err := a.configureConsents(opened.keeper, d); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return opened, nil
}

// closeConsents bounds the wait for what was asked of Salesforce.
const closeConsents = time.Minute

// Close gives the data_dir back.
func (c *Consents) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeConsents)
	defer cancel()
	return errors.Join(c.keeper.Close(ctx), c.lock.Unlock())
}

// describeSource asks the plugin of one source, which needs consent, what it is,
// and whether the source's config is what it takes.
func describeSource(ctx context.Context, c *config.Config, source string) (*ask, *wire.Description, error) {
	a, d, err := askSource(ctx, c, source)
	if err != nil {
		return nil, nil, err
	}
	if d.GetConsent() == "" {
		return nil, nil, &console.Error{Code: consent.CodeUnsupported, Message: fmt.Sprintf("source %s needs no consent: its plugin %s asks for none", source, a.spec.Name)}
	}
	return a, d, a.fits(d)
}

// askSource asks the plugin of one source what it is.
func askSource(ctx context.Context, c *config.Config, source string) (*ask, *wire.Description, error) {
	s := c.Source(source)
	if s == nil {
		known := make([]string, 0, len(c.Sources))
		for i := range c.Sources {
			known = append(known, c.Sources[i].Name)
		}
		return nil, nil, &console.Error{Code: console.CodeUnknownSource, Message: fmt.Sprintf("the config has no source %q", source), Hint: config.Suggest(source, known)}
	}
	p := c.Plugin(s.Plugin)
	if p == nil {
		return nil, nil, c.Problem("sources."+source+".plugin", config.Problem{Code: config.CodeUnknownPlugin, What: fmt.Sprintf("no plugin is named %q", s.Plugin)})
	}
	enabled := *s
	enabled.Enabled = true // it may be asked before it is turned on
	one := *c
	one.Sources = []config.Source{enabled}
	spec, err := pluginSpec(&one, p)
	if err != nil {
		return nil, nil, err
	}
	a := &ask{conf: c, spec: &spec, log: slog.New(slog.DiscardHandler)}
	d, err := supervise.Describe(ctx, spec, a.log)
	if err != nil {
		return nil, nil, a.problem(err)
	}
	return a, d, nil
}

// tokens gives each of the plugin's sources an access token for a look from
// outside. A source without one is left out, and why is in the error.
func (a *ask) tokens(ctx context.Context, d *wire.Description) (map[event.SourceID]*wire.Token, error) {
	all, err := a.consentSettings(d)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	got := map[event.SourceID]*wire.Token{}
	var errs []error
	var with []supervise.SourceSpec
	for i := range a.spec.Sources {
		source := a.spec.Sources[i].ID
		t, err := a.oneToken(ctx, source, all[source])
		if err != nil {
			errs = append(errs, a.sourceConfig(source).Problem("/auth", consentProblem(err)))
			continue
		}
		got[source] = &wire.Token{AccessToken: t.AccessToken, InstanceUrl: t.InstanceURL}
		with = append(with, a.spec.Sources[i])
	}
	a.spec.Sources = with
	return got, config.Join(errs...)
}

// oneToken gets an access token.
func (a *ask) oneToken(ctx context.Context, source event.SourceID, s consent.Settings) (t console.AccessToken, err error) {
	err = a.consents(ctx, source, s, func(from consentsOf) error {
		t, err = from.AccessToken(ctx, source)
		return err
	})
	return t, err
}

// consentsOf tells of consents: a running host, or this process.
type consentsOf interface {
	Consent(ctx context.Context, source event.SourceID) (console.Consent, error)
	AccessToken(ctx context.Context, source event.SourceID) (console.AccessToken, error)
}

// consents lets use ask about a source's consent. Where a person's grant is needed
// the running host is asked, if there is one: a refresh token is good for one of
// two. Other flows ask Salesforce, and so prove the config.
func (a *ask) consents(ctx context.Context, source event.SourceID, s consent.Settings, use func(consentsOf) error) error {
	dir := string(a.conf.DataDir)
	if s.Auth.Flow == consent.Web {
		client, err := console.Dial(ctx, dir)
		if err == nil {
			defer client.Close()
			return use(client)
		}
		var none *console.NoHostError
		if !errors.As(err, &none) {
			return err
		}
		if _, err := os.Stat(dir); err == nil {
			return a.ownConsents(source, s, dir, use)
		}
	}
	empty, err := os.MkdirTemp("", "wellhead-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(empty)
	return a.ownConsents(source, s, empty, use)
}

func (a *ask) ownConsents(source event.SourceID, s consent.Settings, dir string, use func(consentsOf) error) (err error) {
	lock, err := journal.Lock(dir)
	if err != nil {
		return err
	}
	c := &Consents{consents{openKeeper(dir, a.log)}, lock}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.keeper.Configure(source, s); err != nil {
		return err
	}
	return use(c)
}

// consentProblem is a config.Problem of why there is no access token.
func consentProblem(err error) config.Problem {
	var e *console.Error
	if errors.As(err, &e) {
		return config.Problem{Code: e.Code, What: e.Message, Hint: e.Hint}
	}
	return config.Problem{Code: consent.CodeUnavailable, What: "no access token: " + err.Error()}
}
