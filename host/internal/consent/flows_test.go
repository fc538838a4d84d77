package consent_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/consent"
)

func TestAnAssertionIsSignedAsSalesforceWants(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, func(t *testing.T, b *bench) {
		b.open(consent.Settings{LoginURL: "https://test.salesforce.com/", Auth: consent.Auth{
			Flow: consent.JWT, ClientID: clientID, Username: "reader@acme.example", PrivateKeyFile: config.Path(file),
		}})
		st, err := b.Status("crm")
		if err != nil || st.State != consent.Untried {
			t.Errorf("%+v %v", st, err)
		}
		b.mustToken()
		form := b.asked()[0]
		if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Error(form)
		}
		part := strings.Split(form.Get("assertion"), ".")
		signature, err := base64.RawURLEncoding.DecodeString(part[2])
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256([]byte(part[0] + "." + part[1]))
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature); err != nil {
			t.Error(err)
		}
		text, err := base64.RawURLEncoding.DecodeString(part[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Iss, Sub, Aud string
			Exp           int64
		}
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Iss != clientID || claims.Sub != "reader@acme.example" || claims.Aud != "https://test.salesforce.com" || claims.Exp != time.Now().Add(3*time.Minute).Unix() {
			t.Errorf("%s", text)
		}
		if st, err := b.Status("crm"); err != nil || st.State != consent.Granted || st.User != "admin@acme.example" {
			t.Errorf("%+v %v", st, err)
		}
		if got, err := b.renewed(); err != nil || got.Access != accessToken(2) {
			t.Errorf("%v %v", got, err)
		}
	})
}

func TestClientCredentialsNeedNoPerson(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect() // of another flow, which then does not count
		s := webSettings()
		s.Auth.Flow = consent.ClientCredentials
		b.open(s)
		if st, err := b.Status("crm"); err != nil || st.State != consent.Untried || st.Org != "" {
			t.Errorf("%+v %v", st, err)
		}
		b.mustToken()
		form := b.asked()[1]
		if form.Get("grant_type") != "client_credentials" || form.Get("client_id") != clientID || form.Get("client_secret") != secret || form.Has("basic") || len(b.asked()) != 2 {
			t.Error(form)
		}
		// Refused for good, until a person has seen to it and says so.
		b.set(func(f *fake) {
			f.refuse = func(url.Values) (int, string) {
				return 400, `{"error":"invalid_grant","error_description":"no client credentials user enabled"}`
			}
		})
		if _, err := b.renewed(); !is(err, consent.CodeNoRunAsUser) {
			t.Fatal(err)
		}
		b.set(func(f *fake) { f.refuse = nil })
		asked := len(b.asked())
		b.open(s)
		if _, err := b.token(); !is(err, consent.CodeNoRunAsUser) || len(b.asked()) != asked {
			t.Errorf("%v, %d requests", err, len(b.asked())-asked)
		}
		a, err := b.Begin(t.Context(), "crm", callback)
		if err != nil || a.Grant == nil || a.URL != "" || a.Grant.Org != "Acme, Inc." {
			t.Fatalf("%+v %v", a, err)
		}
		if err := b.Keep(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		b.mustToken()
	})
}

func TestSettingsAreJudgedBeforeSalesforceIsAsked(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, block *pem.Block) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	write("rsa.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	write("ec.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: other})
	write("cert.pem", &pem.Block{Type: "CERTIFICATE", Bytes: []byte("c")})
	write("locked.pem", &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("c")})
	for text, want := range map[string]string{
		"auth: {client_id: a}": "",
		"{login_url: 'https://acme--dev.sandbox.my.salesforce.com', auth: {client_id: a, client_secret: b}, interval: 5m}": "",
		"auth: {flow: jwt, client_id: a, username: u, private_key_file: " + dir + "/rsa.pem}":                              "",
		"{login_url: 'https://acme.my.salesforce.com', auth: {flow: client_credentials, client_id: a, client_secret: b}}":  "",
		"{}":                                    "auth.client_id: is missing",
		"auth: {flow: device, client_id: a}":    "auth.flow: \"device\" is not one of web, jwt, client_credentials",
		"auth: {client_id: a, clientsecret: b}": "auth.clientsecret: unknown key",
		"auth: {flow: client_credentials, client_id: a, client_secret: b}":                       "login_url: Salesforce offers flow: client_credentials on a My Domain only",
		"{login_url: 'https://acme.lightning.force.com', auth: {client_id: a}}":                  "write https://acme.my.salesforce.com",
		"{login_url: 'http://login.salesforce.com', auth: {client_id: a}}":                       "login_url: would send secrets unencrypted",
		"{login_url: login.salesforce.com, auth: {client_id: a}}":                                "login_url: is not the URL of a host",
		"{login_url: 'https://login.salesforce.com/services/oauth2', auth: {client_id: a}}":      "write https://login.salesforce.com",
		"auth: {client_id: a, username: u}":                                                      "auth.username: means nothing with flow: web",
		"auth: {flow: jwt, client_id: a, client_secret: s, username: u, private_key_file: x}":    "auth.client_secret: means nothing with flow: jwt",
		"auth: {flow: jwt, client_id: a}":                                                        "auth.private_key_file: is missing",
		"auth: {flow: jwt, client_id: a, username: u, private_key_file: " + dir + "/none.pem}":   "no such file",
		"auth: {flow: jwt, client_id: a, username: u, private_key_file: " + dir + "/ec.pem}":     "is no RSA key",
		"auth: {flow: jwt, client_id: a, username: u, private_key_file: " + dir + "/cert.pem}":   "holds no private key but a \"CERTIFICATE\"",
		"auth: {flow: jwt, client_id: a, username: u, private_key_file: " + dir + "/locked.pem}": "has a passphrase",
	} {
		section, err := config.ParseSection("wellhead.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var s consent.Settings
		err = section.Decode(&s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
