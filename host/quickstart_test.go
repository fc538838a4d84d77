package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// quickstart is what `make run` starts, in a checkout of its own and at free
// addresses.
type quickstart struct {
	t         *testing.T
	dir       string // of its config
	shop, org string
	at        []string // all of its addresses
	orgEvents string
	cmd       *exec.Cmd
	log       *syncBuffer
}

func newQuickstart(t *testing.T) *quickstart {
	t.Helper()
	checkout := t.TempDir()
	q := &quickstart{t: t, dir: filepath.Join(checkout, "examples", "quickstart"), shop: freeAddr(t), org: freeAddr(t), orgEvents: freeAddr(t)}
	if err := os.MkdirAll(q.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	collector, forwarder, consoleAt := freeAddr(t), freeAddr(t), freeAddr(t)
	q.at = []string{q.shop, q.org, collector, forwarder, consoleAt}
	addresses := strings.NewReplacer("127.0.0.1:8080", collector, "127.0.0.1:8081", forwarder, "127.0.0.1:8090", consoleAt,
		"127.0.0.1:8095", q.org, "127.0.0.1:8096", q.orgEvents)
	for _, name := range []string{"wellhead.yaml", "shop-plan.yaml"} {
		b, err := os.ReadFile(filepath.Join("../examples/quickstart", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(q.dir, name), []byte(addresses.Replace(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The config's plugin paths are relative to its folder, as in a checkout.
	if err := os.Symlink(binaries, filepath.Join(checkout, "bin")); err != nil {
		t.Fatal(err)
	}
	return q
}

// command is bin/quickstart with these flags.
func (q *quickstart) command(flags ...string) *exec.Cmd {
	return exec.CommandContext(q.t.Context(), filepath.Join(binaries, "quickstart"), append([]string{
		"-dir", q.dir, "-shop", q.shop, "-bin", filepath.Join(binaries, "wellhead"),
		"-simulator", filepath.Join(binaries, "salesforce-simulator"), "-org", q.org, "-org-pubsub", q.orgEvents,
	}, flags...)...)
}

// start starts it and waits until it greets.
func (q *quickstart) start() {
	q.t.Helper()
	q.log, q.cmd = &syncBuffer{}, q.command()
	q.cmd.Cancel = func() error { return q.cmd.Process.Signal(os.Interrupt) }
	q.cmd.Stdout, q.cmd.Stderr = q.log, q.log
	if err := q.cmd.Start(); err != nil {
		q.t.Fatal(err)
	}
	cmd, log := q.cmd, q.log
	q.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if q.t.Failed() {
			q.t.Logf("the quickstart's log:\n%s", tail(log.String(), 8<<10))
		}
	})
	eventually(q.t, "the quickstart names its addresses", func() bool {
		for _, addr := range q.at {
			if !strings.Contains(log.String(), addr) {
				return false
			}
		}
		return strings.Contains(log.String(), "Ctrl-C")
	})
}

// data is where its events are.
func (q *quickstart) data() *site { return &site{t: q.t, dir: filepath.Join(q.dir, "data")} }

// wellhead is the command line with this config.
func (q *quickstart) wellhead(args ...string) *exec.Cmd {
	return exec.CommandContext(q.t.Context(), filepath.Join(binaries, "wellhead"), append(args, "-c", filepath.Join(q.dir, "wellhead.yaml"))...)
}
