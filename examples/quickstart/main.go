// Command quickstart shows Wellhead at work on one machine: it starts a simulator
// of a Salesforce org and the host with the config beside it, serves a small shop
// whose page sends events, and says where to look. It needs no account, database
// or broker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Files, beside the config. Keys are made the first time.
const (
	configFile = "wellhead.yaml"
	websiteKey = "data/website.key"
	appKey     = "data/app.key" // with the site id quickstart, of the Track API
	signingKey = "data/webhook.key"
	eventsFile = "data/events.jsonl"
	orgFile    = "data/salesforce-simulator.state"
)

// quickstart is what the flags say.
type quickstart struct {
	dir  string // of the config
	bin  string // the host's binary
	shop string // the shop's address

	simulator      string // of a Salesforce org: the binary
	org, orgEvents string // the simulator's addresses, as the config has them
}

// The children die with the thread that started them, so that is one that lasts.
func init() { runtime.LockOSThread() }

func main() {
	var q quickstart
	flag.StringVar(&q.dir, "dir", "examples/quickstart", "folder of the config")
	flag.StringVar(&q.bin, "bin", "bin/wellhead", "the host's binary")
	flag.StringVar(&q.shop, "shop", "127.0.0.1:8088", "the shop's address")
	flag.StringVar(&q.simulator, "simulator", "bin/salesforce-simulator", "the binary of the Salesforce simulator")
	flag.StringVar(&q.org, "org", "127.0.0.1:8095", "the Salesforce simulator's address, as in login_url")
	flag.StringVar(&q.orgEvents, "org-pubsub", "127.0.0.1:8096", "the address of its Pub/Sub API, as in pubsub.endpoint")
	webhook := flag.Bool("webhook", false, "send a reporting webhook, as Customer.io does, to the quickstart that runs")
	change := flag.Bool("change", false, "change a contact in the Salesforce simulator of the quickstart that runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := q.run
	switch {
	case *webhook:
		run = q.sendWebhook
	case *change:
		run = q.changeContact
	}
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run keeps the simulator, the host and the shop up until ctx ends or one of
// them does.
func (q *quickstart) run(ctx context.Context) error {
	for _, name := range []string{websiteKey, appKey, signingKey} {
		if err := q.makeKey(ctx, name); err != nil {
			return err
		}
	}
	key, err := q.key(websiteKey)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", q.shop)
	if err != nil {
		return fmt.Errorf("the shop's address is taken: %w: end the other quickstart, or run bin/quickstart -shop 127.0.0.1:PORT", err)
	}
	defer l.Close()

	simulator, err := q.startSimulator(ctx)
	if err != nil {
		return err
	}
	defer simulator.end()
	host, err := start(ctx, os.Stdout, q.bin, "run", "-c", q.config())
	if err != nil {
		return fmt.Errorf("start the host: %w", err)
	}
	defer host.end() // before the org that it reads

	if at, ok := q.ready(ctx, host); ok {
		handler, err := shopHandler("http://"+at.collector, key)
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		defer func() { _ = srv.Close() }()
		go func() { _ = srv.Serve(l) }()
		q.greet(at)
	}
	select {
	case <-ctx.Done():
	case <-host.ended:
	case <-simulator.ended:
	}
	switch {
	case ctx.Err() != nil: // a terminal interrupts all of them
		return nil
	case host.over():
		return host.err
	default:
		return errors.New("the Salesforce simulator has ended: start again with make run, what it had is kept")
	}
}

func (q *quickstart) config() string { return filepath.Join(q.dir, configFile) }

// makeKey makes an API key, unless an earlier quickstart did.
func (q *quickstart) makeKey(ctx context.Context, file string) error {
	name := filepath.Join(q.dir, file)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	key, err := exec.CommandContext(ctx, q.bin, "keys", "new").Output()
	if err != nil {
		return fmt.Errorf("make an API key: %w: run make build", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, key, 0o600)
}

func (q *quickstart) key(file string) (string, error) {
	key, err := os.ReadFile(filepath.Join(q.dir, file))
	return strings.TrimSpace(string(key)), err
}

func (q *quickstart) greet(at addresses) {
	crm, grant := "a simulator of an org, read by source crm", ""
	if at.needsConsent {
		crm = "a simulator of an org; source crm waits until you grant access"
		grant = "\n  Grant access:     bin/wellhead connect crm -c " + q.config()
	}
	events := filepath.Join(q.dir, eventsFile)
	fmt.Printf(`
  Wellhead is running.

    shop       http://%s/        click on something
    collector  http://%s/v1      where clients send events
    health     http://%s/readyz  and /metrics
    salesforce http://%s         %s

    events     %s

  See them come:    tail -f %s%s
  Change a contact: bin/quickstart -change
  Track API:        http://%s/api/v1, site id quickstart, API key in %s
  Send a webhook:   bin/quickstart -webhook
  See what flows:   bin/wellhead status -c %s
  Stop:             Ctrl-C

`, q.shop, at.collector, at.console, q.org, crm, events, events, grant, at.forwarder, filepath.Join(q.dir, appKey), q.config())
}
