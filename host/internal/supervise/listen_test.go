package supervise_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

func TestABusyAddressIsTriedAgainForAWhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := fakeSpec(t, "good")
	spec.Listen = l.Addr().String()
	in, logs := newIntake(), &buffer{}
	leaves := time.AfterFunc(200*time.Millisecond, func() { l.Close() })
	defer leaves.Stop()
	startWith(t, in, logs, options(t, in, logs, spec)).running()
}

func TestAddressesThatCannotBeBoundAreAllTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy, wrong, good := fakeSpec(t, "good"), fakeSpec(t, "good"), fakeSpec(t, "good")
	busy.Name, busy.Listen = "busy", l.Addr().String()
	wrong.Name, wrong.Listen = "wrong", "192.0.2.1:8080"
	good.Name, good.Listen = "good", "127.0.0.1:0"
	o := options(t, newIntake(), &buffer{}, busy, wrong, good)
	o.Timing.Bind = 50 * time.Millisecond
	s, err := supervise.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Listen(t.Context())
	for _, want := range []string{"plugin busy", "another program listens", "plugin wrong", "plugins.wrong.listen", supervise.CodeListen} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %q: %v", want, err)
		}
	}
	var e *supervise.Error
	if !errors.As(err, &e) || strings.Contains(err.Error(), "plugin good") {
		t.Errorf("error %v", err)
	}
}

func TestAPluginIsNamedOnce(t *testing.T) {
	o := options(t, newIntake(), &buffer{}, fakeSpec(t, "good"), fakeSpec(t, "good"))
	if _, err := supervise.New(o); err == nil {
		t.Error("no error")
	}
}

func TestSystemdsSocketIsServed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	host := hostCommand(t, t.TempDir(), "127.0.0.1:1", "good") // the address is not to be used
	// Only the process itself knows the number that LISTEN_PID must have.
	sh := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=fake exec "$0"`, host.Path)
	sh.Env, sh.ExtraFiles = host.Env, []*os.File{file}
	status := startHost(t, sh)
	if status.Listen != l.Addr().String() {
		t.Errorf("listens on %s instead of %s", status.Listen, l.Addr())
	}
	if pid := atoi(t, request(t, "GET", status.Listen, "/pid")); pid != status.PID {
		t.Errorf("process %d answers instead of %d", pid, status.PID)
	}
	env := request(t, "GET", status.Listen, "/env")
	if strings.Contains(env, "LISTEN_FDNAMES") {
		t.Errorf("the plugin has systemd's variables: %s", env)
	}
}

func TestWithoutSystemdThereAreNoSockets(t *testing.T) {
	t.Setenv("LISTEN_PID", "1") // meant for another process
	t.Setenv("LISTEN_FDS", "1")
	sockets, err := supervise.SystemdSockets()
	if len(sockets) > 0 || err != nil {
		t.Errorf("sockets %v, error %v", sockets, err)
	}
}

// writeCertificate makes a certificate with a name, and its key.
func writeCertificate(t *testing.T, files *supervise.TLSFiles, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSFilesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	files := &supervise.TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writeCertificate(t, files, "first.example")
	spec := httpSpec(t, "good")
	spec.TLS = files
	r := start(t, spec)
	before := r.running() // it was probed through TLS
	served := func() string { return certificateName(t, before.Listen) }
	if got := served(); got != "first.example" {
		t.Errorf("serves %s", got)
	}
	write(t, files.Key, []byte("torn"))
	within(t, patience, "the torn file is told", func() bool {
		return strings.Contains(r.logs.String(), supervise.CodeCertificate)
	})
	if got := served(); got != "first.example" {
		t.Errorf("with a torn file it serves %s", got)
	}
	writeCertificate(t, files, "second.example")
	within(t, patience, "the new certificate is served", func() bool { return served() == "second.example" })
	if s := r.status(); s.PID != before.PID {
		t.Error("the plugin was restarted")
	}
}

func certificateName(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]
}
