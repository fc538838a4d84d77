package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that no output shows: every fmt verb, JSON, YAML, text and
// slog give "[redacted]". Only Reveal gives the text. The zero Secret is absent.
//
// It cannot be compared with ==; Equal does it in constant time.
type Secret struct {
	_ [0]func()
	// A pointer, since fmt calls no method of a Secret in an unexported field
	// but prints pointers below the top as addresses.
	text *string
}

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// IsEmpty reports whether there is a text and nothing in it: most often a
// variable that is set to nothing.
func (s Secret) IsEmpty() bool { return s.text != nil && *s.text == "" }

// Equal compares in a time that depends on neither text's content.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String is "[redacted]".
func (Secret) String() string { return redacted }

// MarshalText is "[redacted]", and so is what JSON, YAML and XML make of it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
