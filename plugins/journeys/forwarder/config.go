package forwarder

import (
	"encoding/json"
	"fmt"
	"time"
)

// Config is the config of a source. Its JSON Schema stands beside main.go.
type Config struct {
	// SigningKeys are those of the reporting webhooks. A webhook that is signed
	// with any of them is taken.
	SigningKeys []string `json:"webhook_signing_keys"`
	// Tolerance is how far a webhook's timestamp may be from now, before and
	// after.
	Tolerance Duration `json:"webhook_tolerance"`
	// Region is us or eu.
	Region string `json:"region"`
}

// DefaultConfig returns the config of a source that says nothing.
func DefaultConfig() Config {
	return Config{Tolerance: Duration(5 * time.Minute), Region: "us"}
}

// Duration is a time.Duration; in JSON a string such as "5m".
type Duration time.Duration

// UnmarshalJSON reads a Duration.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("duration %q: want one such as 5m", text)
	}
	*d = Duration(parsed)
	return nil
}
