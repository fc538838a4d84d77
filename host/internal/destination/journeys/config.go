package journeys

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Config is what stands under a destination of type journeys.
type Config struct {
	// SiteID and APIKey are the workspace's credentials of the Track API.
	SiteID string        `yaml:"site_id"`
	APIKey config.Secret `yaml:"api_key"`
	Region Region        `yaml:"region"`
	// URL, http or https, replaces the region's, to go through a proxy; the paths of
	// the Track API follow its own path.
	URL string `yaml:"url,omitempty"`
	// Timeout is for a whole request, from the connection to the end of the answer.
	Timeout config.Duration `yaml:"timeout"`
}

// Region is where a workspace of Customer.io is.
type Region string

// The regions.
const (
	US Region = "us"
	EU Region = "eu"
)

// Values lists the regions.
func (Region) Values() []string { return []string{string(US), string(EU)} }

// url is the base of the region's Track API.
func (r Region) url() string {
	if r == EU {
		return "https://track-eu.customer.io"
	}
	return "https://track.customer.io"
}

const maxTimeout = config.Duration(10 * time.Minute)

// Default sets the region us and a timeout of 10 s.
func (c *Config) Default() { *c = Config{Region: US, Timeout: config.Duration(10 * time.Second)} }

// Validate reports everything that is wrong.
func (c *Config) Validate() error {
	var ps config.Problems
	missing := func(path string) {
		ps = append(ps, config.Problem{Path: path, Code: config.CodeMissingKey, What: "is missing",
			Hint: "Customer.io shows it with the workspace's API credentials"})
	}
	bad := func(path, what, hint string) {
		ps = append(ps, config.Problem{Path: path, Code: config.CodeWrongValue, What: what, Hint: hint})
	}
	switch {
	case c.SiteID == "":
		missing("site_id")
	case strings.ContainsFunc(c.SiteID, func(r rune) bool { return r == ':' || notInKey(r) }):
		bad("site_id", "holds a colon, a space or a control character", "it is of letters and digits")
	}
	switch {
	case c.APIKey.IsZero():
		missing("api_key")
	case strings.ContainsFunc(c.APIKey.Reveal(), notInKey):
		bad("api_key", "holds a space or a control character", "it is of letters and digits")
	}
	if c.Region != US && c.Region != EU {
		bad("region", fmt.Sprintf("no region %q", string(c.Region)), config.Suggest(string(c.Region), c.Region.Values()))
	}
	if what := faultOf(c.URL); c.URL != "" && what != "" {
		bad("url", what, "write it such as https://track.example.com, or remove it")
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		bad("timeout", fmt.Sprintf("%v is out of range", c.Timeout), fmt.Sprintf("want more than 0 and at most %v", maxTimeout))
	}
	return ps.Err()
}

func notInKey(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// faultOf says why a text is no base for paths of the Track API; "": it is one.
func faultOf(base string) string {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return "is not a URL"
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("the scheme %q is neither https nor http", u.Scheme)
	case u.Hostname() == "":
		return "it names no host"
	case u.User != nil:
		return "it holds a password: the credentials are site_id and api_key"
	case strings.ContainsAny(base, "?#"):
		return "it has a query or a fragment"
	}
	return ""
}
