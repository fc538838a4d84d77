package customerio

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Config is what stands under a destination of type customerio.
type Config struct {
	// Key is the API key of a source at Customer.io, elsewhere called write key.
	Key    config.Secret `yaml:"key"`
	Region Region        `yaml:"region"`
	// URL replaces the region's. It is the base to which /v1/batch is added.
	URL string `yaml:"url,omitempty"`
	// Plaintext allows http to another machine, which shows the key and the events
	// to whoever is between.
	Plaintext bool `yaml:"plaintext"`
	Gzip      bool `yaml:"gzip"`
	// MaxEvent is of an event as it is sent. A larger one is refused.
	MaxEvent config.Size `yaml:"max_event"`
	// Timeout is for a whole request, from the connection to the end of the answer.
	Timeout config.Duration `yaml:"timeout"`
	Batch   Batch           `yaml:"batch"`
}

// Batch bounds a request's body, before compression.
type Batch struct {
	Events int `yaml:"events"`
	// Bytes is of the events.
	Bytes config.Size `yaml:"bytes"`
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

// url is the base of the region's API.
func (r Region) url() string {
	if r == EU {
		return "https://cdp-eu.customer.io"
	}
	return "https://cdp.customer.io"
}

const (
	maxTimeout = config.Duration(10 * time.Minute)
	// maxBatchEvents is what Segment takes in a request.
	maxBatchEvents = 2500
	// Customer.io's own limits; of 500 KB, in the narrower reading, the rest is for
	// what stands around the events.
	cioEvent      = 32 * config.KiB
	cioBatch      = 475 * config.KB
	maxBatchBytes = 16 * config.MiB
)

// Default sets the region us, gzip, a timeout of 10 s, and Customer.io's limits with
// batches of 1,000 events.
func (c *Config) Default() {
	*c = Config{
		Region: US, Gzip: true, MaxEvent: cioEvent, Timeout: config.Duration(10 * time.Second),
		Batch: Batch{Events: 1000, Bytes: cioBatch},
	}
}

// base is what /v1/batch is added to.
func (c *Config) base() string {
	if c.URL == "" {
		return c.Region.url()
	}
	return strings.TrimRight(c.URL, "/")
}

// Validate reports everything that is wrong.
func (c *Config) Validate() error {
	var ps config.Problems
	bad := func(path, what, hint string) {
		ps = append(ps, config.Problem{Path: path, Code: config.CodeWrongValue, What: what, Hint: hint})
	}
	switch {
	case c.Key.IsEmpty():
		bad("key", "is empty", "Customer.io shows it in the settings of the source, as its API key")
	case c.Key.IsZero():
		ps = append(ps, config.Problem{Path: "key", Code: config.CodeMissingKey, What: "is missing",
			Hint: "Customer.io shows it in the settings of the source, as its API key"})
	case strings.ContainsFunc(c.Key.Reveal(), func(r rune) bool { return r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		bad("key", "holds a colon, a space or a control character", "give it as the receiver shows it")
	}
	if c.Region != US && c.Region != EU {
		bad("region", fmt.Sprintf("no region %q", string(c.Region)), config.Suggest(string(c.Region), c.Region.Values()))
	}
	if c.URL != "" {
		if what, hint := c.faultOfURL(); what != "" {
			bad("url", what, hint)
		}
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		bad("timeout", fmt.Sprintf("%v is out of range", c.Timeout), fmt.Sprintf("want more than 0 and at most %v", maxTimeout))
	}
	if c.Batch.Events < 1 || c.Batch.Events > maxBatchEvents {
		bad("batch.events", fmt.Sprintf("%d is out of range", c.Batch.Events), fmt.Sprintf("want 1 to %d", maxBatchEvents))
	}
	most, why := maxBatchBytes, ""
	if c.URL == "" {
		most, why = cioBatch, ": Customer.io drops a larger request"
	}
	if c.Batch.Bytes < 1 || c.Batch.Bytes > most {
		bad("batch.bytes", fmt.Sprintf("%v is out of range", c.Batch.Bytes), fmt.Sprintf("want 1 byte to %v%s", most, why))
	}
	most, why = min(c.Batch.Bytes, maxBatchBytes), ", which is batch.bytes"
	if c.URL == "" {
		most, why = cioEvent, ": Customer.io drops a larger event"
	}
	if c.MaxEvent < 1 || c.MaxEvent > most {
		bad("max_event", fmt.Sprintf("%v is out of range", c.MaxEvent), fmt.Sprintf("want 1 byte to %v%s", most, why))
	}
	return ps.Err()
}

// faultOfURL says why URL is no base for /v1/batch, and what to do; "": it is one.
func (c *Config) faultOfURL() (what, hint string) {
	hint = "write it such as https://events.example.com"
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return "is not a URL", hint
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("the scheme %q is neither https nor http", u.Scheme), hint
	case u.Hostname() == "":
		return "it names no host", hint
	case u.Port() != "" && !isPort(u.Port()):
		return "its port is out of range", "want 1 to 65535, or none for the scheme's own"
	case u.User != nil:
		return "it holds a password", "remove it: the credential is key"
	case strings.ContainsAny(c.URL, "?#"):
		return "it has a query or a fragment", hint
	case namesPath(c.base()):
		return "it ends with the path that is added to it", "remove /v1 or /v1/batch"
	case u.Scheme == "http" && !c.Plaintext && !loopback(u.Hostname()):
		return "by http the key and the events can be read on their way", "write https, or set plaintext: true for a network that you trust"
	}
	return "", ""
}

func namesPath(base string) bool {
	return strings.HasSuffix(base, "/v1") || strings.HasSuffix(base, batchPath)
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func loopback(host string) bool {
	ip, _ := netip.ParseAddr(host)
	return host == "localhost" || ip.Unmap().IsLoopback()
}
