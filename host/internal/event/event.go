// Package event holds the nouns that the rooms of the host share: what a
// source claimed, what the host vouches for, and why it refused.
//
// It is a leaf. It knows nothing of plugins, journals or destinations.
package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SourceID is the name of a source in the config.
type SourceID string

// DestinationID is the name of a destination in the config.
type DestinationID string

// PluginID is the name of an entry under plugins: in the config.
type PluginID string

// Type is the kind of a call of the common spec.
type Type string

// The calls of the common spec.
const (
	Identify Type = "identify"
	Track    Type = "track"
	Page     Type = "page"
	Screen   Type = "screen"
	Group    Type = "group"
	Alias    Type = "alias"
)

// Types lists every Type, in the order of the common spec's own pages.
var Types = []Type{Identify, Track, Page, Screen, Group, Alias}

// Claim is what a plugin says happened: one JSON value, not yet trusted.
type Claim []byte

// Envelope is what the host vouches for. Only the gate makes one.
type Envelope struct {
	Source SourceID
	Type   Type
	// MessageID may share the memory of JSON: it is good for as long as that is.
	MessageID  string
	ReceivedAt time.Time
	// JSON is the event as accepted: one JSON object on one line, without a
	// newline, with every member that the file destination promises.
	JSON []byte
	// Group numbers the events of one batch that live or die together; 0: alone.
	Group uint32
	// Attachment is what the source keeps beside a group. Its first event has it.
	Attachment []byte
}

// Refusal is a claim that the gate did not accept, or an accepted event that a
// destination refused for good.
type Refusal struct {
	Source     SourceID
	MessageID  string // as claimed, or as assigned by the host; empty where the claim is not an object
	ReceivedAt time.Time
	SentAt     string // the request's sentAt as the client wrote it; empty: none
	// Claim is the event's bytes; of an oversize one the first 64 KiB.
	Claim []byte
	// Size is the claim's full length in bytes.
	Size int
	// Hash is the hex SHA-256 of the full claim.
	Hash       string
	Violations []Violation
	// Attachment is what the source keeps beside the event's group, where the event
	// is the first of one; a destination may need it to send the event after all.
	Attachment []byte
	// Destination is set where a destination refused an accepted event for good.
	Destination DestinationID
}

// Codes of violations. They are stable: clients and operators match on them.
const (
	CodeNotObject    = "not_object"
	CodeUnknownType  = "unknown_type"
	CodeNoID         = "no_id"
	CodeSchema       = "schema"
	CodePlan         = "plan"
	CodeUnplanned    = "unplanned"
	CodeTooLarge     = "too_large"
	CodeTooDeep      = "too_deep"
	CodeNumber       = "number"
	CodeStringLength = "string_length"
	CodeDuplicateKey = "duplicate_key"
	// CodeDestination marks an accepted event that a destination refused.
	CodeDestination = "destination"
)

// Violation is one reason of a refusal.
type Violation struct {
	Code    string `json:"code"`
	Path    string `json:"path"`              // JSON Pointer into the event; "" is the event itself
	Keyword string `json:"keyword,omitempty"` // of the schema
	Message string `json:"message"`
	Schema  string `json:"schema,omitempty"`
}

// Position names a place in a journal: a frame and an event in it. Positions
// are ordered as the journal is. The zero Position is before everything.
type Position uint64

const indexBits = 20

// MaxFrameEvents is the largest number of events that a frame can hold.
const MaxFrameEvents = 1 << indexBits

// At returns the position of the event with this index (from 0) in a frame
// (from 1).
func At(frame uint64, index int) Position {
	return Position(frame<<indexBits | uint64(index))
}

// Frame returns the frame's sequence number.
func (p Position) Frame() uint64 { return uint64(p) >> indexBits }

// Index returns the event's place in its frame, from 0.
func (p Position) Index() int { return int(p & (MaxFrameEvents - 1)) }

// String writes the position as frame.index.
func (p Position) String() string {
	return strconv.FormatUint(p.Frame(), 10) + "." + strconv.Itoa(p.Index())
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	frame, index, ok := strings.Cut(s, ".")
	f, ferr := strconv.ParseUint(frame, 10, 64-indexBits)
	i, ierr := strconv.ParseUint(index, 10, indexBits)
	if !ok || ferr != nil || ierr != nil {
		return 0, fmt.Errorf("position %q: want frame.index, such as 1042.7", s)
	}
	return At(f, int(i)), nil
}

// MarshalJSON writes the position as a string.
func (p Position) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// UnmarshalJSON reads the string that MarshalJSON wrote.
func (p *Position) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	q, err := ParsePosition(s)
	if err != nil {
		return err
	}
	*p = q
	return nil
}
