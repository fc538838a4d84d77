// Command simulator is a Salesforce org in a box: it serves OAuth, REST, Bulk
// API 2.0 and, beside them, the Pub/Sub API, and forgets everything when it ends.
//
//	go run ./plugins/salesforce/simulator
//
// POST /admin/NAME changes its records and lets it fail; see package org.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8095", "address of OAuth, REST, Bulk and /admin")
	empty := flag.Bool("empty", false, "start without example records")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, org.Options{Empty: *empty}); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// run serves the org until ctx ends.
func run(ctx context.Context, listen string, options org.Options) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("%w: is another simulator running? choose another address with -listen", err)
	}
	o := org.New(options)
	defer o.Close()
	o.SetBaseURL("http://" + l.Addr().String())
	server := &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
	fmt.Printf("Salesforce simulator at http://%s\n  client id %s, secret %s\n  users %s and %s, any password but \"wrong\"\n",
		l.Addr(), org.DefaultClientID, org.DefaultClientSecret, org.AdminUsername, org.UserUsername)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		return server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
