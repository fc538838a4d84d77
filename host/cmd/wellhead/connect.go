package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
)

type connectCommand struct {
	sourceFlag
	NoBrowser   bool          `help:"open no browser and listen nowhere: take the address of the page that a browser elsewhere ends on"`
	Listen      string        `default:"127.0.0.1:8094" placeholder:"ADDRESS" help:"where the browser comes back to (default: 127.0.0.1:8094); the app's callback URL is then http://localhost:8094/oauth/callback"`
	Callback    bool          `help:"let the browser come back to the running host's console; the app's callback URL is then http://localhost:8090/oauth/callback, with the port of console.listen"`
	CallbackURL string        `name:"callback-url" placeholder:"URL" help:"as --callback, where the console has another URL, as behind a proxy"`
	Yes         bool          `short:"y" help:"keep what was granted without asking"`
	Timeout     time.Duration `default:"10m" help:"how long to wait for the person (default: 10m)"`
}

// dropWithin bounds the giving back of what a person did not want.
const dropWithin = 30 * time.Second

// Run lets a person grant a source access, shows who granted what, and keeps it
// if that is right.
func (c *connectCommand) Run(ctx context.Context, s *shell) (err error) {
	conf, consents, closer, err := c.consents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	callback, err := c.callbackURL(conf, consents)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, c.late())
	defer cancel()
	j := &connecting{command: c, shell: s, consents: consents, lines: s.lines()}
	if !c.toConsole() && !c.NoBrowser {
		// Before the person is sent anywhere: the way back has to be there.
		if j.listener, err = listen(ctx, c.Listen); err != nil {
			return err
		}
		defer j.listener.Close()
	}
	if j.attempt, err = consents.BeginConsent(ctx, c.id(), callback); err != nil {
		return err
	}
	kept := false
	defer func() {
		if kept {
			return
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWithin)
		defer cancel()
		if drop := consents.DropConsent(bounded, j.attempt.ID); drop != nil {
			err = errors.Join(err, fmt.Errorf("what was granted is not given back: %w", drop))
		}
	}()
	grant, err := j.grant(ctx)
	if err != nil {
		return err
	}
	if err := j.confirm(ctx, &grant); err != nil {
		return err
	}
	if err := consents.KeepConsent(ctx, j.attempt.ID); err != nil {
		return err
	}
	kept = true
	fmt.Fprintf(s.out, "%s: connected to %s as %s\n", c.Source, printable(named(grant.Org, grant.OrgID)), printable(named(grant.User, grant.UserID)))
	return nil
}

func (c *connectCommand) toConsole() bool { return c.Callback || c.CallbackURL != "" }

// callbackURL is where Salesforce sends the browser.
func (c *connectCommand) callbackURL(conf *config.Config, consents console.Consents) (string, error) {
	at := c.Listen
	if c.toConsole() {
		if _, running := consents.(*console.Client); !running {
			return "", fmt.Errorf("a callback to the console needs the running host; start it with wellhead run -c %s, or leave --callback out", c.Config)
		}
		if c.CallbackURL != "" {
			return c.CallbackURL, nil
		}
		at = string(conf.Console.Listen)
	}
	address, err := config.ParseAddress(at)
	if err != nil || !address.Loopback() {
		return "", fmt.Errorf("--listen %s is no address of this machine alone; write one such as 127.0.0.1:8094", at)
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return "", err
	}
	// Salesforce takes http on the name localhost only.
	return "http://localhost:" + port + console.CallbackPath, nil
}

// late says what to do when nobody has granted access in time.
func (c *connectCommand) late() error {
	return &console.Error{Code: "consent_timeout",
		Message: fmt.Sprintf("nobody granted access within %s", c.Timeout),
		Hint: fmt.Sprintf("where the browser shows an error page of Salesforce, paste its address or its code in: wellhead connect %s --no-browser -c %s",
			c.Source, c.Config)}
}

// confirm shows a grant and asks whether it is right.
func (j *connecting) confirm(ctx context.Context, g *console.Grant) error {
	fmt.Fprintln(j.shell.errs, "access granted:")
	j.shell.printGrant(j.shell.errs, g)
	if w := g.Warning; w != nil {
		fmt.Fprintf(j.shell.errs, "  but      %s\n", printable(w.Error()))
	}
	if j.command.Yes {
		return nil
	}
	fmt.Fprint(j.shell.errs, "is that right? [y/N] ")
	select {
	case line, open := <-j.lines:
		if line == "y" || line == "Y" || line == "yes" {
			return nil
		}
		if !open {
			return errors.New("nobody confirmed it, so nothing is kept; say y, or give --yes")
		}
		return errors.New("nothing is kept, and the access is given back")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
