package supervise

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// serve tells the plugin whom it serves: first when every source has started or
// failed, or time is over, and then whenever the list or the certificate changes.
func (t *tenure) serve(ctx context.Context) error {
	certificate, err := t.entry.certificate()
	if err != nil {
		return err
	}
	if !t.awaitAnswers(ctx) {
		return nil
	}
	if err := t.callServe(ctx, certificate); err != nil {
		return err
	}
	close(t.served)
	look := time.NewTicker(t.entry.timing.CertificateEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.changed:
		case <-look.C:
			fresh, changed := t.reload(certificate)
			if !changed {
				continue
			}
			certificate = fresh
		}
		if err := t.callServe(ctx, certificate); err != nil {
			return err
		}
	}
}

// awaitAnswers waits until each source has started or failed, or time is over.
// It returns false where ctx ended before.
func (t *tenure) awaitAnswers(ctx context.Context) bool {
	late := time.NewTimer(t.entry.timing.Answers)
	defer late.Stop()
	for {
		open := 0
		for _, s := range t.sources {
			if !s.answered() {
				open++
			}
		}
		if open == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-late.C:
			t.entry.log.Warn("plugin serves before all of its sources have started", "waiting", open)
			return true
		case <-t.changed:
		}
	}
}

func (t *tenure) callServe(ctx context.Context, certificate *wire.Certificate) error {
	request := &wire.ServeRequest{
		Certificate: certificate,
		Generation:  t.generation,
		Plugin:      t.entry.spec.Config,
	}
	for _, s := range t.sources {
		request.Sources = append(request.Sources, &wire.ServedSource{
			Source: string(s.spec.ID), Keys: s.spec.Keys, Running: s.running(),
		})
	}
	call, cancel := context.WithTimeout(ctx, t.entry.timing.Call)
	defer cancel()
	if _, err := t.process.rpc.Serve(call, request); err != nil && ctx.Err() == nil {
		e := t.entry.spec.fault(CodeServe, "Serve: "+callMessage(err, t.entry.timing.Call), t.entry.spec.lookAtLog()+", and at its config")
		e.Err = err
		return e
	}
	return nil
}

// certificate reads the listener's TLS files; nil: connections are plain. The
// error is an *Error.
func (p *entry) certificate() (*wire.Certificate, error) {
	files := p.spec.TLS
	if files == nil || p.socket == nil {
		return nil, nil
	}
	certificate := &wire.Certificate{}
	var err error
	if certificate.CertPem, err = os.ReadFile(files.Cert); err == nil {
		certificate.KeyPem, err = os.ReadFile(files.Key)
	}
	if err == nil {
		_, err = tls.X509KeyPair(certificate.CertPem, certificate.KeyPem)
	}
	if err != nil {
		e := p.spec.fault(CodeCertificate, fmt.Sprintf("certificate %s with key %s: %v", files.Cert, files.Key, err),
			fmt.Sprintf("mend plugins.%s.tls: both are PEM files that the host's user can read, and belong together", p.spec.Name))
		e.Err = err
		return nil, e
	}
	return certificate, nil
}

// reload reads the certificate again. While the files are wrong, as when only
// one of them was replaced yet, the old one stays in use.
func (t *tenure) reload(have *wire.Certificate) (*wire.Certificate, bool) {
	fresh, err := t.entry.certificate()
	if err != nil {
		var e *Error
		errors.As(err, &e)
		t.entry.board.update(func(s *Status) { s.Error, s.ErrorAt = e, time.Now() })
		t.entry.log.Warn("the listener's certificate cannot be read again; the old one stays in use",
			"code", e.Code, "error", e.Message, e.hint())
		return have, false
	}
	if proto.Equal(have, fresh) {
		return have, false
	}
	t.entry.log.Info("the listener's certificate has changed")
	return fresh, true
}
