package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host"
	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

type consentGroup struct {
	Status consentStatusCommand `cmd:"" help:"tell who granted what to a source, and what is wrong (exit code 1 where there is no access)"`
	Revoke consentRevokeCommand `cmd:"" help:"revoke a source's access at Salesforce, and forget it"`
}

// sourceFlag names a source of a config.
type sourceFlag struct {
	configFlag
	Source string `arg:"" help:"the source, as in the config"`
}

func (f *sourceFlag) id() event.SourceID { return event.SourceID(f.Source) }

// consents are the running host's or, where none runs, those in data_dir. The
// caller closes them.
func (f *sourceFlag) consents(ctx context.Context) (*config.Config, console.Consents, io.Closer, error) {
	conf, err := config.Load(f.Config)
	var all config.Problems
	errors.As(err, &all)
	if err := all.Concerning("data_dir").Err(); err != nil {
		return nil, nil, nil, err
	}
	client, err := console.Dial(ctx, string(conf.DataDir))
	if err == nil {
		return conf, client, closing(client.Close), nil
	}
	var none *console.NoHostError
	if !errors.As(err, &none) {
		return nil, nil, nil, err
	}
	about := []error{all.Concerning("sources." + f.Source).Err()}
	if s := conf.Source(f.Source); s != nil {
		about = append(about, all.Concerning("plugins."+s.Plugin).Err())
	}
	if err := config.Join(about...); err != nil {
		return nil, nil, nil, err
	}
	opened, err := host.OpenConsents(ctx, conf, f.Source, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, nil, err
	}
	return conf, opened, opened, nil
}

type closing func()

// Close implements io.Closer.
func (c closing) Close() error { c(); return nil }

type consentStatusCommand struct {
	sourceFlag
	jsonFlag
}

// Run tells how a source's consent is.
func (c *consentStatusCommand) Run(ctx context.Context, s *shell) (err error) {
	_, consents, closer, err := c.consents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	st, err := consents.Consent(ctx, c.id())
	if err != nil {
		return err
	}
	if c.JSON {
		err = s.printJSON(st)
	} else {
		s.printConsent(&st)
	}
	if err == nil && st.Error != nil {
		return errTold
	}
	return err
}

func (s *shell) printConsent(st *console.Consent) {
	fmt.Fprintf(s.out, "%s: %s\n", st.Source, words(st.State))
	s.printGrant(s.out, &st.Grant)
	fmt.Fprintf(s.out, "  flow     %s at %s\n", st.Flow, printable(st.LoginURL))
	if !st.Granted.IsZero() {
		fmt.Fprintf(s.out, "  granted  %s\n", ago(st.Granted))
	}
	if !st.Renewed.IsZero() {
		fmt.Fprintf(s.out, "  renewed  %s\n", ago(st.Renewed))
	}
	if e := st.Error; e != nil {
		line := fmt.Sprintf("%s [%s]", e.Message, e.Code)
		if !st.ErrorAt.IsZero() {
			line += ", " + ago(st.ErrorAt)
		}
		if wait := time.Until(st.RetryAt); !st.RetryAt.IsZero() && wait > 0 {
			line += ", next try in " + span(wait+time.Second)
		}
		fmt.Fprintf(s.out, "  problem  %s\n  to do    %s\n", printable(line), printable(e.Hint))
	}
}

// printGrant tells who granted what.
func (s *shell) printGrant(to io.Writer, g *console.Grant) {
	if g.OrgID != "" || g.Org != "" {
		org := named(g.Org, g.OrgID)
		if g.Sandbox {
			org += ", a sandbox"
		}
		fmt.Fprintf(to, "  org      %s\n", printable(org))
	}
	if g.UserID != "" || g.User != "" {
		fmt.Fprintf(to, "  user     %s\n", printable(named(g.User, g.UserID)))
	}
	if len(g.Scopes) > 0 {
		fmt.Fprintf(to, "  scopes   %s\n", printable(strings.Join(g.Scopes, " ")))
	}
	if g.InstanceURL != "" {
		fmt.Fprintf(to, "  api      %s\n", printable(g.InstanceURL))
	}
}

// named is a name with its id, or the id alone.
func named(name, id string) string {
	switch {
	case name == "":
		return id
	case id == "":
		return name
	}
	return fmt.Sprintf("%s (%s)", name, id)
}

type consentRevokeCommand struct {
	sourceFlag
	Yes bool `help:"do not ask whether that is meant"`
}

// Run revokes and forgets.
func (c *consentRevokeCommand) Run(ctx context.Context, s *shell) (err error) {
	_, consents, closer, err := c.consents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	st, err := consents.Consent(ctx, c.id())
	if err != nil {
		return err
	}
	who := fmt.Sprintf("access of %s to %s", named(st.User, st.UserID), named(st.Org, st.OrgID))
	if !c.Yes && st.State != "needs_consent" {
		if err := s.confirm("only a person can grant access again", c.Source+": revoke "+who+", at Salesforce too?"); err != nil {
			return err
		}
	}
	if err := consents.RevokeConsent(ctx, c.id()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s is revoked and forgotten\n", c.Source, printable(who))
	if st.Flow != "web" {
		fmt.Fprintf(s.errs, "wellhead: flow %s needs nobody's consent, so the source gets access again; disable it, or the app in Salesforce\n", st.Flow)
	}
	return nil
}
