// Command quickstart shows Wellhead at work on one machine: it starts the host
// with the config beside it, serves a small shop whose page sends events, and
// says where to look. It needs no account, database or broker.
package main

import (
	"context"
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
)

// quickstart is what the flags say.
type quickstart struct {
	dir  string // of the config
	bin  string // the host's binary
	shop string // the shop's address
}

// The host dies with the thread that started it, so that is one that lasts.
func init() { runtime.LockOSThread() }

func main() {
	var q quickstart
	flag.StringVar(&q.dir, "dir", "examples/quickstart", "folder of the config")
	flag.StringVar(&q.bin, "bin", "bin/wellhead", "the host's binary")
	flag.StringVar(&q.shop, "shop", "127.0.0.1:8088", "the shop's address")
	webhook := flag.Bool("webhook", false, "send a reporting webhook, as Customer.io does, to the quickstart that runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := q.run
	if *webhook {
		run = q.sendWebhook
	}
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run keeps the host and the shop up until ctx ends or the host does.
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

	host := exec.CommandContext(ctx, q.bin, "run", "-c", q.config())
	host.Stdout, host.Stderr = os.Stdout, os.Stderr
	host.Cancel = func() error { return host.Process.Signal(syscall.SIGTERM) }
	host.WaitDelay = time.Minute
	host.SysProcAttr = diesWithParent()
	if err := host.Start(); err != nil {
		return fmt.Errorf("start the host: %w: run make build", err)
	}
	var failure error
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer end()
		failure = host.Wait()
	}()

	if at, ok := q.ready(ended, host.Process.Pid); ok {
		handler, err := shopHandler("http://"+at.collector, key)
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		defer func() { _ = srv.Close() }()
		go func() { _ = srv.Serve(l) }()
		q.greet(at)
	}
	<-ended.Done()
	if ctx.Err() != nil {
		return nil
	}
	return failure
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
	events := filepath.Join(q.dir, eventsFile)
	fmt.Printf(`
  Wellhead is running.

    shop       http://%s/        click on something
    collector  http://%s/v1      where clients send events
    health     http://%s/readyz  and /metrics

    events     %s

  See them come:    tail -f %s
  Track API:        http://%s/api/v1, site id quickstart, API key in %s
  Send a webhook:   bin/quickstart -webhook
  See what flows:   bin/wellhead status -c %s
  Stop:             Ctrl-C

`, q.shop, at.collector, at.console, events, events, at.forwarder, filepath.Join(q.dir, appKey), q.config())
}
