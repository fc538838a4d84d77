package webhook

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Config is what stands under a destination of type webhook.
type Config struct {
	// URL is where events are posted, http or https. It is a secret since many hold
	// a token; user:password@ in it is sent as basic authentication.
	URL config.Secret `yaml:"url"`
	// Secret signs each request; absent: requests are not signed.
	Secret config.Secret `yaml:"secret,omitempty"`
	// Timeout is for a whole request, from the connection to the end of the answer.
	Timeout config.Duration `yaml:"timeout"`
	Batch   Batch           `yaml:"batch"`
}

// Batch bounds a request's body.
type Batch struct {
	Events int `yaml:"events"`
	// Bytes is of the events; a larger single event is posted alone.
	Bytes config.Size `yaml:"bytes"`
}

const (
	maxTimeout     = config.Duration(10 * time.Minute)
	maxBatchEvents = 10_000
	maxBatchBytes  = 16 * config.MiB
)

// Default sets a timeout of 10 s and batches of 100 events or 512 KiB.
func (c *Config) Default() {
	*c = Config{Timeout: config.Duration(10 * time.Second), Batch: Batch{Events: 100, Bytes: 512 * config.KiB}}
}

// Validate reports everything that is wrong.
func (c *Config) Validate() error {
	var ps config.Problems
	bad := func(path, what, hint string) {
		ps = append(ps, config.Problem{Path: path, Code: config.CodeWrongValue, What: what, Hint: hint})
	}
	switch u, err := url.Parse(c.URL.Reveal()); {
	case c.URL.IsEmpty():
		bad("url", "is empty", "say where events are posted")
	case c.URL.IsZero():
		ps = append(ps, config.Problem{Path: "url", Code: config.CodeMissingKey, What: "is missing", Hint: "say where events are posted"})
	case err != nil:
		bad("url", "is not a URL", "write it such as https://example.com/events")
	case u.Scheme != "https" && u.Scheme != "http":
		bad("url", fmt.Sprintf("the scheme %q is neither https nor http", u.Scheme), "write it such as https://example.com/events")
	case u.Hostname() == "":
		bad("url", "it names no host", "write it such as https://example.com/events")
	case u.Port() != "" && !isPort(u.Port()):
		bad("url", "its port is out of range", "want 1 to 65535, or none for the scheme's own")
	}
	if c.Secret.IsEmpty() {
		bad("secret", "is empty", "give one, or remove the key: requests are then not signed")
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		bad("timeout", fmt.Sprintf("%v is out of range", c.Timeout), fmt.Sprintf("want more than 0 and at most %v", maxTimeout))
	}
	if c.Batch.Events < 1 || c.Batch.Events > maxBatchEvents {
		bad("batch.events", fmt.Sprintf("%d is out of range", c.Batch.Events), fmt.Sprintf("want 1 to %d", maxBatchEvents))
	}
	if c.Batch.Bytes < 1 || c.Batch.Bytes > maxBatchBytes {
		bad("batch.bytes", fmt.Sprintf("%v is out of range", c.Batch.Bytes), fmt.Sprintf("want 1 byte to %v", maxBatchBytes))
	}
	return ps.Err()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}
