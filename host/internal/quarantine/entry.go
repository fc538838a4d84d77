package quarantine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// ID names an entry for as long as it is kept: website/1042.7.
type ID struct {
	Source   event.SourceID
	Position event.Position // in the source's log, where the entry was first written
}

// String writes the id as ParseID reads it.
func (id ID) String() string { return string(id.Source) + "/" + id.Position.String() }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 1 {
		return ID{}, fmt.Errorf("quarantine id %q: want SOURCE/POSITION, such as website/1042.7", s)
	}
	p, err := event.ParsePosition(s[i+1:])
	if err != nil {
		return ID{}, fmt.Errorf("quarantine id %q: want SOURCE/POSITION, such as website/1042.7", s)
	}
	return ID{event.SourceID(s[:i]), p}, nil
}

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// State says what has become of an entry. It leaves StateOpen once and for good.
type State uint8

// The states of an entry. They are on disk: only append.
const (
	StateOpen       State = iota // nothing yet
	StateReplayed                // it was appended to the journal after all
	StateSuperseded              // an edited copy of it was
	StateDropped                 // a person decided to do without it

	// AnyState matches every state in a Filter. No entry has it.
	AnyState State = 255
)

var stateNames = map[State]string{
	StateOpen: "open", StateReplayed: "replayed", StateSuperseded: "superseded", StateDropped: "dropped", AnyState: "any",
}

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// ParseState reads what String wrote.
func ParseState(name string) (State, error) {
	for s, known := range stateNames {
		if known == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state %q: want open, replayed, superseded, dropped or any", name)
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) (err error) {
	*s, err = ParseState(string(text))
	return err
}

// Entry is a refused event, or many that are identical, attachment included, and
// were refused for the same reasons.
type Entry struct {
	ID ID `json:"id"`
	// MessageID is that of the event, as claimed or as assigned; it may be empty.
	MessageID string `json:"messageId,omitempty"`
	// Event is a track call's event name, otherwise the call's type, as far as the
	// claim tells, and at most 120 bytes of it.
	Event string `json:"event"`
	// Destination is set where a destination refused an accepted event.
	Destination event.DestinationID `json:"destination,omitempty"`
	// Claim is the event's bytes, as the client or the destination had them. It
	// is shorter than Size where only its beginning was kept.
	Claim event.Claim `json:"claim"`
	Size  int         `json:"size"`
	Hash  string      `json:"hash"` // hex SHA-256 of the whole claim
	// Attachment is what the source keeps beside the event's group, where the event
	// is the first of one. It is whole, also where the claim is not, and nil where it
	// was over 2 MiB. AttachmentSize is its length, kept or not; 0: there was none.
	Attachment     []byte `json:"attachment,omitempty"`
	AttachmentSize int    `json:"attachmentSize,omitempty"`
	// Violations are the reasons, at most 64 KiB of them. The first one is what
	// the client was told, and what the entry is grouped by.
	Violations []event.Violation `json:"violations"`
	// MoreViolations is how many more there were.
	MoreViolations int `json:"moreViolations,omitempty"`
	// ReceivedAt and SentAt are those of the first time: a replay corrects the
	// clock with them as if it had been then.
	ReceivedAt time.Time `json:"receivedAt"`
	SentAt     string    `json:"sentAt,omitempty"`
	// Count is how often it was refused, from FirstSeen to LastSeen.
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	State     State     `json:"state"`
	// StateAt and StateBy tell when, and by whom or what, it was closed.
	StateAt time.Time `json:"stateAt,omitzero"`
	StateBy string    `json:"stateBy,omitempty"`
}

// Whole reports whether the entry has all of the event's bytes.
func (e *Entry) Whole() bool { return len(e.Claim) == e.Size }

// Cursor returns the place just after the entry in a listing.
func (e *Entry) Cursor() Cursor {
	return Cursor(fmt.Sprintf("%d/%s", e.FirstSeen.UnixNano(), e.ID))
}

// ErrNotFound is the error of an id that names no entry, or one no longer kept.
var ErrNotFound = errors.New("no such quarantine entry")

// FullError is the error of an Add for a source whose quarantine is full.
type FullError struct {
	Source event.SourceID
	Limit  int64 // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the quarantine of source %q has reached its %d bytes (replay or drop entries, raise quarantine.max_bytes, or set quarantine.at_limit: drop_oldest)", e.Source, e.Limit)
}
