package consent

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Flow is how access is granted.
type Flow string

// The flows. The names are the config's.
const (
	// Web is a person's consent in a browser, kept as a refresh token.
	Web Flow = "web"
	// JWT is an assertion signed with a key whose certificate an admin gave to the
	// app.
	JWT Flow = "jwt"
	// ClientCredentials is the app's own id and secret; an admin has set the user
	// that it runs as. Salesforce offers it on a My Domain only.
	ClientCredentials Flow = "client_credentials"
)

// Values lists the choices.
func (Flow) Values() []string { return []string{string(Web), string(JWT), string(ClientCredentials)} }

// Settings is what a source's config says of its consent.
type Settings struct {
	// LoginURL is where Salesforce asks people to log in.
	LoginURL string `yaml:"login_url"`
	Auth     Auth   `yaml:"auth"`
	// Rest is everything else, which is the plugin's alone.
	Rest config.Section `yaml:"-" config:"rest"`
}

// Auth is how a source gets access.
type Auth struct {
	Flow Flow `yaml:"flow"`
	// ClientID is the app's consumer key.
	ClientID string `yaml:"client_id"`
	// ClientSecret is the app's consumer secret. The web flow does without where
	// the app does not require it.
	ClientSecret config.Secret `yaml:"client_secret,omitempty"`
	// Username is the user of the JWT flow.
	Username string `yaml:"username,omitempty"`
	// PrivateKeyFile is the RSA key of the JWT flow, in PEM and without a
	// passphrase.
	PrivateKeyFile config.Path `yaml:"private_key_file,omitempty"`
}

// Default sets the web flow at login.salesforce.com.
func (s *Settings) Default() {
	*s = Settings{LoginURL: "https://login.salesforce.com", Auth: Auth{Flow: Web}}
}

// Validate reports everything that can be known to be wrong without asking
// Salesforce.
func (s *Settings) Validate() error {
	var all config.Problems
	add := func(path, code, what, hint string) {
		all = append(all, config.Problem{Path: path, Code: code, What: what, Hint: hint})
	}
	if what, hint := badLoginURL(s.LoginURL); what != "" {
		add("login_url", config.CodeWrongValue, what, hint)
	}
	a := &s.Auth
	const whereKey = "Salesforce shows it in Setup > External Client App Manager > the app > Settings > OAuth Settings > Consumer Key and Secret"
	if a.ClientID == "" {
		add("auth.client_id", config.CodeMissingKey, "is missing", whereKey)
	}
	needs := func(path string, missing bool, hint string) {
		if missing {
			add(path, config.CodeMissingKey, fmt.Sprintf("is missing, and flow: %s needs it", a.Flow), hint)
		}
	}
	useless := func(path string, given bool) {
		if given {
			add(path, config.CodeConflict, fmt.Sprintf("means nothing with flow: %s", a.Flow), "remove it")
		}
	}
	switch a.Flow {
	case JWT:
		needs("auth.username", a.Username == "", "give the user that the source reads as")
		needs("auth.private_key_file", a.PrivateKeyFile == "", "give the RSA key in PEM whose certificate the app has")
		useless("auth.client_secret", !a.ClientSecret.IsZero())
		if a.PrivateKeyFile != "" {
			if _, err := a.privateKey(); err != nil {
				add("auth.private_key_file", config.CodeWrongValue, err.Error(),
					"give the file of an RSA key in PEM: openssl req -x509 -newkey rsa:2048 -nodes -days 730 -keyout key.pem -out cert.pem makes one, and the certificate for the app")
			}
		}
	case ClientCredentials:
		needs("auth.client_secret", a.ClientSecret.IsZero(), whereKey)
		if isSharedLogin(s.LoginURL) {
			add("login_url", config.CodeWrongValue, "Salesforce offers flow: client_credentials on a My Domain only",
				"write the org's own host, such as https://example.my.salesforce.com; Setup > My Domain shows it")
		}
	}
	if a.Flow != JWT {
		useless("auth.username", a.Username != "")
		useless("auth.private_key_file", a.PrivateKeyFile != "")
	}
	return all.Err()
}

// badLoginURL says what is wrong with a login URL, and what to write; "": nothing.
func badLoginURL(text string) (what, hint string) {
	const form = "write https://login.salesforce.com, https://test.salesforce.com for a sandbox, or a My Domain such as https://example.my.salesforce.com"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return "is not the URL of a host", form
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "has more than a host", fmt.Sprintf("write %s://%s", u.Scheme, u.Host)
	case strings.HasSuffix(u.Hostname(), ".lightning.force.com"):
		name := strings.TrimSuffix(u.Hostname(), ".lightning.force.com")
		return "is where people work, and grants nothing", fmt.Sprintf("write https://%s.my.salesforce.com", name)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return "", ""
	}
	return "would send secrets unencrypted", form
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isSharedLogin(loginURL string) bool {
	u, err := url.Parse(loginURL)
	return err == nil && (u.Hostname() == "login.salesforce.com" || u.Hostname() == "test.salesforce.com")
}

const maxKeyFile = 64 << 10 // bytes

// privateKey reads the key of the JWT flow, in PEM.
func (a *Auth) privateKey() ([]byte, error) {
	f, err := os.Open(string(a.PrivateKeyFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s holds no PEM", a.PrivateKeyFile)
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("the key in %s has a passphrase; write it without one: openssl pkey -in FILE -out NEW", a.PrivateKeyFile)
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return text, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key but a %q", a.PrivateKeyFile, block.Type)
	}
	if _, rsa := key.(interface{ Size() int }); !rsa {
		return nil, fmt.Errorf("the key in %s is no RSA key, and Salesforce takes RS256 only", a.PrivateKeyFile)
	}
	return text, nil
}

// whose names what a grant is of: another app or login host cannot use it, nor
// can another user of the JWT flow.
func (s *Settings) whose() string {
	return digest(s.loginURL(), string(s.Auth.Flow), s.Auth.ClientID, s.Auth.Username)
}

// version tells settings apart that may be answered differently.
func (s *Settings) version(key []byte) string {
	return digest(s.whose(), s.Auth.ClientSecret.Reveal(), string(key))
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// loginURL is LoginURL in the one form in which Salesforce compares an audience.
func (s *Settings) loginURL() string { return strings.TrimRight(s.LoginURL, "/") }
