package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Event is one call of the common spec as a JSON object. The host judges it as
// it stands: members that the spec does not know and numbers of any size
// reach the destinations untouched.
type Event []byte

// Call is the common spec as a struct, for sources that make events rather
// than pass them on. Empty members are left out.
type Call struct {
	Type        string         `json:"type"`
	MessageID   string         `json:"messageId,omitempty"` // the same for the same happening: it is how a repetition is known
	UserID      string         `json:"userId,omitempty"`
	AnonymousID string         `json:"anonymousId,omitempty"`
	PreviousID  string         `json:"previousId,omitempty"`
	GroupID     string         `json:"groupId,omitempty"`
	Event       string         `json:"event,omitempty"`
	Name        string         `json:"name,omitempty"`
	Properties  map[string]any `json:"properties,omitempty"`
	Traits      map[string]any `json:"traits,omitempty"`
	Context     map[string]any `json:"context,omitempty"`
	Timestamp   time.Time      `json:"timestamp,omitzero"`
}

// JSON returns the call as an Event. It fails where a value cannot be JSON,
// such as a channel or a NaN.
func (c Call) JSON() (Event, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode %s call: %w", c.Type, err)
	}
	return b, nil
}

func decodeStrict(what string, raw json.RawMessage, v any) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%s: more than one JSON value", what)
	}
	return nil
}
