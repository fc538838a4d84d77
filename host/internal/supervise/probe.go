package supervise

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// firstProbes is the pause between probes until the first one is answered.
const firstProbes = 50 * time.Millisecond

// watchListener waits for the plugin to serve, and then sees to it that it goes
// on: a listener is asked through its real socket who answers there. A plugin
// without a listener is believed.
func (t *tenure) watchListener(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-t.served:
	}
	p := t.entry
	probe := func(context.Context) error { return nil }
	if p.socket != nil {
		client := p.prober()
		defer client.CloseIdleConnections()
		probe = func(ctx context.Context) error { return t.probe(ctx, client) }
	}
	if err := t.probes(ctx, probe, firstProbes); err != nil {
		return err
	}
	return t.watch(ctx, probe)
}

// probes tries until a probe is answered, for as long as it takes to count all
// the failures of a bad one.
func (t *tenure) probes(ctx context.Context, probe func(context.Context) error, pause time.Duration) error {
	p := t.entry
	deadline := time.Now().Add(time.Duration(p.timing.ProbeFailures) * p.timing.ProbeTimeout)
	for {
		err := probe(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // nobody wants to know any more
		case err == nil:
			p.running()
			p.log.Info("plugin serves", "generation", t.generation)
			return nil
		case time.Now().After(deadline):
			return t.probeFault(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// watch probes at intervals, and calls the plugin healthy after a while without
// fault.
func (t *tenure) watch(ctx context.Context, probe func(context.Context) error) error {
	p := t.entry
	healthy := time.NewTimer(p.timing.Healthy)
	defer healthy.Stop()
	every := time.NewTicker(p.timing.ProbeEvery)
	defer every.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.draining:
			return nil
		case <-healthy.C:
			p.healthy()
			continue
		case <-every.C:
		}
		before := t.batches.Load()
		err := probe(ctx)
		// A plugin that hands over batches is busy, not dead: the probe waits
		// behind its clients, and a restart would make them wait longer.
		if err == nil || ctx.Err() != nil || t.batches.Load() != before {
			failures = 0
			continue
		}
		if failures++; failures >= p.timing.ProbeFailures {
			return t.probeFault(err)
		}
		p.log.Warn("plugin did not answer through its listener", "error", err, "failures", failures)
	}
}

func (t *tenure) probeFault(err error) *Error {
	e := t.entry.spec.fault(CodeProbe,
		fmt.Sprintf("it does not answer on %s: %v", t.entry.socket.Addr(), err),
		"it hangs or is overloaded, and is restarted; "+t.entry.spec.lookAtLog())
	e.Err = err
	return e
}

// probe asks who serves the listener.
func (t *tenure) probe(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, t.entry.timing.ProbeTimeout)
	defer cancel()
	scheme := "http"
	if t.entry.spec.TLS != nil {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+wire.ProbePath, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: GET %s answers %s", wire.ProbePath, res.Status)
	}
	var answer wire.Probe
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&answer); err != nil {
		return fmt.Errorf("probe: GET %s: %w", wire.ProbePath, err)
	}
	if answer.Generation != t.generation {
		return fmt.Errorf("probe: generation %d answers instead of %d", answer.Generation, t.generation)
	}
	return nil
}

// prober makes a client that reaches the plugin's listener whatever the host in
// the URL, on a new connection each time: that is what the probe is about.
func (p *entry) prober() *http.Client {
	addr := dialable(p.socket.Addr())
	var dialer net.Dialer
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, addr.Network(), addr.String())
		},
		// The certificate is for the clients' name of this host, not for the probe's.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it asks its own socket
	}}
}

// dialable returns an address by which this machine reaches a bound one: of the
// unspecified address, loopback.
func dialable(addr net.Addr) net.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr
	}
	loopback := net.IPv4(127, 0, 0, 1)
	if tcp.IP.To4() == nil {
		loopback = net.IPv6loopback
	}
	return &net.TCPAddr{IP: loopback, Port: tcp.Port}
}
