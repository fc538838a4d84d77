package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// simulator is an org at the address ORG, until it is killed.
func simulator() {
	l, err := net.Listen("tcp", os.Getenv("ORG"))
	if err != nil {
		panic(err)
	}
	o := org.New(org.Options{})
	o.SetBaseURL("http://" + l.Addr().String())
	panic(http.Serve(l, o))
}

// browse is xdg-open: a browser whose person chooses what the variable DECISION
// says. What its page shows in the end is in browser.out. BROWSER=chromium is
// the real one.
func browse() {
	decision, page := os.Getenv("DECISION"), os.Args[1]
	if os.Getenv("BROWSER") == "chromium" {
		out, err := exec.Command("node", os.Getenv("CONSENT_SCRIPT"), page, decision).CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		saw(out)
		return
	}
	u, err := url.Parse(page)
	if err != nil {
		panic(err)
	}
	form := u.Query()
	form.Set("un", org.AdminUsername)
	form.Set("pw", "any")
	form.Set("decision", decision)
	u.RawQuery = ""
	res, err := http.PostForm(u.String(), form) // it follows the way back
	if err != nil {
		saw([]byte(err.Error()))
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	saw(fmt.Appendf(nil, "%d %s\n%s", res.StatusCode, res.Request.URL.Path, body))
}

func saw(what []byte) {
	if err := os.WriteFile(filepath.Join(os.Getenv("WORK"), "browser.out"), what, 0o600); err != nil {
		panic(err)
	}
}

// orgAdmin asks the org's own admin API: org NAME JSON.
func orgAdmin() {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+os.Getenv("ORG")+"/admin/"+os.Args[1], strings.NewReader(os.Args[2]))
	if err != nil {
		panic(err)
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(os.Stdout, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

// Consent by a click in a real Chromium, to the command line and to the console.
func TestConsentInChromium(t *testing.T) {
	const clients = "../../../plugins/javascript/testdata/clients"
	if _, err := os.Stat(filepath.Join(clients, "node_modules")); err != nil {
		t.Fatal("the browser's driver is not installed: npm ci --ignore-scripts --prefix plugins/javascript/testdata/clients")
	}
	script, err := filepath.Abs(filepath.Join(clients, "consent.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	p := scripts("testdata/browser")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("BROWSER", "chromium")
		env.Setenv("CONSENT_SCRIPT", script)
		env.Setenv("HOME", env.WorkDir)
		return setup(env)
	}
	testscript.Run(t, p)
}

// A page elsewhere whose name was made to lead to this machine gets nothing.
func TestTheCallbackOfConnectIsOnThisMachineAlone(t *testing.T) {
	for _, host := range []string{"pages.example:8094", "192.0.2.1:8094", ""} {
		r := httptest.NewRequest(http.MethodGet, "/oauth/callback?state=s&code=c", nil)
		r.Host = host
		w := httptest.NewRecorder()
		(&connecting{}).answerBrowser(w, r, nil)
		if w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%q: %d", host, w.Code)
		}
	}
}
