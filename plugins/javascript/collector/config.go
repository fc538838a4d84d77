package collector

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Config is the plugin's config. Its JSON Schema stands beside main.go.
type Config struct {
	// TrustedProxies may say in X-Forwarded-For, -Proto and -Host whom they
	// speak for. Anyone else's word is not taken.
	TrustedProxies []netip.Prefix `json:"trusted_proxies"`
	// MaxEvent bounds one event, MaxRequest a whole request, decompressed.
	MaxEvent   Size `json:"max_event"`
	MaxRequest Size `json:"max_request"`
}

// DefaultConfig has the limits that Customer.io documents, which the vendors'
// clients keep.
func DefaultConfig() Config {
	return Config{MaxEvent: 32 << 10, MaxRequest: 500 << 10}
}

// Validate says what a JSON Schema cannot.
func (c Config) Validate() error {
	if c.MaxEvent > c.MaxRequest {
		return fmt.Errorf("max_event (%d bytes) is more than max_request (%d bytes): an event is sent in a request", c.MaxEvent, c.MaxRequest)
	}
	return nil
}

// Size is a number of bytes: in JSON a whole number or a string such as "32KiB".
type Size int

// UnmarshalJSON reads a Size.
func (s *Size) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	number, unit := strings.TrimRight(text, "KMGiB"), 1
	switch text[len(number):] {
	case "":
	case "KB":
		unit = 1000
	case "MB":
		unit = 1000 * 1000
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	default:
		number = ""
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 || int(n) > maxSize/unit {
		return fmt.Errorf("size %s: want a whole number of bytes from 1 to 1 GiB, with KB, MB, KiB or MiB if you like: 32KiB", text)
	}
	*s = Size(int(n) * unit)
	return nil
}

const maxSize = 1 << 30
