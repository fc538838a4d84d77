package host_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

const orgConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  salesforce: {path: "$BIN/plugins/salesforce"}
sources:
  crm:
    plugin: salesforce
    config:
      login_url: "http://$ORG"
      auth: {client_id: wellhead-simulator, client_secret: simulator-secret}
      interval: 1s
      pubsub: {enabled: true, endpoint: "$EVENTS", plaintext: true}
    limits: {rate: 3000/s, burst: 2000} # so that the first read takes a while
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// orgSite is a site whose host reads a simulated org.
type orgSite struct {
	*site
	org, events string
	state       string // the org's file
	simulator   *exec.Cmd
}

// newOrgSite starts an org that fill has written to.
func newOrgSite(t *testing.T, fill func(*org.Org)) *orgSite {
	t.Helper()
	s := &orgSite{org: freeAddr(t), events: freeAddr(t), state: filepath.Join(t.TempDir(), "org")}
	s.site = newSite(t, strings.NewReplacer("$ORG", s.org, "$EVENTS", s.events).Replace(orgConfig))
	o, err := org.Open(s.state, org.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(o)
	o.Close()
	s.startOrg()
	return s
}

func (s *orgSite) startOrg() {
	s.t.Helper()
	log := &syncBuffer{}
	cmd := exec.Command(filepath.Join(binaries, "salesforce-simulator"), "-listen", s.org, "-pubsub", s.events, "-state", s.state)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.simulator = cmd
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(s.t, "the org listens", func() bool { return strings.Contains(log.String(), "Pub/Sub at") })
}

func (s *orgSite) killOrg() {
	_ = s.simulator.Process.Kill()
	_ = s.simulator.Wait()
}

// connect grants the running host access, as a browser does.
func (s *orgSite) connect() {
	s.t.Helper()
	eventually(s.t, "the host is ready", func() bool { return s.wellhead("status").Run() == nil })
	grantAccess(s.t, s.wellhead("connect", "crm", "--yes", "--listen", freeAddr(s.t)), func(page string) {
		u, err := url.Parse(page)
		if err != nil {
			s.t.Fatal(err)
		}
		form := u.Query()
		form.Set("un", org.AdminUsername)
		form.Set("pw", "any")
		form.Set("decision", "allow")
		u.RawQuery = ""
		res, err := http.PostForm(u.String(), form)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = res.Body.Close()
	})
}

func (s *site) wellhead(args ...string) *exec.Cmd {
	return exec.CommandContext(s.t.Context(), filepath.Join(binaries, "wellhead"), append(args, "-c", s.path("wellhead.yaml"))...)
}

var consentPage = regexp.MustCompile(`http://\S+/services/oauth2/authorize\S+`)

// grantAccess runs wellhead connect, and lets the person go to the page that it
// names.
func grantAccess(t *testing.T, connect *exec.Cmd, person func(page string)) {
	t.Helper()
	log := &syncBuffer{}
	connect.Env = append(os.Environ(), "BROWSER=true", "PATH=/usr/bin:/bin") // opens nothing
	connect.Stdout, connect.Stderr = log, log
	if err := connect.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page of the consent", func() bool { return strings.Contains(log.String(), "waiting for the browser") })
	person(consentPage.FindString(log.String()))
	if err := connect.Wait(); err != nil || !strings.Contains(log.String(), "crm: connected to Simulator") {
		t.Fatalf("connect: %v\n%s", err, log)
	}
}

// admin changes the org. It returns nothing where the org is down or refuses.
func (s *orgSite) admin(name string, arguments map[string]any) (answer struct{ ID string }) {
	body, err := json.Marshal(arguments)
	if err != nil {
		panic(err)
	}
	res, err := http.Post("http://"+s.org+"/admin/"+name, "application/json", bytes.NewReader(body))
	if err != nil {
		return answer
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
		_ = json.Unmarshal(b, &answer)
	}
	return answer
}
