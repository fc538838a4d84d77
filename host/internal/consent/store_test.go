package consent_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/consent"
)

func TestGrantsAreEncryptedAndTheirOwners(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == b.dir {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is %v", path, info.Mode())
			}
			if d.IsDir() {
				return nil
			}
			data, err := os.ReadFile(path)
			for _, text := range []string{refreshToken(1), accessToken(1), secret, clientID, "Acme"} {
				if bytes.Contains(data, []byte(text)) {
					t.Errorf("%s holds %q", path, text)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Whatever happened to the file, it is told, nothing is asked of Salesforce, and
// the file stays as it is until a person consents anew.
func TestADamagedGrantIsToldAndKept(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		good, err := os.ReadFile(b.grantFile())
		if err != nil {
			t.Fatal(err)
		}
		bad := map[string][]byte{"empty": {}, "longer": append(bytes.Clone(good), 0), "another file": []byte("hello, world, this is no grant at all")}
		for _, n := range []int{1, 4, 11, 12, 13, len(good) / 2, len(good) - 1} {
			bad["torn"+strings.Repeat("'", n)] = good[:n]
		}
		for _, i := range []int{0, 5, 13, 30, len(good) / 2, len(good) - 1} {
			flipped := bytes.Clone(good)
			flipped[i] ^= 1
			bad["flipped"+strings.Repeat("'", i)] = flipped
		}
		for name, data := range bad {
			if err := os.WriteFile(b.grantFile(), data, 0o600); err != nil {
				t.Fatal(err)
			}
			b.open(webSettings())
			_, err := b.token()
			var e *consent.Error
			if !errors.As(err, &e) || e.Code != consent.CodeStore || e.Final || !strings.Contains(e.Hint, "wellhead connect crm") {
				t.Errorf("%.20s: %v", name, err)
			}
			if now, err := os.ReadFile(b.grantFile()); err != nil || !bytes.Equal(now, data) {
				t.Errorf("%.20s: the file was changed", name)
			}
			if err := b.Revoke(t.Context(), "crm"); !is(err, consent.CodeStore) {
				t.Errorf("%.20s: revoked: %v", name, err)
			}
		}
		if len(b.asked()) != 1 {
			t.Errorf("Salesforce was asked %d times", len(b.asked()))
		}
		b.connect()
		b.mustToken()
	})
}

func TestAGrantIsItsSourcesAlone(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		if err := os.Rename(b.grantFile(), filepath.Join(b.dir, "consent", "other.grant")); err != nil {
			t.Fatal(err)
		}
		if err := b.Configure("other", webSettings()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Source("other").Token(t.Context()); !is(err, consent.CodeStore) {
			t.Error(err)
		}
	})
}

func TestAnotherKeyIsTold(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		keyFile := filepath.Join(b.dir, "key")
		key, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what, want string) {
			t.Helper()
			b.open(webSettings())
			if _, err := b.token(); !is(err, consent.CodeStore) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := b.Begin(t.Context(), "crm", callback); want != "another key" && !is(err, consent.CodeStore) {
				t.Errorf("%s: a person was sent to Salesforce for nothing: %v", what, err)
			}
		}
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		refused("no key", "crm.grant")
		if _, err := os.Stat(keyFile); !os.IsNotExist(err) {
			t.Error("a key was made that reads no grant")
		}
		for what, text := range map[string]string{"short": "c2hvcnQ=\n", "none": "", "not base64": "!!!"} {
			if err := os.WriteFile(keyFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			refused(what, "openssl rand -base64 32")
		}
		if err := os.WriteFile(keyFile, []byte(newKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		refused("another", "another key")
		if err := os.WriteFile(keyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
		b.open(webSettings())
		b.mustToken()
	})
}

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

func TestAKeyFromTheEnvironmentIsUsedInsteadOfAFile(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		dir, key := t.TempDir(), newKey()
		open := func(key string) {
			b.Keeper = consent.Open(consent.Options{Dir: dir, Key: key, Log: slog.New(slog.DiscardHandler), Transport: b.fake})
			if err := b.Configure("crm", webSettings()); err != nil {
				t.Fatal(err)
			}
		}
		open(key)
		b.connect()
		if _, err := os.Stat(filepath.Join(dir, "key")); !os.IsNotExist(err) {
			t.Error("a key file was made besides")
		}
		// The same key, as other programs write base64.
		open(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(key), "=") + "\n")
		b.mustToken()
		open(newKey())
		if _, err := b.token(); !is(err, consent.CodeStore) {
			t.Error(err)
		}
	})
}
