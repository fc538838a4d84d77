// Command simulator is a Salesforce org in a box: it serves OAuth, REST, Bulk
// API 2.0 and, on a port of its own, the Pub/Sub API. Without -state it forgets
// everything when it ends.
//
//	go run ./plugins/salesforce/simulator
//
// POST /admin/NAME changes its records and lets it fail; see package org.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// addresses are where to listen; one that is empty is not served.
type addresses struct {
	http, https, pubsub, pubsubTLS string
	// caFile gets the PEM that clients of https and pubsubTLS must trust.
	caFile string
}

func main() {
	var a addresses
	flag.StringVar(&a.http, "listen", "127.0.0.1:8095", "address of OAuth, REST, Bulk and /admin")
	flag.StringVar(&a.https, "tls", "", "address of the same over TLS")
	flag.StringVar(&a.pubsub, "pubsub", "127.0.0.1:8096", "address of the Pub/Sub API, without TLS")
	flag.StringVar(&a.pubsubTLS, "pubsub-tls", "", "address of the Pub/Sub API over TLS")
	flag.StringVar(&a.caFile, "ca-file", "", "file that gets the certificate to trust, as PEM")
	empty := flag.Bool("empty", false, "start without example records")
	state := flag.String("state", "", "file that keeps records and grants; the org is there again after a restart")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, a, *state, org.Options{Empty: *empty, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// run serves the org until ctx ends or a listener does. It prints its addresses
// when all of them take connections.
func run(ctx context.Context, a addresses, state string, options org.Options) error {
	cert, ca, err := org.Certificate()
	if err != nil {
		return err
	}
	if a.caFile != "" {
		if err := os.WriteFile(a.caFile, ca, 0o600); err != nil {
			return err
		}
	}
	o, err := makeOrg(state, options)
	if err != nil {
		return err
	}
	defer o.Close()
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	services := slices.DeleteFunc([]service{
		{"http", a.http, overHTTP(o, nil)},
		{"https", a.https, overHTTP(o, config)},
		{"Pub/Sub", a.pubsub, overGRPC(o)},
		{"Pub/Sub over TLS", a.pubsubTLS, overGRPC(o, grpc.Creds(credentials.NewTLS(config)))},
	}, func(s service) bool { return s.address == "" })
	listeners := make([]net.Listener, len(services))
	for i, s := range services {
		if listeners[i], err = new(net.ListenConfig).Listen(ctx, "tcp", s.address); err != nil {
			return fmt.Errorf("%w: is another simulator running? end it, or choose another address", err)
		}
		defer listeners[i].Close()
		if s.name == "http" { // what the org calls itself, over TLS too
			o.SetBaseURL("http://" + listeners[i].Addr().String())
		}
	}
	fmt.Printf("Salesforce simulator: client id %s, secret %s, users %s and %s with any password but \"wrong\"\n",
		org.DefaultClientID, org.DefaultClientSecret, org.AdminUsername, org.UserUsername)
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range services {
		fmt.Printf("  %s at %s\n", s.name, listeners[i].Addr())
		g.Go(func() error { return s.serve(ctx, listeners[i]) })
	}
	g.Go(func() error {
		<-ctx.Done()
		o.Close()
		return nil
	})
	return g.Wait()
}

func makeOrg(state string, options org.Options) (*org.Org, error) {
	if state == "" {
		return org.New(options), nil
	}
	return org.Open(state, options)
}

// service is one listener and what serves it until ctx ends.
type service struct {
	name, address string
	serve         func(ctx context.Context, l net.Listener) error
}

// patience is how long an answer may take that is under way at the end.
const patience = 5 * time.Second

func overHTTP(o *org.Org, config *tls.Config) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		server := &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
		if config != nil {
			l = tls.NewListener(l, config)
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := server.Shutdown(shutdown); err != nil {
			_ = server.Close()
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

func overGRPC(o *org.Org, options ...grpc.ServerOption) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		server := grpc.NewServer(options...)
		o.RegisterPubSub(server)
		stop := context.AfterFunc(ctx, server.Stop)
		defer stop()
		return server.Serve(l)
	}
}
