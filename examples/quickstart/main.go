// Command quickstart shows Wellhead at work on one machine: it starts the host
// with the config beside it, serves a small shop whose page sends events, and
// says where to look. It needs no account, database or broker.
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed shop
var shop embed.FS

const (
	shopAddr      = "127.0.0.1:8088"
	collectorAddr = "127.0.0.1:8080"
	consoleAddr   = "127.0.0.1:8090"
	keyFile       = "data/website.key"
	eventsFile    = "data/events.jsonl"
)

func main() {
	dir := flag.String("dir", "examples/quickstart", "folder of the config")
	bin := flag.String("bin", "bin/wellhead", "the host's binary")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run keeps the host and the shop up until ctx ends or the host does.
func run(ctx context.Context, dir, bin string) error {
	key, err := writeKey(ctx, dir, bin)
	if err != nil {
		return err
	}
	handler, err := shopHandler(key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", shopAddr)
	if err != nil {
		return fmt.Errorf("the shop's address is taken: %w (is another quickstart running?)", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()

	host := exec.CommandContext(ctx, bin, "run", "-c", filepath.Join(dir, "wellhead.yaml"))
	host.Stdout, host.Stderr = os.Stdout, os.Stderr
	host.Cancel = func() error { return host.Process.Signal(syscall.SIGTERM) }
	host.WaitDelay = time.Minute
	if err := host.Start(); err != nil {
		return fmt.Errorf("start the host: %w (run make build)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- host.Wait() }()

	if ready(ctx) {
		greet(dir)
	}
	err = <-ended
	_ = srv.Close()
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// writeKey returns the website's API key, and makes one the first time.
func writeKey(ctx context.Context, dir, bin string) (string, error) {
	name := filepath.Join(dir, keyFile)
	if key, err := os.ReadFile(name); err == nil {
		return strings.TrimSpace(string(key)), nil
	}
	key, err := exec.CommandContext(ctx, bin, "keys", "new").Output()
	if err != nil {
		return "", fmt.Errorf("make an API key: %w (run make build)", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(key)), os.WriteFile(name, key, 0o600)
}

func shopHandler(key string) (http.Handler, error) {
	files, err := fs.Sub(shop, "shop")
	if err != nil {
		return nil, err
	}
	page, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		_ = page.Execute(w, map[string]any{
			"Collector":  "http://" + collectorAddr,
			"Key":        key,
			"CustomerIO": r.URL.Query().Get("library") == "customerio",
		})
	})
	return mux, nil
}

// ready waits until the host serves; the host itself says what is wrong.
func ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+consoleAddr+"/readyz", nil)
		if err != nil {
			return false
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func greet(dir string) {
	fmt.Printf(`
  Wellhead is running.

    shop       http://%s/        click on something
    collector  http://%s/v1      where clients send events
    health     http://%s/readyz  and /metrics

    events     %s

  See them come:    tail -f %s
  See what flows:   bin/wellhead status -c %s
  Stop:             Ctrl-C

`, shopAddr, collectorAddr, consoleAddr,
		filepath.Join(dir, eventsFile), filepath.Join(dir, eventsFile), filepath.Join(dir, "wellhead.yaml"))
}
