package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"golang.org/x/sync/errgroup"
)

// connecting is a connect under way.
type connecting struct {
	command  *connectCommand
	shell    *shell
	consents console.Consents
	attempt  console.Attempt
	lines    <-chan string // what the person types
	listener net.Listener  // nil: the browser does not come back here
}

// lines hands over what a person types, until the input ends. A read cannot be
// called off, so the last one ends with the process.
func (s *shell) lines() <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(s.in); in.Scan(); {
			lines <- strings.TrimSpace(in.Text())
		}
	}()
	return lines
}

// grant waits until the person has granted access.
func (j *connecting) grant(ctx context.Context) (console.Grant, error) {
	if j.attempt.Grant != nil { // the flow needs no person
		return *j.attempt.Grant, nil
	}
	j.show(ctx)
	life, end := context.WithCancel(ctx)
	defer end()
	g, life := errgroup.WithContext(life)
	got := make(chan outcome, 1) // the first one counts
	switch {
	case j.listener != nil:
		g.Go(func() error { return j.listen(life, got) })
	case j.command.toConsole():
		g.Go(func() error {
			grant, err := j.consents.AwaitConsent(life, j.attempt.ID)
			if life.Err() == nil {
				got <- outcome{grant, err}
			}
			return nil
		})
	}
	o := j.wait(life, got)
	end()
	if err := g.Wait(); err != nil && o.err != nil {
		return o.grant, err
	}
	if o.err != nil && ctx.Err() != nil {
		return o.grant, context.Cause(ctx)
	}
	return o.grant, o.err
}

type outcome struct {
	grant console.Grant
	err   error
}

// wait takes what comes first: the browser's answer, or the person's.
func (j *connecting) wait(ctx context.Context, got <-chan outcome) outcome {
	lines := j.lines
	for {
		select {
		case o := <-got:
			return o
		case <-ctx.Done():
			return outcome{err: context.Cause(ctx)}
		case line, open := <-lines:
			if !open {
				if j.command.NoBrowser {
					return outcome{err: errors.New("the input ended before an address was pasted")}
				}
				lines = nil
				continue
			}
			answer := pasted(line)
			if answer == nil {
				if line != "" {
					fmt.Fprintln(j.shell.errs, "that is neither an address with a code or an error in it, nor a code")
				}
				continue
			}
			grant, err := j.consents.AnswerConsent(ctx, j.attempt.ID, answer)
			if isForeign(err) {
				fmt.Fprintln(j.shell.errs, printable(err.Error()))
				continue
			}
			return outcome{grant, err}
		}
	}
}

// isForeign reports whether an answer was for another attempt.
func isForeign(err error) bool {
	var e *console.Error
	return errors.As(err, &e) && e.Code == "consent_state"
}

var (
	bareCode  = regexp.MustCompile(`^[0-9A-Za-z._~!%=+/-]{16,}$`)
	errorCode = regexp.MustCompile(`\bOAUTH_[A-Z_]+\b`)
)

// pasted reads what a person copies out of a browser: the address of the page
// that it ended on, or the code, or the error, that the page shows. nil: none of
// them.
func pasted(line string) url.Values {
	if u, err := url.Parse(line); err == nil && u.Scheme != "" && u.Host != "" {
		q := u.Query()
		if q.Get("code") != "" || q.Get("error") != "" {
			return q
		}
		return nil
	}
	if code := errorCode.FindString(line); code != "" {
		return url.Values{"error": {code}, "error_description": {strings.TrimSpace(line)}}
	}
	if !bareCode.MatchString(line) {
		return nil
	}
	if plain, err := url.QueryUnescape(strings.ReplaceAll(line, "+", "%2B")); err == nil {
		line = plain
	}
	return url.Values{"code": {line}}
}

// show tells the person where to grant access, and opens it.
func (j *connecting) show(ctx context.Context) {
	errs := j.shell.errs
	opened := !j.command.NoBrowser && openBrowser(ctx, j.attempt.URL)
	if opened {
		fmt.Fprintln(errs, "a browser opens; if it does not, go to:")
	} else {
		fmt.Fprintln(errs, "log in and grant access at:")
	}
	fmt.Fprintf(errs, "\n  %s\n\n", j.attempt.URL)
	if j.command.NoBrowser {
		fmt.Fprintf(errs, "the browser ends on a page at %s, which need not load, or on an error page of Salesforce\npaste its address: ", j.attempt.Callback)
		return
	}
	fmt.Fprintf(errs, "waiting for the browser to come back to %s\n", j.attempt.Callback)
	fmt.Fprintln(errs, "if it ends elsewhere, paste the address of that page here")
}

// openBrowser reports whether it could start one.
func openBrowser(ctx context.Context, page string) bool {
	program := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		program = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" && os.Getenv("BROWSER") == "":
		return false // it would open one in this terminal
	}
	// It may last as long as the browser, which outlives this command.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, page)
	return cmd.Start() == nil && cmd.Process.Release() == nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program; give another with --listen, and its URL to the app as a callback URL", address)
	}
	return l, err
}

// callbackTimeout is for a whole request of the browser, with the exchange of its
// code.
const callbackTimeout = 2 * time.Minute

// listen serves the callback until ctx ends.
func (j *connecting) listen(ctx context.Context, got chan<- outcome) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+console.CallbackPath, func(w http.ResponseWriter, r *http.Request) {
		j.answerBrowser(w, r, got)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: callbackTimeout, WriteTimeout: callbackTimeout, MaxHeaderBytes: 64 << 10}
	var g errgroup.Group
	g.Go(func() error {
		if err := server.Serve(j.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	<-ctx.Done()
	// The browser's page is to be whole.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(bounded)
	_ = server.Close()
	return g.Wait()
}

func (j *connecting) answerBrowser(w http.ResponseWriter, r *http.Request, got chan<- outcome) {
	if !console.IsThisMachine(r.Host) { // a page elsewhere whose name leads here
		http.Error(w, "the Host of this request is not this machine", http.StatusMisdirectedRequest)
		return
	}
	q := r.URL.Query()
	if r.Method != http.MethodGet || q.Get("state") == "" { // a HEAD would use the code up
		http.Error(w, "this is no answer to a consent", http.StatusBadRequest)
		return
	}
	grant, err := j.consents.AnswerConsent(r.Context(), j.attempt.ID, q)
	console.WriteCallback(w, grant, err)
	if isForeign(err) {
		return // whoever that was, the person may still come
	}
	select {
	case got <- outcome{grant, err}:
	default:
	}
}
